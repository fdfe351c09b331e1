/**
 * A group whose members, in processes of their own, are killed at random and replaced while records flow: none is missed,
 * and twice comes only what one had done right before its end. Ten of them for five minutes where `SAMSA_FULL` is set.
 */
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Producer, Topic } from "samsa"
import { choices } from "../../src/testing/simulation/Choices.ts"
import * as Program from "../interop/Program.ts"
import { today } from "../today.ts"
import { connected } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"

const full = process.env.SAMSA_FULL !== undefined
const [size, kills, partitions] = full ? [10, 100, 20] : [3, 4, 6]
const seed = Number(process.env.SAMSA_SEED ?? today())
/** Milliseconds before its end in which a member may not have committed what it did (it does so every 200). */
const grace = 5_000

/** What a member in a process of its own says. */
type Said =
  | {
      readonly event: "done"
      readonly at: number
      readonly partition: number
      readonly offset: number
      readonly value: string
    }
  | { readonly event: "Assigned" | "Revoked" | "Lost"; readonly partitions: ReadonlyArray<number> }

const program = fileURLToPath(new URL("consumer-member.ts", import.meta.url))

const server = KafkaServer.layer({
  version: "4.4.0",
  properties: {
    "group.consumer.min.heartbeat.interval.ms": 300,
    "group.consumer.heartbeat.interval.ms": 300,
    "group.consumer.min.session.timeout.ms": 1_000,
    "group.consumer.session.timeout.ms": 6_000
  }
})
layer(server, { excludeTestServices: true })("Kafka 4.4.0", (it) => {
  it.effect(
    `${kills} of its members are killed: no record is missed, and twice comes only what was not committed (seed ${seed})`,
    () =>
      Effect.gen(function* () {
        const { bootstrap, createTopic } = yield* KafkaServer.KafkaServer
        const choose = choices(seed)
        yield* createTopic("decimated", { partitions })
        const member = Program.start<Said>({
          command: [
            process.execPath,
            "--conditions=samsa-source",
            program,
            JSON.stringify({ bootstrap, topic: "decimated", membership: { sessionTimeout: 6_000 } })
          ],
          parse: (line) => (line.startsWith("{") ? (JSON.parse(line) as Said) : undefined)
        })
        const doneBy = ({ events }: Program.Program<Said>) =>
          events.flatMap((said) => (said.event === "done" ? [said] : []))
        const topic = Topic.bytes("decimated")
        const producer = yield* Producer.Producer
        let sent = 0
        let flows = true
        const send = Effect.suspend(() => {
          const entries = Array.from({ length: 16 }, () => ({
            value: Buffer.from(String(sent++)),
            partition: sent % partitions
          }))
          return producer.sendAll(topic, entries)
        })
        const flow = yield* Effect.forkScoped(
          Effect.whileLoop({ while: () => flows, body: () => Effect.andThen(send, Effect.sleep(50)), step: () => {} })
        )
        const all = [...(yield* Effect.forEach(Array.from({ length: size }), () => member))]
        const alive = [...all]
        for (const one of alive) yield* one.until("it has its share", () => doneBy(one).length > 0)
        for (let i = 0; i < kills; i++) {
          yield* Effect.sleep(full ? "3 seconds" : "1500 millis")
          const [one] = alive.splice(choose.below(alive.length), 1)
          yield* one!.signal("SIGKILL")
          yield* one!.end
          const next = yield* member
          all.push(next)
          alive.push(next)
        }
        flows = false
        yield* Fiber.join(flow)
        const done = () => new Set(all.flatMap((one) => doneBy(one).map(({ value }) => value)))
        yield* Effect.raceAll(alive.map((one) => one.until("none is missed", () => done().size === sent)))

        const told = all.flatMap((one) => {
          const said = doneBy(one)
          const sure = alive.includes(one) ? Infinity : (said.at(-1)?.at ?? 0) - grace
          return said.map(({ at, value }) => ({ at, value, isSettled: at < sure }))
        })
        const settled = new Set<string>()
        const again: Array<string> = []
        for (const { isSettled, value } of told.sort((a, b) => a.at - b.at)) {
          if (settled.has(value)) again.push(value)
          if (isSettled) settled.add(value)
        }
        // Of each partition in order, each time that it has it.
        for (const { events } of all) {
          const last = new Map<number, number>()
          for (const each of events) {
            if (each.event === "done") {
              assert.isAbove(each.offset, last.get(each.partition) ?? -1)
              last.set(each.partition, each.offset)
            } else for (const partition of each.partitions) last.delete(partition)
          }
        }
        assert.deepStrictEqual(again, [], "handled again")
      }).pipe(connected, KafkaServer.diagnosed),
    (full ? 600 : 180) * 1000
  )
})
