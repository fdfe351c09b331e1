/**
 * Topics made in ZooKeeper, for brokers that have no API for it (before 0.10.1; more partitions: before 1.0): what
 * kafka-topics of those releases does. The controller hears of it, and does the rest.
 */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import { listed } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import * as CreatePartitions from "../protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../protocol/messages/CreateTopics.ts"
import * as Operations from "../zookeeper/Operations.ts"
import { topicPath } from "../zookeeper/Registration.ts"
import type { ZooKeeper } from "../ZooKeeper.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as NewTopics from "./NewTopics.ts"
import * as Plan from "./Plan.ts"
import * as Topics from "./Topics.ts"
import * as Assignment from "./ZooKeeperAssignment.ts"

const code = ErrorCode.codes

type ZooKeeperService = ZooKeeper["Service"]
type Fails<A> = Effect.Effect<A, KafkaError.KafkaError>

const bytes = (text: string) => new TextEncoder().encode(text)

/** Whether brokers speak an API. */
const speaks = ({ cluster }: Ask.Parts, key: number): Fails<boolean> =>
  Effect.flatMap(cluster.any, (broker) => Effect.map(broker.offer(), ({ ranges }) => ranges.has(key)))

const late = (millis: number, waitingFor: string) =>
  Effect.fail(KafkaError.make({ _tag: "TimedOut", budget: "timeout", millis, waitingFor }))

/** Waits for brokers to do what is written in ZooKeeper; tells of it while that lasts. */
type Awaits = (topic: string, what: string, self: Fails<void>) => Fails<void>

const awaiting = (): Awaits => {
  const alike = new LogEvent.Repeated()
  return (topic, what, self) => {
    const text = `topic ${topic}: ${what}; brokers have not done for ${LogEvent.lastsAfter / 1000} s and more what is written in ZooKeeper`
    const told = alike.log(what, topic, "requestRetried", text, { topic })
    return Effect.raceFirst(self, Effect.forever(Effect.delay(told, LogEvent.lastsAfter)))
  }
}

/** What is done: the API that does it where brokers speak it, and what is wrong with an item. */
interface Verb<I> {
  readonly api: string
  readonly number: number
  /** What an item is about. */
  readonly key: (item: I) => string
  readonly check: (item: I) => ReadonlyArray<string>
}

/**
 * Asks brokers where they speak the API, else each topic by itself in ZooKeeper, those of one name in their order: what
 * becomes of it within the time, which is that of all.
 */
const either = <I, A, O extends Ask.Bounds>(
  parts: Ask.Parts,
  verb: Verb<I>,
  items: ReadonlyArray<I>,
  options: O,
  native: (options: O) => Ask.Answers<A>,
  f: (item: I, awaits: Awaits) => Fails<A>
): Ask.Answers<A> =>
  Effect.gen(function* () {
    const left = yield* Ask.spending(parts, options)
    const noList = Check.list("topics", items)
    if (noList.length > 0) return yield* Failure.mistakes(noList)
    const { timeout: millis } = left()
    const spoken = Effect.timeoutOrElse(speaks(parts, verb.number), {
      duration: millis,
      orElse: () => late(millis, "what the brokers speak")
    })
    if (yield* spoken) return yield* native(left())
    const awaits = awaiting()
    const within = (item: I) =>
      Effect.timeoutOrElse(f(item, awaits), {
        duration: left().timeout,
        orElse: () =>
          late(
            millis,
            "brokers to do what is written in ZooKeeper (topics are deleted where delete.topic.enable is true)"
          )
      })
    const answers = Array.from(items, (item): Ask.Answer<A> | undefined => {
      const mistakes = Ask.problemsOf({ ...verb, route: () => Plan.controller }, item)
      return mistakes.length === 0 ? undefined : Result.fail(Failure.mistakes(mistakes))
    })
    const asked = [...answers.keys()].filter((i) => answers[i] === undefined)
    const byName = Map.groupBy(asked, (i) => Assignment.undotted(verb.key(items[i]!)))
    yield* Effect.forEach(
      byName.values(),
      (places) =>
        Effect.forEach(
          places,
          (i) =>
            Effect.map(Effect.result(Effect.suspend(() => within(items[i]!))), (answer) => void (answers[i] = answer)),
          { discard: true }
        ),
      { concurrency: 16, discard: true }
    )
    return answers.map((answer) => answer!)
  })

