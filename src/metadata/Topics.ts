/**
 * Topics by name and by id: what is in memory, and what is asked for. Requests for metadata go one at a time; what is
 * asked for meanwhile goes together into the next.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import type * as Scope from "effect/Scope"
import * as LogEvent from "../LogEvent.ts"
import * as Backoff from "../Backoff.ts"
import type { Brokers } from "../Broker.ts"
import type { Change, PartitionInfo, TopicInfo } from "../ClusterInfo.ts"
import { codes as code } from "../ErrorCode.ts"
import { formatAddress, type Settings } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"
import * as Wire from "../protocol/Wire.ts"
import type { TopicIdPartition, TopicPartition } from "../TopicPartition.ts"
import type { AnyBroker } from "./AnyBroker.ts"
import type { Budgets } from "./Budgets.ts"
import { learning, type Told, type TopicsTold } from "./Learning.ts"
import * as LookUps from "./LookUps.ts"
import * as MetadataBatcher from "./MetadataBatcher.ts"
import type { MetadataState } from "./MetadataState.ts"
import * as SingleFlight from "./SingleFlight.ts"

/** From this version on a topic can be asked for by its id (KAFKA-10547). */
const byIdFrom = 12

/** Whether a name can be put into a request at all: what is no legal name beyond that is the broker's to say. */
const isWritable = (name: unknown): boolean =>
  typeof name === "string" && name.isWellFormed() && Buffer.byteLength(name) <= 0x7fff

/** A name that cannot: it would fail those as well who ask in the same request. */
const unwritableIn = (names: ReadonlyArray<string>): KafkaError.KafkaError | undefined => {
  const bad = names.findIndex((name) => !isWritable(name))
  return bad < 0 ? undefined : KafkaError.make({ _tag: "InvalidTopic", topic: String(names[bad]).slice(0, 300) })
}

/** For how long what one broker tells may not help, until another is asked: an election takes its time for all of them. */
const turnedAfter = 1000

/** How soon what is old is asked for again, in use, where asking has failed. */
const askedAgainAfter = 1000

/** Several times the brokers that a cluster has. */
const rememberedWarnings = 10_000

/** Also one that the answers leave out. */
const isLeaderless = (partition: PartitionInfo | undefined): boolean => partition === undefined || partition.leader < 0

/** Who is asked for all of them does not say of any that it is not there. */
const leftOut = (topics: TopicsTold, names: ReadonlyArray<string>): TopicsTold => {
  const there = new Set(topics.map(({ name }) => name))
  const gone = names.filter((name) => !there.has(name))
  const empty = { topicId: Wire.zeroUuid, isInternal: false, partitions: [], topicAuthorizedOperations: -2147483648 }
  return gone.map((name) => ({ ...empty, name, errorCode: code.UNKNOWN_TOPIC_OR_PARTITION }))
}

/** What a response tells of topics: of all, where these were asked for so. */
const told = (
  { brokers }: typeof Metadata.Response.schema.Type,
  topics: TopicsTold,
  names: ReadonlyArray<string> | null
): TopicsTold => {
  // A broker that has just started knows nothing yet, and not that nothing is there.
  if (brokers.length === 0)
    return topics.map((topic) =>
      topic.errorCode === code.UNKNOWN_TOPIC_OR_PARTITION ? { ...topic, errorCode: code.LEADER_NOT_AVAILABLE } : topic
    )
  return names === null ? topics : [...topics, ...leftOut(topics, names)]
}

type Failing<A> = Effect.Effect<A, KafkaError.KafkaError>

export interface Topics {
  /** Asks for topics (null: all): gives the names that the answer tells of, with their error codes. */
  readonly ask: (names: ReadonlyArray<string> | null) => Failing<ReadonlyMap<string, number>>
  /** Asks for one, once, and creates it where `allowAutoTopicCreation` says so. */
  readonly lookUp: (name: string) => Failing<TopicInfo>
  /** The leader that is known of a partition is none, or is not there. */
  readonly doubt: (partition: TopicIdPartition, code?: number) => void
  /** The leader does not know it by its id, as it said last. */
  readonly isDoubted: (partition: TopicPartition) => boolean
  /** Asks for those of which something was not as it had been told, together with others of that kind. */
  readonly askAgain: (names: ReadonlyArray<string>) => Failing<unknown>
  readonly get: (
    name: string,
    options?: { readonly within?: Backoff.Limit | undefined; readonly anew?: boolean | undefined }
  ) => Failing<TopicInfo>
  readonly getById: (id: string) => Failing<TopicInfo>
  readonly known: (name: string) => TopicInfo | undefined
  readonly knownById: (id: string) => TopicInfo | undefined
}

