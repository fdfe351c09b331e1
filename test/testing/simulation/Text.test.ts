import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Simulation } from "samsa/testing"

describe("scripts", () => {
  it("are the same for the same seed, and others for others", () => {
    assert.deepStrictEqual(Simulation.script(7), Simulation.script(7))
    assert.notDeepEqual(Simulation.script(7), Simulation.script(8))
  })

  it.effect("are read back from their lines as they were", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 300; seed++) {
        const script = Simulation.script(seed)
        assert.deepStrictEqual(yield* Simulation.parse(Simulation.print(script)), script, `seed ${seed}`)
      }
    })
  )

  it.effect("that are none are told so", () =>
    Effect.gen(function* () {
      for (const text of ["", "simulation seed=1\nwhat is this", "simulation seed=1\ncluster brokers=1\n 1.000 dance"])
        assert.strictEqual((yield* Effect.flip(Simulation.parse(text))).reason._tag, "Misuse")
    })
  )

  it("reach what has broken clients before", () => {
    const scripts = Array.from({ length: 1000 }, (_, i) => Simulation.script(i + 1))
    const share = (is: (script: Simulation.Script) => boolean) => scripts.filter(is).length / scripts.length
    const has = (...kinds: ReadonlyArray<Simulation.Step["do"]>) =>
      share(({ steps }) => kinds.every((kind) => steps.some((step) => step.do === kind)))
    assert.isAbove(
      share(({ topics }) => topics.some(({ partitions }) => partitions >= 65)),
      0.05,
      "many partitions"
    )
    assert.isAbove(
      share(({ members }) => members.some(({ bufferBytes = 1e9 }) => bufferBytes <= 2000)),
      0.3,
      "small buffers"
    )
    assert.isAbove(
      share(({ steps }) => steps.some((step) => (step.do === "down" || step.do === "stand") && step.for > 30_000)),
      0.05,
      "a leader away for long"
    )
    assert.isAbove(
      share(({ steps }) => steps.some((step) => step.do === "down" && step.release !== undefined)),
      0.01,
      "brokers of two releases"
    )
    assert.isAbove(
      share(({ producers }) => producers.length > 1),
      0.3,
      "two producers"
    )
    assert.isAbove(
      share(({ steps }) =>
        steps.some((step) => step.do === "fault" && step.api === "OffsetCommit" && step.action === "error")
      ),
      0.05,
      "commits refused"
    )
    assert.isAbove(
      share(({ cluster, clients }) => cluster.telemetry !== undefined && clients.some(({ telemetry }) => telemetry)),
      0.02,
      "metrics that are told"
    )
    assert.isAbove(
      share(({ cluster }) => (cluster.sessionLifetime ?? 0) > 0),
      0.02,
      "sessions that end"
    )
    assert.isAbove(
      share(({ cluster, members }) => cluster.racks !== undefined && members.some(({ rack }) => rack !== undefined)),
      0.03,
      "racks"
    )
    assert.isAbove(
      share(({ members }) => members.some(({ deadLetter }) => deadLetter !== undefined)),
      0.05,
      "dead letters"
    )
    assert.isAbove(
      share(({ steps }) => steps.some((step) => step.do === "link" && step.how === "duplicate")),
      0.02,
      "connections beside others of the same client"
    )
    for (const kind of [
      "deleteTopic",
      "unclean",
      "closeProducer",
      "leave",
      "freeze",
      "crash",
      "addPartitions",
      "transact",
      "moveTransactions"
    ] as const)
      assert.isAbove(has(kind), 0.05, kind)
    assert.isAbove(
      share(({ members }) => members.some(({ way }) => way === "process")),
      0.1,
      "chains"
    )
    assert.isAbove(
      share(({ transactors }) => new Set(transactors.map((one) => one.transactionalId)).size < transactors.length),
      0.05,
      "several of one transactional id"
    )
    assert.isAbove(has("link", "leave"), 0.02, "slow links while members leave")
  })
})