/** Waits until brokers tell of so many partitions, each with a leader. */
const ready = ({ cluster, retry }: Ask.Parts, awaits: Awaits, topic: string, partitions: number): Fails<void> =>
  awaits(
    topic,
    "not every partition has a leader",
    Effect.retry(
      Effect.flatMap(cluster.topics([topic]), ([info]) => {
        const led = info?.partitions.filter(({ leader }) => leader >= 0).length ?? 0
        return led >= partitions
          ? Effect.void
          : Effect.fail(KafkaError.fromCode(code.LEADER_NOT_AVAILABLE, { api: "Metadata", topic }))
      }),
      { schedule: Backoff.guarded(retry), while: (error) => error.isRetryable }
    )
  )

/** What a node may hold beside its path, for which, with a chroot, there is room. */
const mostBytes = Operations.mostBytes - 1024

const tooMany = (where: { readonly topic: string }, what: string) =>
  Failure.of(code.INVALID_PARTITIONS, `${what}; its node in ZooKeeper holds ${mostBytes} bytes`, where)

/** The node of a topic, where it fits one. */
const nodeOf = (where: { readonly topic: string }, assignments: ReadonlyArray<ReadonlyArray<number>>) => {
  const node = bytes(Assignment.topicNode(assignments))
  return node.length <= mostBytes
    ? Effect.succeed(node)
    : Effect.fail(tooMany(where, `${assignments.length} partitions take ${node.length} bytes`))
}

const checkNew = (topic: NewTopics.NewTopic): ReadonlyArray<string> => {
  const mistakes = NewTopics.checkNew(topic)
  if (mistakes.length > 0) return mistakes
  const { assignments, config, name, partitions, replicationFactor } = topic
  return [
    ...((assignments ?? undefined) === undefined && (partitions === undefined || replicationFactor === undefined)
      ? [`"${name}": partitions and replicationFactor have to be said, since ZooKeeper knows no defaults`]
      : []),
    ...Assignment.mistakes(config ?? {})
  ]
}

/** Why assignments cannot be. */
const unfit = (assignments: ReadonlyArray<ReadonlyArray<number>>, replicas: number, brokers: ReadonlyArray<number>) => {
  const unknown = [...new Set(assignments.flat())].filter((id) => !brokers.includes(id))
  if (unknown.length > 0) return `no broker ${unknown.join(", ")} is up`
  return assignments.some((ids) => ids.length !== replicas)
    ? `all partitions of a topic have as many replicas: ${replicas}`
    : undefined
}

/** Where partitions from `from` on are to be: as it is said, or spread over the brokers that live. */
const placed = (
  zooKeeper: ZooKeeperService,
  where: { readonly topic: string },
  {
    assignments,
    first,
    from,
    partitions,
    replicas
  }: {
    readonly assignments: ReadonlyArray<ReadonlyArray<number>> | undefined
    readonly partitions: number
    readonly replicas: number
    /** The broker to begin with; undefined for any. */
    readonly first: number | undefined
    readonly from: number
  }
) =>
  Effect.gen(function* () {
    // The least that a partition takes is `"0":[1],`: what is beyond that is not even spread.
    if (partitions > mostBytes / 8) return yield* tooMany(where, `${from + partitions} partitions are too many`)
    const living = yield* zooKeeper.brokers
    const brokers = living.map(({ id }) => id).sort((a, b) => a - b)
    if (assignments !== undefined) {
      const problem = unfit(assignments, replicas, brokers)
      return problem === undefined ? assignments : yield* Failure.of(code.INVALID_REPLICA_ASSIGNMENT, problem, where)
    }
    if (replicas > brokers.length)
      return yield* Failure.of(
        code.INVALID_REPLICATION_FACTOR,
        `replicationFactor ${replicas} is more than the ${brokers.length} brokers that live`,
        where
      )
    const start =
      first === undefined ? yield* Random.nextIntBetween(0, brokers.length - 1) : Math.max(0, brokers.indexOf(first))
    return Assignment.spread(living, partitions, replicas, start, from)
  })