export interface Parts {
  readonly settings: Settings
  readonly scope: Scope.Scope
  readonly brokers: Brokers["Service"]
  readonly anyBroker: AnyBroker
  readonly budgets: Budgets
  readonly state: MetadataState
  readonly changed: (change: Change) => void
}

/** What asks for topics by name, or for all. */
const asking = Effect.fnUntraced(function* (
  { anyBroker, scope, state }: Parts,
  now: () => number,
  send: (question: MetadataBatcher.Question) => Failing<ReadonlyMap<string, number>>
) {
  const unhelped = (millis: number) => {
    if (millis >= turnedAfter) anyBroker.turn()
  }
  const lookUps = yield* LookUps.make({
    scope,
    unhelped,
    now,
    ask: (names, create) => send({ names, create }),
    isLed: (name) => state.topic(name)?.partitions.findIndex(isLeaderless) === -1
  })
  const ask = (names: ReadonlyArray<string> | null, create = false) => {
    if (names === null || names.length === 0) return send({ names, create })
    const unwritable = unwritableIn(names)
    return unwritable === undefined ? lookUps.ask(names, create) : Effect.fail(unwritable)
  }
  return {
    ask,
    doubt: ({ partition, topic, topicId }: TopicIdPartition, told?: number) => {
      lookUps.doubt(topic)
      if (told === code.UNKNOWN_TOPIC_ID || told === code.INCONSISTENT_TOPIC_ID)
        state.refused({ topic, partition, topicId }, now())
      unhelped(state.doubt(topic, partition, now()))
    },
    askAgain: (names: ReadonlyArray<string>) => {
      for (const name of names) lookUps.doubt(name)
      return ask(names)
    }
  }
})

