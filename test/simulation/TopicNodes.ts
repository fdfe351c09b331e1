/**
 * What brokers write in ZooKeeper of the other topic of a walk, which is deleted and made again, and how often members
 * tell of that and are given what is in it. Its node comes before brokers tell of the topic; those that tell ids write
 * them into it, here once they have taken up what a tool made that knows none. Without ids a topic is told from the one
 * before only where it is gone for a while.
 */
import { Effect } from "effect"
import { Cluster, type Consumer, type ZooKeeper } from "samsa"
import { EmbeddedKafka, type Oracle } from "samsa/testing"
import type { Choices } from "../../src/testing/simulation/Choices.ts"
import { topicPath } from "../../src/zookeeper/Registration.ts"
import { extra, extraPartitions } from "./World.ts"

const path = topicPath(extra.name)
const partitions = Object.fromEntries(Array.from({ length: extraPartitions }, (_, i) => [i, [1]]))
const dataOf = (id?: string) => Buffer.from(JSON.stringify({ version: 1, topic_id: id, partitions }))

export class TopicNodes {
  /** Members that were told more than once of what was made once. */
  readonly lies: Array<string> = []
  private readonly told = new Map<string, number>()
  private readonly joined = new Map<string, number>()
  /** How often it was begun to be replaced, and how often it was everywhere. */
  private begun = 0
  private done = 0

  joins(member: string): void {
    this.joined.set(member, this.done)
  }

  hears(member: string, event: Consumer.ConsumerEvent): void {
    const places = event._tag === "Recreated" ? [event.partition] : event._tag === "Deleted" ? event.partitions : []
    const most = this.begun - this.joined.get(member)!
    for (const { partition } of places) {
      const key = `${member} ${extra.name}-${partition}`
      const times = this.told.get(key) ?? 0
      if (event._tag === "Recreated") this.told.set(key, times + 1)
      if (times >= most) this.lies.push(`${key}: ${event._tag}, though it came again ${times} times`)
    }
  }

  /** Brokers that write of it. `meanwhile` happens just before that, and before they tell of it. */
  readonly writes = Effect.fnUntraced(function* (
    this: TopicNodes,
    hasIds: boolean,
    zooKeeper: ZooKeeper.ZooKeeper["Service"],
    choose: Choices,
    meanwhile: Effect.Effect<unknown, unknown>
  ) {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    const ofId = Effect.map(cluster.topics([extra.name]), ([info]) => dataOf(info?.id))
    const write = (data: Effect.Effect<Uint8Array, unknown>) =>
      Effect.ignore(
        Effect.flatMap(data, (data) => Effect.andThen(zooKeeper.remove(path), zooKeeper.create(path, data)))
      )
    const between = Effect.suspend(() =>
      Effect.andThen(
        choose.chance(0.5) ? Effect.ignore(meanwhile) : Effect.void,
        Effect.sleep(choose.of([0, 500, 3_000]))
      )
    )
    const made = <E>(make: Effect.Effect<void, E>) =>
      Effect.gen({ self: this }, function* () {
        yield* between
        yield* write(Effect.succeed(dataOf()))
        yield* between
        yield* make
        if (hasIds) yield* Effect.ignore(Effect.flatMap(ofId, (data) => zooKeeper.set(path, data)))
        this.done++
      })
    yield* write(ofId)
    const deleteTopic: typeof broker.deleteTopic = (topic) =>
      Effect.andThen(
        Effect.sync(() => this.begun++),
        Effect.tap(broker.deleteTopic(topic), () => Effect.ignore(zooKeeper.remove(path)))
      )
    const createTopic: typeof broker.createTopic = (options) => made(broker.createTopic(options))
    const recreateTopic: typeof broker.recreateTopic = Effect.fnUntraced(function* (topic) {
      yield* deleteTopic(topic)
      if (!hasIds) yield* Effect.sleep(3_000)
      yield* createTopic({ name: extra, partitions: extraPartitions })
    })
    return { ...broker, deleteTopic, createTopic, recreateTopic } satisfies EmbeddedKafka.Service
  })
}

/** Records of it that a member was given more than once, though it had the partition all the while. */
export const givenTwice = (history: ReadonlyArray<Oracle.Event>): ReadonlyArray<string> => {
  const given = new Map<string, Set<string>>()
  const twice: Array<string> = []
  for (const event of history) {
    if (!("topic" in event) || event.topic !== extra.name || !("member" in event)) continue
    const key = `${event.member} ${extra.name}-${event.partition}`
    if (event._tag === "Assigned") given.set(key, new Set())
    if (event._tag !== "Delivered") continue
    for (const content of event.contents ?? []) {
      if (given.get(key)?.has(content) === true) twice.push(`${key}: given ${content} twice`)
      given.get(key)?.add(content)
    }
  }
  return twice
}