/** Writes a topic's settings; gives what puts back what was there before: those of one that was deleted may be there yet. */
const configure = (zooKeeper: ZooKeeperService, name: string, settings: Uint8Array) =>
  Effect.gen(function* () {
    const path = `/config/topics/${name}`
    const before = yield* zooKeeper.get(path)
    yield* Effect.catch(zooKeeper.create(path, settings), (error) =>
      refusal(error) === "NODE_EXISTS" ? zooKeeper.set(path, settings) : Effect.fail(error)
    )
    return before === undefined
      ? Effect.asVoid(zooKeeper.remove(path, { data: settings }))
      : zooKeeper.set(path, before)
  })

const createOne = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  topic: NewTopics.NewTopic,
  validateOnly: boolean,
  awaits: Awaits
) =>
  Effect.gen(function* () {
    const { config, name } = topic
    const assignments = topic.assignments ?? undefined
    const where = { topic: name }
    if (!Assignment.isLegalName(name)) return yield* Failure.of(code.INVALID_TOPIC_EXCEPTION, null, where)
    const spread = yield* placed(zooKeeper, where, {
      assignments,
      partitions: assignments?.length ?? topic.partitions!,
      replicas: assignments?.[0]!.length ?? topic.replicationFactor!,
      first: undefined,
      from: 0
    })
    const exists = () => Failure.of(code.TOPIC_ALREADY_EXISTS, null, where)
    if ((yield* zooKeeper.get(topicPath(name))) !== undefined) return yield* exists()
    const twins = /[._]/.test(name)
      ? Assignment.colliding(name, (yield* zooKeeper.children("/brokers/topics")) ?? [])
      : []
    if (twins.length > 0)
      return yield* Failure.of(
        code.INVALID_TOPIC_EXCEPTION,
        `Topic '${name}' collides with ${listed(twins, 10)}`,
        where
      )
    const created: NewTopics.CreatedTopic = {
      name,
      id: undefined,
      partitions: spread.length,
      replicationFactor: spread[0]!.length,
      config: undefined
    }
    const node = yield* nodeOf(where, spread)
    if (validateOnly) return created
    // Settings first: the controller begins when it sees the topic.
    const takenBack = yield* configure(zooKeeper, name, bytes(Assignment.configNode(config ?? {})))
    yield* Effect.catch(zooKeeper.create(topicPath(name), node), (error) => {
      // Who was first has written settings, too: which of them hold, nobody can tell.
      if (refusal(error) === "NODE_EXISTS") return Effect.fail(exists())
      // What was perhaps done has its settings; without the topic nobody reads them, and who creates it writes others.
      return Failure.isDoubtful(error)
        ? Effect.fail(error)
        : Effect.andThen(Effect.ignore(takenBack), Effect.fail(error))
    })
    yield* ready(parts, awaits, name, spread.length)
    return created
  })

const refusal = ({ reason }: KafkaError.KafkaError): string | undefined =>
  reason._tag === "ZooKeeperRefused" ? reason.name : undefined

/** What kafka-topics does not do to the topic in which groups commit: what they have committed would be lost, or not found. */
const sparing = (topic: string) =>
  topic === "__consumer_offsets"
    ? Failure.of(code.INVALID_TOPIC_EXCEPTION, "it is Kafka's own, neither deleted nor given partitions", { topic })
    : Effect.void