export const make = Effect.fnUntraced(function* (parts: Parts): Effect.fn.Return<Topics> {
  const { anyBroker, brokers, budgets, changed, scope, settings, state } = parts
  const clock = yield* Clock.Clock
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const now = () => Backoff.monotonic(clock)
  /** Brokers whose impossible addresses have been told of; forgotten where they are too many to be remembered. */
  const warned = new Set<number>()

  /** Learns what a response tells of the cluster, and gives what it tells of topics. Where it fails, another broker is asked. */
  const learnCluster = Effect.fnUntraced(function* (response: typeof Metadata.Response.schema.Type, address: string) {
    if (response.errorCode === code.REBOOTSTRAP_REQUIRED) {
      state.forgetNodes()
      const attempts = [{ address, cause: "it asks for a new bootstrap" }]
      return yield* KafkaError.make({ _tag: "Unreachable", attempts })
    }
    if (response.errorCode !== 0) return yield* KafkaError.fromCode(response.errorCode, { api: "Metadata" })
    const cluster = yield* Effect.try({
      try: () => state.learnCluster(response),
      catch: (error) => error as KafkaError.KafkaError
    })
    // Where brokers are is known before anybody hears that they lead.
    brokers.learn([...state.nodes, ...cluster.impossible], state.clusterId)
    const [unheard, ...others] = cluster.impossible.filter(({ id }) => !warned.has(id))
    if (unheard !== undefined) {
      if (warned.size > rememberedWarnings) warned.clear()
      for (const { id } of [unheard, ...others]) warned.add(id)
      const { id, problem } = unheard
      const more = others.length === 0 ? "" : `, and so are ${others.length} others`
      const text = `${address} says that broker ${id} is where none can be: ${problem}${more}`
      yield* LogEvent.log("impossibleAddress", text, { cluster: state.clusterId, broker: id })
    }
    if (cluster.change !== undefined) changed(cluster.change)
    return response.topics
  })

  const tell = ({ create, names }: MetadataBatcher.Question): Failing<Told> =>
    anyBroker.ask((broker, onProgress) =>
      Effect.gen(function* () {
        const version = yield* broker.version(Metadata)
        // Before v4 a name that is asked for may be created on the way: so all are asked for. v0 says "all" by none.
        const asked = version < 4 && !create && names !== null && names.length > 0 ? null : names
        const response = yield* broker.send(
          Metadata,
          (version) => ({
            topics: asked === null ? (version === 0 ? [] : null) : asked.map((name) => ({ name })),
            allowAutoTopicCreation: version < 4 ? true : create
          }),
          { onProgress }
        )
        const topics = yield* learnCluster(response, formatAddress(broker))
        return { by: broker.id, topics: told(response, topics, asked === null ? names : null) }
      })
    )
  const learnTopics = learning(parts, now, (names) => tell({ create: false, names }))
  const send = (question: MetadataBatcher.Question) => {
    const { names } = question
    const wanted = new Set(names)
    return Effect.flatMap(tell(question), (told) => learnTopics(told, (name) => names === null || wanted.has(name)))
  }
  const { ask, askAgain, doubt } = yield* asking(parts, now, yield* MetadataBatcher.make(scope, send))

  const lookUp = (name: string): Failing<TopicInfo> =>
    Effect.flatMap(ask([name], settings.allowAutoTopicCreation), (codes) => {
      const told = codes.get(name) ?? code.UNKNOWN_TOPIC_OR_PARTITION
      const info = state.topic(name)
      if (told === code.NONE && info !== undefined) return Effect.succeed(info)
      return Effect.fail(
        told === code.UNKNOWN_TOPIC_OR_PARTITION
          ? KafkaError.make({ _tag: "UnknownTopic", topic: name })
          : KafkaError.fromCode(told, { api: "Metadata", topic: name })
      )
    })

  /** Asks for one by its id; a broker that cannot be asked so, from 2.8 to 3.0, is asked for all. */
  const lookUpById = (id: string): Failing<TopicInfo> =>
    anyBroker
      .ask((broker, onProgress) =>
        Effect.gen(function* () {
          const response = yield* broker.send(
            Metadata,
            (version) => ({
              topics: version >= byIdFrom ? [{ topicId: id, name: null }] : version === 0 ? [] : null,
              allowAutoTopicCreation: version < 4
            }),
            { onProgress }
          )
          return { by: broker.id, topics: yield* learnCluster(response, formatAddress(broker)) }
        })
      )
      .pipe(
        Effect.flatMap((told) => {
          const named = new Set(told.topics.filter((topic) => topic.topicId === id).map((topic) => topic.name))
          return Effect.as(
            learnTopics(told, (name) => named.has(name)),
            named
          )
        }),
        Effect.flatMap((named) => {
          const info = state.topicById(id)
          if (info !== undefined) return Effect.succeed(info)
          // It is there, and another is known by its name, which is of no use to who asks.
          for (const name of named) if (name !== null) state.doubtId(name, now())
          anyBroker.turn()
          return Effect.fail(KafkaError.fromCode(code.UNKNOWN_TOPIC_ID, { api: "Metadata", topic: id }))
        })
      )
  const shared = SingleFlight.make<string, TopicInfo>(scope)

  /** What is in memory; where it is old it is asked for anew beside, since old knowledge is better than none. */
  const fresh = (info: TopicInfo | undefined): TopicInfo | undefined => {
    if (info === undefined || state.age(info.name, now()) < settings.metadataMaxAge) return info
    const { name } = info
    state.touch(name, now())
    // Where that has failed, it is as old as before a moment later.
    const failed = Effect.sync(() => state.touch(name, now() - settings.metadataMaxAge + askedAgainAfter))
    Fiber.runIn(run(Effect.catch(Effect.asVoid(ask([name])), () => failed)), scope)
    return info
  }
  const known = (name: string) => fresh(state.topic(name))
  const knownById = (id: string) => fresh(state.topicById(id))

  return {
    ask,
    lookUp,
    doubt,
    isDoubted: (partition) => state.isIdRefused(partition, now()),
    askAgain,
    known,
    knownById,
    get: (name, { anew = false, within } = {}) =>
      Effect.suspend(() => {
        const info = anew ? undefined : known(name)
        return info === undefined ? budgets.retried(lookUp(name), `topic ${name}`, within) : Effect.succeed(info)
      }),
    getById: (id) =>
      Effect.suspend(() => {
        const info = knownById(id)
        return info === undefined
          ? shared(id, budgets.retried(lookUpById(id), `the topic of id ${id}`))
          : Effect.succeed(info)
      })
  }
})
