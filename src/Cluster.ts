/**
 * What is known of a cluster, and keeping that knowledge fresh: brokers, topics, partitions, leaders, coordinators.
 */
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Backoff from "./Backoff.ts"
import { Brokers } from "./Broker.ts"
import type { Broker } from "./Broker.ts"
import type { KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import type * as Offset from "./Offset.ts"
import * as FindCoordinator from "./protocol/messages/FindCoordinator.ts"
import * as ListOffsets from "./protocol/messages/ListOffsets.ts"
import * as Metadata from "./protocol/messages/Metadata.ts"
import * as TopicPartition from "./TopicPartition.ts"

/** A partition as the last metadata told. */
export interface PartitionInfo {
  readonly partition: number
  /** Node id; -1 while there is none. */
  readonly leader: number
  /** -1 where the broker does not tell (before Metadata v7). */
  readonly leaderEpoch: number
  readonly replicas: ReadonlyArray<number>
  readonly isr: ReadonlyArray<number>
}

/** A topic as the last metadata told. */
export interface TopicInfo {
  readonly name: string
  /** Base64url; undefined where the broker does not tell (before Metadata v10). */
  readonly id: string | undefined
  readonly internal: boolean
  /** By partition number: `partitions[3].partition === 3`. */
  readonly partitions: ReadonlyArray<PartitionInfo>
}

export interface BrokerInfo {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | null
}

/** The cluster's state. */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly brokers: Effect.Effect<ReadonlyArray<BrokerInfo>, KafkaError.KafkaError>
    /** Any broker that answers, a connected one first. */
    readonly any: Effect.Effect<Broker, KafkaError.KafkaError>
    /** A topic: from memory, else asked for. Never creates it. Fails with `UnknownTopic` after the budget (`metadataTimeout`). */
    readonly topic: (name: string) => Effect.Effect<TopicInfo, KafkaError.KafkaError>
    /** The topics whose names are there, without failing for those that are not; null asks for all. */
    readonly topics: (
      names: ReadonlyArray<string> | null
    ) => Effect.Effect<ReadonlyArray<TopicInfo>, KafkaError.KafkaError>
    /** What is in memory now, without waiting; where it is older than `metadataMaxAge` it is asked for beside. */
    readonly known: (name: string) => TopicInfo | undefined
    /** The leader of a partition, waited for within `metadataTimeout`. */
    readonly leader: (
      partition: TopicPartition.TopicPartition
    ) => Effect.Effect<{ readonly broker: Broker; readonly epoch: number }, KafkaError.KafkaError>
    /** Asks again for every topic that is known; concurrent calls share one request. */
    readonly refresh: Effect.Effect<void, KafkaError.KafkaError>
    /** The coordinator of a group or transactional id: from memory, else looked up, retried within `metadataTimeout`. */
    readonly coordinator: (kind: "group" | "transaction", key: string) => Effect.Effect<Broker, KafkaError.KafkaError>
    /** Forgets a coordinator (NOT_COORDINATOR, or its connection was lost). */
    readonly forgetCoordinator: (kind: "group" | "transaction", key: string) => void
    /** Positions as offsets: asks the leaders (ListOffsets), in the order given; retried within `metadataTimeout`. */
    readonly offsets: (
      positions: ReadonlyArray<TopicPartition.TopicPartition & { readonly at: Offset.Start }>,
      options?: { readonly isolation?: "committed" | "uncommitted" }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError>
  }
>()("samsa/Cluster") {}

/** How long leaderless partitions, missing topics and moving coordinators are waited for: retried whatever the code's flag says. */
const transient = new Set([3, 5, 6, 9, 14, 15, 16, 72, 74, 75, 76, 78])

const isTransient = (error: KafkaError.KafkaError): boolean =>
  error.isRetryable ||
  error.reason._tag === "UnknownTopic" ||
  (error.reason._tag === "Server" && transient.has(error.reason.code))

/** Makes the service: connects to a first broker, within `bootstrapTimeout`. */
export const make = Effect.fnUntraced(function* (
  config: KafkaConfig
): Effect.fn.Return<Cluster["Service"], KafkaError.KafkaError, Brokers | Scope.Scope> {
  const brokers = yield* Brokers
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const topics = new Map<string, TopicInfo & { readonly learnt: number }>()
  const coordinators = new Map<string, number>()
  let nodes: ReadonlyArray<BrokerInfo> = []
  let lastGood = -1
  let refreshing: Deferred.Deferred<void, KafkaError.KafkaError> | undefined

  const budget = (waitingFor: string): Backoff.Budget => ({
    name: "metadataTimeout",
    millis: config.metadataTimeout,
    waitingFor
  })

  /** Tries brokers one after the other: the one that answered last, the others that are known, the bootstrap servers. */
  const anyOf = <A>(
    use: (broker: Broker) => Effect.Effect<A, KafkaError.KafkaError>
  ): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.gen(function* () {
      const attempts: Array<{ readonly address: string; readonly cause: string }> = []
      const known = nodes.filter((node) => node.id !== lastGood)
      const shuffled = yield* Random.shuffle(known.map((node) => node.id))
      const candidates: Array<Effect.Effect<Broker, KafkaError.KafkaError>> = [
        ...(nodes.length > known.length ? [lastGood, ...shuffled] : shuffled).map(brokers.get),
        ...(yield* Random.shuffle(config.bootstrap)).map(({ host, port }) => brokers.at(host, port))
      ]
      for (const candidate of candidates) {
        const result = yield* Effect.result(
          Effect.flatMap(candidate, (broker) => Effect.map(use(broker), (value) => ({ value, id: broker.id })))
        )
        if (Result.isSuccess(result)) {
          if (result.success.id >= 0) lastGood = result.success.id
          return result.success.value
        }
        const { reason } = result.failure
        if (reason._tag === "Unreachable") attempts.push(...reason.attempts)
        else if (reason._tag === "TimedOut")
          attempts.push({ address: reason.broker ?? "", cause: result.failure.message })
        else return yield* result.failure
      }
      return yield* KafkaError.make({ _tag: "Unreachable", attempts })
    })

  const learnTopic = (topic: {
    readonly name: string | null
    readonly topicId: string
    readonly isInternal: boolean
    readonly partitions: ReadonlyArray<{
      readonly partitionIndex: number
      readonly leaderId: number
      readonly leaderEpoch: number
      readonly replicaNodes: ReadonlyArray<number>
      readonly isrNodes: ReadonlyArray<number>
    }>
  }): void => {
    if (topic.name === null) return
    const id = topic.topicId === noTopicId ? undefined : topic.topicId
    const before = topics.get(topic.name)
    const old = before?.id === id ? before?.partitions : undefined
    const partitions: Array<PartitionInfo> = []
    for (const { partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes } of topic.partitions) {
      const known = old?.[partitionIndex]
      // A broker that lags behind may answer with an older leader: epochs only grow.
      partitions[partitionIndex] =
        known !== undefined && known.leaderEpoch > leaderEpoch && leaderEpoch >= 0
          ? known
          : { partition: partitionIndex, leader: leaderId, leaderEpoch, replicas: replicaNodes, isr: isrNodes }
    }
    topics.set(topic.name, {
      name: topic.name,
      id,
      internal: topic.isInternal,
      partitions,
      learnt: Backoff.monotonic(clock)
    })
  }

  /** Asks one broker; gives the names with their error codes. */
  const ask = (broker: Broker, names: ReadonlyArray<string> | null, create: boolean) =>
    Effect.gen(function* () {
      const version = yield* broker.version(Metadata)
      // Before v4 a name that is asked for may be created on the way: so all are asked for. v0 says "all" by none.
      const asked = version < 4 && !create && names !== null && names.length > 0 ? null : names
      const response = yield* broker.send(Metadata, (version) => ({
        topics: asked === null ? (version === 0 ? [] : null) : asked.map((name) => ({ name })),
        allowAutoTopicCreation: version < 4 ? true : create
      }))
      // An 0.8 broker without topics tells of no broker: what is known stays.
      if (response.brokers.length > 0) {
        nodes = response.brokers.map(({ nodeId, host, port, rack }) => ({ id: nodeId, host, port, rack }))
        brokers.learn(nodes)
      }
      const codes = new Map<string, number>()
      for (const topic of response.topics) {
        if (topic.name === null) continue
        codes.set(topic.name, topic.errorCode)
        if (topic.errorCode === 0) learnTopic(topic)
        else if (topic.errorCode === unknownTopic) topics.delete(topic.name)
      }
      for (const name of names ?? []) if (!codes.has(name)) codes.set(name, unknownTopic)
      return codes
    })

  const fetchMetadata = (names: ReadonlyArray<string> | null, create = false) =>
    anyOf((broker) => ask(broker, names, create))

  const refresh: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() => {
    if (refreshing !== undefined) return Deferred.await(refreshing)
    const done = (refreshing = Deferred.makeUnsafe<void, KafkaError.KafkaError>())
    return Effect.asVoid(fetchMetadata([...topics.keys()])).pipe(
      Effect.onExit((exit) =>
        Effect.sync(() => {
          refreshing = undefined
          // Whoever shares this request must not be interrupted with the fiber that happened to send it.
          Deferred.doneUnsafe(done, Exit.isFailure(exit) && Cause.hasInterrupts(exit.cause) ? Exit.void : exit)
        })
      )
    )
  })

  const lookUp = (name: string): Effect.Effect<TopicInfo, KafkaError.KafkaError> =>
    Effect.flatMap(fetchMetadata([name], config.allowAutoTopicCreation), (codes) => {
      const code = codes.get(name) ?? unknownTopic
      const info = topics.get(name)
      if (code === 0 && info !== undefined) return Effect.succeed(info)
      return Effect.fail(
        code === unknownTopic
          ? KafkaError.make({ _tag: "UnknownTopic", topic: name })
          : KafkaError.fromCode(code, { api: "Metadata", topic: name })
      )
    })

  /** What is in memory; where it is old it is asked for anew beside, since old knowledge is better than none. */
  const known = (name: string): TopicInfo | undefined => {
    const info = topics.get(name)
    if (info === undefined || Backoff.monotonic(clock) - info.learnt < config.metadataMaxAge) return info
    topics.set(name, { ...info, learnt: Backoff.monotonic(clock) })
    Fiber.runIn(run(Effect.ignore(fetchMetadata([name]))), scope)
    return info
  }

  const topic = (name: string): Effect.Effect<TopicInfo, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      const info = known(name)
      return info === undefined
        ? Backoff.within(lookUp(name), budget(`topic ${name}`), isTransient)
        : Effect.succeed(info)
    })

  const leaderNow = ({ topic: name, partition }: TopicPartition.TopicPartition) =>
    Effect.gen(function* () {
      const known = (yield* topic(name)).partitions[partition]
      const info = known === undefined || known.leader < 0 ? (yield* lookUp(name)).partitions[partition] : known
      if (info === undefined) return yield* KafkaError.fromCode(unknownTopic, { topic: name, partition })
      if (info.leader < 0) return yield* KafkaError.fromCode(leaderNotAvailable, { topic: name, partition })
      return { broker: yield* brokers.get(info.leader), epoch: info.leaderEpoch }
    })

  const findCoordinator = (kind: "group" | "transaction", key: string) =>
    Effect.gen(function* () {
      const keyType = kind === "group" ? 0 : 1
      const response = yield* anyOf((broker) =>
        broker.send(
          FindCoordinator,
          (version) => (version >= 4 ? { keyType, coordinatorKeys: [key] } : { keyType, key }),
          { minVersion: keyType }
        )
      )
      const found = response.coordinators[0] ?? response
      if (found.errorCode !== 0) {
        return yield* KafkaError.fromCode(found.errorCode, {
          api: "FindCoordinator",
          ...(kind === "group" ? { group: key } : {})
        })
      }
      brokers.learn([{ id: found.nodeId, host: found.host, port: found.port }])
      coordinators.set(`${kind} ${key}`, found.nodeId)
      return yield* brokers.get(found.nodeId)
    })

  type Position = TopicPartition.TopicPartition & { readonly at: Offset.Start }

  const listOffsets = (broker: Broker, positions: ReadonlyArray<Position>, isolationLevel: number) =>
    Effect.gen(function* () {
      const byTopic = new Map<string, Array<Position>>()
      for (const position of positions) {
        const of = byTopic.get(position.topic)
        if (of === undefined) byTopic.set(position.topic, [position])
        else of.push(position)
      }
      const response = yield* broker.send(ListOffsets, (version) => ({
        replicaId: -1,
        ...(version >= 2 ? { isolationLevel } : {}),
        topics: [...byTopic].map(([name, list]) => ({
          name,
          partitions: list.map(({ partition, at }) => ({
            partitionIndex: partition,
            timestamp: at === "latest" ? -1 : at === "earliest" ? -2 : at._tag === "AtTime" ? at.timestamp : -1,
            ...(version === 0 ? { maxNumOffsets: 1 } : {})
          }))
        }))
      }))
      const found = new Map<string, number>()
      for (const { name, partitions } of response.topics) {
        for (const { partitionIndex, errorCode, offset, oldStyleOffsets } of partitions) {
          if (errorCode !== 0) {
            return yield* KafkaError.fromCode(errorCode, { api: "ListOffsets", topic: name, partition: partitionIndex })
          }
          found.set(`${name}-${partitionIndex}`, oldStyleOffsets[0] ?? offset)
        }
      }
      return found
    })

  const offsetsNow = (
    positions: ReadonlyArray<Position>,
    isolationLevel: number
  ): Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError> =>
    Effect.gen(function* () {
      // Brokers refuse a request that names a partition twice (INVALID_REQUEST): what is asked again goes into another.
      const seen = new Set<string>()
      const isFirst = positions.map((p) => !seen.has(TopicPartition.key(p)) && seen.add(TopicPartition.key(p)) === seen)
      if (seen.size < positions.length) {
        const first = yield* offsetsNow(
          positions.filter((_, i) => isFirst[i]),
          isolationLevel
        )
        const others = yield* offsetsNow(
          positions.filter((_, i) => !isFirst[i]),
          isolationLevel
        )
        let [i, j] = [0, 0]
        return isFirst.map((is) => (is ? first[i++]! : others[j++]!))
      }
      const byBroker = new Map<Broker, Array<Position>>()
      for (const position of positions) {
        if (typeof position.at !== "string" && position.at._tag === "At") continue
        const { broker } = yield* leaderNow(position)
        const of = byBroker.get(broker)
        if (of === undefined) byBroker.set(broker, [position])
        else of.push(position)
      }
      const answers = yield* Effect.forEach(byBroker, ([broker, list]) => listOffsets(broker, list, isolationLevel), {
        concurrency: "unbounded"
      })
      const found = new Map(answers.flatMap((answer) => [...answer]))
      // No record is that late: the end. Asked for apart, since the answer to a time does not tell it.
      const late = positions.filter((p) => found.get(`${p.topic}-${p.partition}`) === -1 && p.at !== "latest")
      if (late.length > 0) {
        const ends = yield* offsetsNow(
          late.map((p) => ({ ...p, at: "latest" as const })),
          isolationLevel
        )
        late.forEach((p, i) => found.set(`${p.topic}-${p.partition}`, ends[i]!))
      }
      return positions.map((p) =>
        typeof p.at !== "string" && p.at._tag === "At" ? p.at.offset : (found.get(`${p.topic}-${p.partition}`) ?? -1)
      )
    })

  /** What moved while we asked is learnt before the next try. */
  const refreshed = <A>(self: Effect.Effect<A, KafkaError.KafkaError>, name: string) =>
    Effect.tapError(self, (error) => (isTransient(error) ? Effect.ignore(fetchMetadata([name])) : Effect.void))

  yield* Backoff.within(
    fetchMetadata([]),
    { name: "bootstrapTimeout", millis: config.bootstrapTimeout, waitingFor: "a first broker" },
    (error) => error.isRetryable
  )

  return Cluster.of({
    brokers: Effect.map(fetchMetadata([]), () => nodes),
    any: anyOf((broker) => Effect.as(broker.version(Metadata), broker)),
    topic,
    topics: (names) =>
      Effect.map(fetchMetadata(names), (codes) =>
        [...codes].flatMap(([name, code]) => {
          const info = topics.get(name)
          return code === 0 && info !== undefined ? [info] : []
        })
      ),
    known,
    leader: (partition) =>
      Backoff.within(
        refreshed(leaderNow(partition), partition.topic),
        budget(`the leader of ${TopicPartition.key(partition)}`),
        isTransient
      ),
    refresh,
    coordinator: (kind, key) =>
      Effect.suspend(() => {
        const id = coordinators.get(`${kind} ${key}`)
        return id === undefined
          ? Backoff.within(findCoordinator(kind, key), budget(`the coordinator of ${kind} ${key}`), isTransient)
          : brokers.get(id)
      }),
    forgetCoordinator: (kind, key) => {
      coordinators.delete(`${kind} ${key}`)
    },
    offsets: (positions, options) =>
      Backoff.within(
        positions.length === 0
          ? Effect.succeed([])
          : Effect.tapError(offsetsNow(positions, options?.isolation === "committed" ? 1 : 0), (error) =>
              isTransient(error) ? Effect.ignore(fetchMetadata(positions.map((p) => p.topic))) : Effect.void
            ),
        budget("offsets"),
        isTransient
      )
  })
})

const unknownTopic = 3
const leaderNotAvailable = 5
const noTopicId = "AAAAAAAAAAAAAAAAAAAAAA"