const deleteOne = (zooKeeper: ZooKeeperService, ref: Topics.TopicRef, awaits: Awaits) =>
  Effect.gen(function* () {
    if (typeof ref !== "string") return yield* Failure.mistakes(["topics have no ids before 2.8"])
    if (!Assignment.isLegalName(ref)) return yield* Failure.of(code.INVALID_TOPIC_EXCEPTION, null, { topic: ref })
    yield* sparing(ref)
    if ((yield* zooKeeper.get(topicPath(ref))) === undefined)
      return yield* Failure.of(code.UNKNOWN_TOPIC_OR_PARTITION, null, { topic: ref })
    yield* Effect.catch(zooKeeper.create(`/admin/delete_topics/${ref}`, new Uint8Array(0)), (error) =>
      // It is being deleted already.
      refusal(error) === "NODE_EXISTS" ? Effect.void : Effect.fail(error)
    )
    const isGone = Stream.takeUntil(zooKeeper.watch(topicPath(ref)), (node) => node === undefined)
    yield* awaits(ref, "is not deleted (is delete.topic.enable true?)", Stream.runDrain(isGone))
  })

const growOne = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  { assignments, count, topic }: NewTopics.NewPartitions,
  validateOnly: boolean,
  awaits: Awaits
) =>
  Effect.gen(function* () {
    const where = { topic }
    yield* sparing(topic)
    const node = Assignment.isLegalName(topic) ? yield* zooKeeper.read(topicPath(topic)) : undefined
    if (node === undefined) return yield* Failure.of(code.UNKNOWN_TOPIC_OR_PARTITION, null, where)
    const there = Assignment.readTopicNode(new TextDecoder().decode(node.data))
    if (there === undefined)
      return yield* KafkaError.make({ _tag: "Corrupt", what: topicPath(topic), problem: "it is no assignment", topic })
    const more = count - there.length
    if (more <= 0)
      return yield* Failure.of(code.INVALID_PARTITIONS, `"${topic}" has ${there.length} partitions already`, where)
    const given = assignments ?? undefined
    if (given !== undefined && given.length !== more)
      return yield* Failure.of(code.INVALID_REPLICA_ASSIGNMENT, `assignments must be of ${more} partitions`, where)
    const added = yield* placed(zooKeeper, where, {
      assignments: given,
      partitions: more,
      replicas: there[0]?.length ?? 1,
      first: there[0]?.[0] ?? 0,
      from: there.length
    })
    const grown = yield* nodeOf(where, [...there, ...added])
    if (validateOnly) return
    yield* zooKeeper.set(topicPath(topic), grown, node.stat.version)
    yield* ready(parts, awaits, topic, count)
  })

export const create = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<NewTopics.NewTopic>,
  options: NewTopics.ChangeOptions = {}
): Ask.Answers<NewTopics.CreatedTopic> =>
  either(
    parts,
    { api: "CreateTopics", number: CreateTopics.Request.key, key: ({ name }) => name, check: checkNew },
    items,
    options,
    (options) => NewTopics.create(parts, items, options),
    (topic, awaits) => createOne(parts, zooKeeper, topic, options.validateOnly === true, awaits)
  )

export const deleteAll = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<Topics.TopicRef>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  either(
    parts,
    { api: "DeleteTopics", number: CreateTopics.Request.key, key: Topics.keyOf, check: Topics.checkRef },
    items,
    options,
    (options) => NewTopics.deleteAll(parts, items, options),
    (ref, awaits) => deleteOne(zooKeeper, ref, awaits)
  )

export const addPartitions = (
  parts: Ask.Parts,
  zooKeeper: ZooKeeperService,
  items: ReadonlyArray<NewTopics.NewPartitions>,
  options: NewTopics.ChangeOptions = {}
): Ask.Answers<void> =>
  either(
    parts,
    {
      api: "CreatePartitions",
      number: CreatePartitions.Request.key,
      key: ({ topic }) => topic,
      check: NewTopics.checkGrowth
    },
    items,
    options,
    (options) => NewTopics.addPartitions(parts, items, options),
    (topic, awaits) => growOne(parts, zooKeeper, topic, options.validateOnly === true, awaits)
  )
