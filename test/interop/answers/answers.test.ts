/**
 * The same questions to the embedded broker that plays a release and to a real broker of that release: each pair of
 * answers must be the same. What is known to differ is in `docs/embedded-broker.md`, and here by name.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Layer, ManagedRuntime } from "effect"
import { afterAll, beforeAll } from "vitest"
import * as Network from "../../../src/Network.ts"
import * as NodeNetwork from "../../../src/NodeNetwork.ts"
import { EmbeddedKafka } from "../../../src/testing/index.ts"
import * as KafkaServer from "../../integration/KafkaServer.ts"
import * as Ask from "./Ask.ts"
import * as Cases from "./Cases.ts"
import { differences } from "./differences.ts"

// 2.8.2 and 4.4.0 are asked more closely by `test/parity`.
const releases = (process.env.SAMSA_ANSWERS ?? "0.10.2.2 0.11.0.3 1.1.1 3.9.2 4.0.2").split(" ")
const playedAs = (version: string) =>
  (
    {
      "0.10.2.2": "0.10.2",
      "0.11.0.3": "0.11",
      "1.1.1": "1.1",
      "2.8.2": "2.8",
      "3.9.2": "3.9",
      "4.0.2": "4.0",
      "4.4.0": "4.4"
    } as const
  )[version as "4.4.0"]

for (const version of releases) {
  describe(`the embedded broker as ${playedAs(version)}, and Kafka ${version}`, () => {
    const runtime = ManagedRuntime.make(
      Layer.mergeAll(
        KafkaServer.layer({
          version: version as "4.4.0",
          properties: { "group.min.session.timeout.ms": 6000, "log.retention.ms": undefined }
        }),
        EmbeddedKafka.layer({ asVersion: playedAs(version), listen: true }),
        NodeNetwork.layer
      )
    )
    let asked = 0
    let same = 0
    let lacking = 0
    beforeAll(() => runtime.runPromise(Effect.void))
    afterAll(async () => {
      console.log(
        `${version}: ${asked} questions, ${same} answered alike, ${asked - same} not; ${lacking} are about APIs that it lacks`
      )
      await runtime.dispose()
    })
    for (const [i, one] of Cases.all.entries()) {
      it(`${one.api}: ${one.name}`, async () => {
        const answers = await runtime.runPromise(
          Effect.gen(function* () {
            const real = yield* KafkaServer.KafkaServer
            const embedded = yield* EmbeddedKafka.EmbeddedKafka
            const { connect } = yield* Network.Network
            const target = (bootstrap: ReadonlyArray<string>) => ({ bootstrap, connect }) as never
            const run = `${i}-${Math.floor(performance.now())}`
            const ask = (bootstrap: ReadonlyArray<string>) =>
              Effect.scoped(one.run(Ask.make(target(bootstrap), run))).pipe(
                Effect.timeout(60_000),
                Effect.catch((error) => Effect.succeed({ failed: String((error as { _tag?: string })._tag ?? error) })),
                Effect.catchDefect((defect) =>
                  Effect.succeed({ absent: defect instanceof Error ? defect.message : String(defect) })
                )
              )
            const [ours, theirs] = yield* Effect.all([ask(embedded.bootstrap), ask(real.bootstrap)], { concurrency: 2 })
            assert.deepStrictEqual(yield* embedded.defects, [])
            return {
              ours: JSON.parse(JSON.stringify(ours ?? null)),
              theirs: JSON.parse(JSON.stringify(theirs ?? null))
            }
          })
        )
        // a question that neither could be asked proves nothing
        if (
          String(answers.theirs?.absent).startsWith("the broker has no") &&
          answers.ours?.absent === answers.theirs.absent
        ) {
          lacking++
          return
        }
        for (const answer of [answers.ours, answers.theirs]) {
          assert.isUndefined(answer?.failed)
          assert.isUndefined(answer?.absent)
        }
        asked++
        const known = differences[`${one.api}: ${one.name}`]
        if (known?.releases.includes(version)) {
          assert.notDeepEqual(answers.ours, answers.theirs, "this difference is gone: take it off the list")
          return
        }
        assert.deepStrictEqual(answers.ours, answers.theirs)
        same++
      })
    }
  })
}
