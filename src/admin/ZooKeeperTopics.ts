/**
 * Topics made in ZooKeeper, for brokers that have no API for it (before 0.10.1; more partitions: before 1.0): what
 * kafka-topics of those releases does. The controller hears of it, and does the rest.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as CreatePartitions from "../protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../protocol/messages/CreateTopics.ts"
import type { ZooKeeper } from "../ZooKeeper.ts"
import * as Ask from "./Ask.ts"
import * as Failure from "./Failure.ts"
import * as NewTopics from "./NewTopics.ts"
import type { TopicRef } from "./Topics.ts"
import * as Assignment from "./ZooKeeperAssignment.ts"

const code = ErrorCode.codes

type ZooKeeperService = ZooKeeper["Service"]
type Fails<A> = Effect.Effect<A, KafkaError.KafkaError>

const bytes = (text: string) => new TextEncoder().encode(text)
const topicPath = (topic: string) => `/brokers/topics/${topic}`

/** Whether brokers speak an API. */
const speaks = ({ cluster }: Ask.Parts, key: number): Fails<boolean> =>
  Effect.flatMap(cluster.any, (broker) => Effect.map(broker.offer(), ({ ranges }) => ranges.has(key)))

const late = (millis: number, waitingFor: string) =>
  Effect.fail(KafkaError.make({ _tag: "TimedOut", budget: "timeout", millis, waitingFor }))

/**
 * Asks brokers where they speak the API, else each topic by itself in ZooKeeper, those of one name in their order: what
 * becomes of it within the time, which is that of all.
 */
const either = <I, A, O extends Ask.Bounds>(
  parts: Ask.Parts,
  key: number,
  {
    items,
    nameOf,
    options
  }: { readonly items: ReadonlyArray<I>; readonly nameOf: (item: I) => unknown; readonly options: O },
  native: (options: O) => Ask.Answers<A>,
  f: (item: I) => Fails<A>
): Ask.Answers<A> =>
  Effect.gen(function* () {
    const left = yield* Ask.spending(parts, options)
    const { timeout: millis } = left()
    const spoken = Effect.timeoutOrElse(speaks(parts, key), {
      duration: millis,
      orElse: () => late(millis, "what the brokers speak")
    })
    if (yield* spoken) return yield* native(left())
    const within = (item: I) =>
      Effect.timeoutOrElse(f(item), {
        duration: left().timeout,
        orElse: () =>
          late(
            millis,
            "brokers to do what is written in ZooKeeper (topics are deleted where delete.topic.enable is true)"
          )
      })
    const answers = new Map<number, Ask.Answer<A>>()
    const byName = Map.groupBy(items.keys(), (i) => nameOf(items[i]!))
    yield* Effect.forEach(
      byName.values(),
      (places) =>
        Effect.forEach(
          places,
          (i) => Effect.map(Effect.result(Effect.suspend(() => within(items[i]!))), (answer) => answers.set(i, answer)),
          { discard: true }
        ),
      { concurrency: 16, discard: true }
    )
    return items.map((_, i) => answers.get(i)!)
  })

/** Waits until brokers tell of so many partitions, each with a leader. */
const ready = ({ cluster, retry }: Ask.Parts, topic: string, partitions: number): Fails<void> =>
  Effect.retry(
    Effect.flatMap(cluster.topics([topic]), ([info]) => {
      const led = info?.partitions.filter(({ leader }) => leader >= 0).length ?? 0
      return led >= partitions
        ? Effect.void
        : Effect.fail(KafkaError.fromCode(code.LEADER_NOT_AVAILABLE, { api: "Metadata", topic }))
    }),
    { schedule: Backoff.guarded(retry), while: (error) => error.isRetryable }
  )

const checked = ({ assignments, config = {}, name, partitions, replicationFactor }: NewTopics.NewTopic) => [
  ...(assignments === undefined && (partitions === undefined || replicationFactor === undefined)
    ? [`"${name}": partitions and replicationFactor have to be said, since ZooKeeper knows no defaults`]
    : []),
  ...Assignment.mistakes(config)
]

