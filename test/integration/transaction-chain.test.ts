/**
 * A chain of three topics, each copied into the next by members in processes of their own: they are killed at random,
 * one stands still beyond its session and wakes, and brokers are bounced. Read back by Java with read_committed, each
 * record is there exactly once. `SAMSA_FULL=1`: 100 000 records, on brokers of every age.
 */
import { spawn } from "node:child_process"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber, Layer, Stream } from "effect"
import { Consumer, Kafka, Producer, Topic } from "samsa"
import { type Seen, seen, twice } from "./Client.ts"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Mode, Version } from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const full = process.env.SAMSA_FULL === "1"
const records = Number(process.env.SAMSA_RECORDS ?? (full ? 100_000 : 2_000))
const partitions = 4
const brokers: ReadonlyArray<readonly [Version, Mode]> = full
  ? [
      ["0.11.0.3", "zookeeper"],
      ["2.8.2", "zookeeper"],
      ["3.9.2", "kraft"],
      ["4.4.0", "kraft"]
    ]
  : [["4.4.0", "kraft"]]

interface Member {
  readonly said: Seen<string>
  readonly signal: (signal: NodeJS.Signals) => void
}

const program = Path.join(fileURLToPath(new URL(".", import.meta.url)), "transaction-member.ts")

/** Members that can be killed and begun again under the same transactional id. */
const member = (...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const said = seen<string>()
    let child: ReturnType<typeof spawn> | undefined
    const begin = Effect.sync(() => {
      const started = spawn(process.execPath, ["--conditions=samsa-source", program, ...args], {
        detached: true,
        stdio: ["ignore", "pipe", "inherit"]
      })
      Processes.guard(started)
      child = started
      let rest = ""
      started.stdout.on("data", (data: Buffer) => {
        const lines = (rest + data.toString()).split("\n")
        rest = lines.pop()!
        for (const line of lines) said.add(line)
      })
    })
    const signal: Member["signal"] = (signal) => void child?.kill(signal)
    yield* Effect.acquireRelease(begin, () =>
      Effect.sync(() => {
        signal("SIGCONT")
        signal("SIGKILL")
      })
    )
    return {
      said,
      signal,
      again: Effect.andThen(
        Effect.sync(() => signal("SIGKILL")),
        begin
      )
    }
  })

for (const [version, mode] of brokers) {
  const properties = { "transaction.abort.timed.out.transaction.cleanup.interval.ms": 500 }
  layer(Layer.merge(KafkaServer.layer({ version, mode, properties }), JavaTools.layer), { excludeTestServices: true })(
    `Kafka ${version} (${mode})`,
    (it) => {
      it.effect(
        `${records} records through three topics, members killed and frozen, the broker bounced: each exactly once`,
        () =>
          Effect.gen(function* () {
            const server = yield* KafkaServer.KafkaServer
            const tools = yield* JavaTools.JavaTools
            for (const name of ["first", "second", "third"]) yield* server.createTopic(name, { partitions })
            const bootstrap = server.bootstrap.join()
            const stage = (name: string, group: string, from: string, to: string) =>
              member(bootstrap, name, group, from, to)
            const members = [
              yield* stage("a1", "a", "first", "second"),
              yield* stage("a2", "a", "first", "second"),
              yield* stage("b1", "b", "second", "third"),
              yield* stage("b2", "b", "second", "third")
            ]

            yield* Effect.gen(function* () {
              const producer = yield* Producer.Producer
              let sent = 0
              const send = Effect.suspend(() =>
                producer.sendAll(
                  Topic.bytes("first"),
                  Array.from({ length: Math.min(200, records - sent) }, () => ({
                    value: new TextEncoder().encode(`v${sent++}`),
                    partition: sent % partitions
                  }))
                )
              )
              yield* Effect.forkScoped(
                Effect.whileLoop({
                  while: () => sent < records,
                  body: () => Effect.andThen(send, Effect.sleep(full ? "50 millis" : "400 millis")),
                  step: () => {}
                })
              )
              // What comes out at the other end, also twice.
              const third = seen<string>()
              const consumer = yield* Consumer.assign({ topic: "third", from: "earliest" })
              yield* Effect.forkScoped(
                Stream.runForEachArray(consumer.stream, (array) =>
                  Effect.sync(() => {
                    for (const { value } of array) third.add(new TextDecoder().decode(value!))
                  })
                )
              )
              const more = (count: number) =>
                Effect.suspend(() => {
                  const goal = Math.min(records, third.all.length + count)
                  return third.until(`${goal} have come through`, (all) => all.length >= goal)
                })
              const rounds = full ? 4 : 1
              yield* more(1)
              for (let round = 0; round < rounds; round++) {
                const frozen = members[(round + 2) % members.length]!
                const before = frozen.said.all.length
                // Brokers before 2.5 do not refuse what a member commits that the group has gone on without.
                const freezes = version !== "0.11.0.3"
                if (freezes) frozen.signal("SIGSTOP")
                // Beyond its session; in the whole chain beyond its transaction's time, too.
                const asleep = yield* Effect.forkChild(Effect.sleep(full ? "35 seconds" : "8 seconds"))
                for (const one of full ? members.filter((other) => other !== frozen) : [members[0]!]) {
                  const since = one.said.all.length
                  yield* one.again
                  yield* one.said.until("it works again", (all) => all.slice(since).includes("Assigned"))
                }
                if (freezes) {
                  yield* Fiber.join(asleep)
                  frozen.signal("SIGCONT")
                  // Lost, where it held something in that moment; else it joins anew.
                  yield* frozen.said.until("it goes on", (all) =>
                    all.slice(before).some((line) => line === "Lost" || line === "Assigned")
                  )
                }
                const node = server.nodes[0]!
                yield* node[round % 2 === 0 ? "kill" : "stop"]
                yield* node.start
                yield* more(100)
              }
              yield* third.until(
                "all have come through",
                (all) => all.length >= records && new Set(all).size === records
              )
            }).pipe(
              Effect.scoped,
              Effect.provide(Producer.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: server.bootstrap }))))
            )
            const isolated = ["--from-beginning", "--isolation-level", "read_committed", "--timeout-ms", "5000"]
            const tool = "kafka.tools.ConsoleConsumer"
            const text = yield* tools.run(tool, "--bootstrap-server", bootstrap, "--topic", "third", ...isolated)
            const values = text.split("\n").filter((line) => /^v\d+$/.test(line))
            assert.deepStrictEqual(twice(values), [], "there twice")
            assert.strictEqual(new Set(values).size, records)
            // Before 4.0 a coordinator that aborts what was open for too long fences who slept (docs/transactions.md).
            const isExpected = (line: string) => version !== "4.4.0" && line.includes("Fenced")
            const failed = members.flatMap(({ said }) => said.all.filter((line) => line.startsWith("failed")))
            assert.deepStrictEqual(
              failed.filter((line) => !isExpected(line)),
              []
            )
          }).pipe(Effect.scoped, KafkaServer.diagnosed),
        1_200_000
      )
    }
  )
}
