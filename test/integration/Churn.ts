/** Two to four members of ours that come and go on a real broker while records flow: each record is handled once. */
import { assert } from "@effect/vitest"
import { type Duration, Effect } from "effect"
import { Producer, Topic } from "samsa"
import * as Schema from "effect/Schema"
import { twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Party from "./Party.ts"

const partitions = 8

export interface Options extends Pick<Party.Options, "assignors" | "as"> {
  /** Of the topic, and of the group. */
  readonly name: string
  readonly records: number
  /** So many are sent at a time … */
  readonly atOnce: number
  /** … and then none for so long. */
  readonly every: Duration.Input
}

export const churn = Effect.fnUntraced(function* ({ atOnce, every, name, records, ...membership }: Options) {
  const server = yield* KafkaServer.KafkaServer
  yield* server.createTopic(name, { partitions })
  const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })
  const party = Party.make({ ...membership, group: name, topic })
  const producer = yield* Producer.Producer
  let sent = 0
  const send = Effect.suspend(() => {
    const count = Math.min(atOnce, records - sent)
    const entries = Array.from({ length: count }, () => ({
      key: null,
      value: `${sent++}`,
      partition: sent % partitions
    }))
    return producer.sendAll(topic, entries)
  })
  let joined = 0
  const join = Effect.suspend(() => party.join(`m${joined++}`))
  const members: Array<Effect.Effect<void>> = [yield* join, yield* join]
  const flow = yield* Effect.forkScoped(
    Effect.whileLoop({
      while: () => sent < records,
      body: () => Effect.andThen(send, Effect.sleep(every)),
      step: () => {}
    })
  )
  // The oldest leaves, the next joins.
  for (let turn = 0; flow.pollUnsafe() === undefined; turn++) {
    if (members.length < 4 && turn % 3 !== 2) members.push(yield* join)
    else yield* members.shift()!
    yield* Effect.sleep("500 millis")
  }
  yield* party.handled.until("all are handled", (all) => all.length >= records)
  yield* Effect.forEach(members, (leave) => leave, { concurrency: "unbounded" })
  const values = party.handled.all.map((one) => one.value)
  assert.deepStrictEqual(twice(values), [], "handled twice")
  assert.strictEqual(new Set(values).size, records)
  assert.deepStrictEqual(Party.overlaps(party.held.all), [], "in two hands at a time")
  assert.isAbove(joined, 4)
})
