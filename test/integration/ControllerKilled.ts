/** Verbs that the controller is asked for while it is killed: what each answers is so afterwards. */
import { assert } from "@effect/vitest"
import { Effect, Result } from "effect"
import { Admin, ErrorCode } from "samsa"
import { eventually, failure, value } from "./Admins.ts"
import * as KafkaServer from "./KafkaServer.ts"

const { codes } = ErrorCode

/** The node that controls: a broker of KRaft names any. */
const controller = Effect.gen(function* () {
  const admin = yield* Admin.Admin
  const { mode, nodes } = yield* KafkaServer.KafkaServer
  const id = mode === "kraft" ? (yield* admin.describeQuorum()).leader : (yield* admin.describeCluster()).controller
  return nodes.find((node) => node.id === id)!
})

/**
 * An answer that is a success, or the refusal that an earlier try is the cause of. The client says so where the try was
 * its own; a broker of 4.4.0 also asks its controller again by itself, and then nobody but it could know.
 */
const doneOrDone = <A>(answer: Admin.Answer<A>, code: number): void => {
  if (Result.isSuccess(answer)) return
  const { message, reason } = failure(answer)
  assert.isTrue(reason._tag === "Server" && reason.code === code, message)
}

/** Some of each verb one after the other, all kinds at once; the controller is killed once each kind has done a first. */
export const check = Effect.gen(function* () {
  const admin = yield* Admin.Admin
  const server = yield* KafkaServer.KafkaServer
  const users = Array.from({ length: 8 }, (_, i) => `user-${i}`)
  const names = (kind: string) => users.map((_, i) => `${kind}-${i}`)
  const [fresh, old, grown, set] = [names("fresh"), names("old"), names("grown"), names("set")]
  // ZooKeeper's controller gives partitions to topics of as many replicas as there are brokers left.
  yield* Effect.forEach([...old, ...grown, ...set], (name) => server.createTopic(name, { replication: 2 }), {
    concurrency: 8,
    discard: true
  })
  const node = yield* controller

  let begun = 0
  const kinds = 5
  const kill = Effect.suspend(() => (++begun === kinds ? node.kill : Effect.void))
  /** One after the other, as those who use it in a loop do: the answer of each. */
  const each = <A, E, R>(
    names: ReadonlyArray<string>,
    verb: (name: string) => Effect.Effect<ReadonlyArray<Admin.Answer<A>>, E, R>
  ) =>
    Effect.forEach(names, (name, i) =>
      Effect.map(
        Effect.tap(verb(name), () => (i === 0 ? kill : Effect.void)),
        ([answer]) => answer!
      )
    )
  const [created, deleted, more, changed, limited] = yield* Effect.all(
    [
      each(fresh, (name) => admin.createTopics([{ name, partitions: 2, replicationFactor: 2 }])),
      each(old, (name) => admin.deleteTopics([name])),
      each(grown, (topic) => admin.createPartitions([{ topic, count: 3 }])),
      each(set, (name) => admin.alterConfigs([{ type: "topic", name, set: { "retention.ms": 1_234_567 } }])),
      each(users, (user) => admin.alterQuotas([{ entity: { user }, set: { producer_byte_rate: 4711 } }]))
    ],
    { concurrency: "unbounded" }
  )
  assert.isFalse(node.running())
  assert.notStrictEqual((yield* controller).id, node.id)
  for (const answer of created) doneOrDone(answer, codes.TOPIC_ALREADY_EXISTS)
  for (const answer of deleted) doneOrDone(answer, codes.UNKNOWN_TOPIC_OR_PARTITION)
  for (const answer of more) doneOrDone(answer, codes.INVALID_PARTITIONS)
  for (const answer of [...changed, ...limited]) value(answer)
  // Brokers learn of it a moment later.
  yield* eventually(admin.listTopics(), (all) => {
    const partitions = new Map(all.map((one) => [one.name, one.partitions]))
    return (
      fresh.every((name) => partitions.get(name) === 2) &&
      grown.every((name) => partitions.get(name) === 3) &&
      !old.some((name) => partitions.has(name))
    )
  })
  yield* eventually(Admin.orFail(admin.describeConfigs(set.map((name) => ({ type: "topic", name })))), (all) =>
    all.every(({ entries }) => entries.some((one) => one.name === "retention.ms" && one.value === "1234567"))
  )
  yield* eventually(admin.describeQuotas(), (all) =>
    users.every((user) =>
      all.some(({ entity, quotas }) => entity.user === user && quotas["producer_byte_rate"] === 4711)
    )
  )
})