const createOne = (parts: Ask.Parts, zooKeeper: ZooKeeperService, topic: NewTopics.NewTopic, validateOnly: boolean) =>
  Effect.gen(function* () {
    const { assignments, config = {}, name, partitions = 0, replicationFactor = 0 } = topic
    const where = { topic: name }
    if (!Assignment.isLegalName(name)) return yield* Failure.of(code.INVALID_TOPIC_EXCEPTION, null, where)
    const mistakes = [...NewTopics.checkNew(topic), ...checked(topic)]
    if (mistakes.length > 0) return yield* Failure.mistakes(mistakes)
    const brokers = (yield* zooKeeper.brokers).map(({ id }) => id).sort((a, b) => a - b)
    if (assignments === undefined && replicationFactor > brokers.length)
      return yield* Failure.of(
        code.INVALID_REPLICATION_FACTOR,
        `replicationFactor ${replicationFactor} is more than the ${brokers.length} brokers that live`,
        where
      )
    const unknown = (assignments ?? []).flat().filter((id) => !brokers.includes(id))
    if (unknown.length > 0)
      return yield* Failure.of(code.INVALID_REPLICA_ASSIGNMENT, `there is no broker ${unknown.join(", ")}`, where)
    const start = yield* Random.nextIntBetween(0, Math.max(0, brokers.length - 1))
    const spread = assignments ?? Assignment.spread(brokers, partitions, replicationFactor, start)
    const exists = () => Failure.of(code.TOPIC_ALREADY_EXISTS, null, where)
    if ((yield* zooKeeper.get(topicPath(name))) !== undefined) return yield* exists()
    const created: NewTopics.CreatedTopic = {
      name,
      id: undefined,
      partitions: spread.length,
      replicationFactor: spread[0]!.length,
      config: undefined
    }
    if (validateOnly) return created
    // Settings first: the controller begins when it sees the topic. Those of a topic that was deleted may be there yet.
    const settings = bytes(Assignment.configNode(config))
    yield* Effect.catch(zooKeeper.create(`/config/topics/${name}`, settings), (error) =>
      refusal(error) === "NODE_EXISTS" ? zooKeeper.set(`/config/topics/${name}`, settings) : Effect.fail(error)
    )
    yield* Effect.catch(zooKeeper.create(topicPath(name), bytes(Assignment.topicNode(spread))), (error) =>
      Effect.fail(refusal(error) === "NODE_EXISTS" ? exists() : error)
    )
    yield* ready(parts, name, spread.length)
    return created
  })

const refusal = ({ reason }: KafkaError.KafkaError): string | undefined =>
  reason._tag === "ZooKeeperRefused" ? reason.name : undefined

const deleteOne = (zooKeeper: ZooKeeperService, ref: TopicRef) =>
  Effect.gen(function* () {
    if (typeof ref !== "string") return yield* Failure.mistakes(["topics have no ids before 2.8"])
    if (!Assignment.isLegalName(ref)) return yield* Failure.of(code.INVALID_TOPIC_EXCEPTION, null, { topic: ref })
    if ((yield* zooKeeper.get(topicPath(ref))) === undefined)
      return yield* Failure.of(code.UNKNOWN_TOPIC_OR_PARTITION, null, { topic: ref })
    yield* Effect.catch(zooKeeper.create(`/admin/delete_topics/${ref}`, new Uint8Array(0)), (error) =>
      // It is being deleted already.
      refusal(error) === "NODE_EXISTS" ? Effect.void : Effect.fail(error)
    )
    yield* zooKeeper.watch(topicPath(ref)).pipe(
      Stream.takeUntil((node) => node === undefined),
      Stream.runDrain
    )
  })

const growOne = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  { assignments, count, topic }: NewTopics.NewPartitions,
  validateOnly: boolean
) =>
  Effect.gen(function* () {
    const where = { topic }
    const node = Assignment.isLegalName(topic) ? yield* zooKeeper.read(topicPath(topic)) : undefined
    if (node === undefined) return yield* Failure.of(code.UNKNOWN_TOPIC_OR_PARTITION, null, where)
    const there = Assignment.readTopicNode(new TextDecoder().decode(node.data))
    if (there === undefined)
      return yield* KafkaError.make({ _tag: "Corrupt", what: topicPath(topic), problem: "it is no assignment", topic })
    const more = count - there.length
    if (!Number.isSafeInteger(count) || more <= 0)
      return yield* Failure.of(code.INVALID_PARTITIONS, `"${topic}" has ${there.length} partitions already`, where)
    if (assignments !== undefined && assignments.length !== more)
      return yield* Failure.of(code.INVALID_REPLICA_ASSIGNMENT, `assignments must be of ${more} partitions`, where)
    const brokers = (yield* zooKeeper.brokers).map(({ id }) => id).sort((a, b) => a - b)
    const replicas = there[0]?.length ?? 1
    const start = Math.max(0, brokers.indexOf(there[0]?.[0] ?? 0))
    const added = assignments ?? Assignment.spread(brokers, more, replicas, start, there.length)
    if (validateOnly) return
    yield* zooKeeper.set(topicPath(topic), bytes(Assignment.topicNode([...there, ...added])), node.stat.version)
    yield* ready(parts, topic, count)
  })

export const create = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<NewTopics.NewTopic>,
  options: NewTopics.ChangeOptions = {}
): Ask.Answers<NewTopics.CreatedTopic> =>
  either(
    parts,
    CreateTopics.Request.key,
    { items, nameOf: ({ name }) => name, options },
    (options) => NewTopics.create(parts, items, options),
    (topic) => createOne(parts, zooKeeper, topic, options.validateOnly === true)
  )

export const deleteAll = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<TopicRef>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  either(
    parts,
    CreateTopics.Request.key,
    { items, nameOf: (ref) => ref, options },
    (options) => NewTopics.deleteAll(parts, items, options),
    (ref) => deleteOne(zooKeeper, ref)
  )

export const addPartitions = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<NewTopics.NewPartitions>,
  options: NewTopics.ChangeOptions = {}
): Ask.Answers<void> =>
  either(
    parts,
    CreatePartitions.Request.key,
    { items, nameOf: ({ topic }) => topic, options },
    (options) => NewTopics.addPartitions(parts, items, options),
    (topic) => growOne(parts, zooKeeper, topic, options.validateOnly === true)
  )
