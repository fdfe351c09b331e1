/**
 * What is known of a cluster, and keeping that knowledge fresh: brokers, topics, partitions, leaders, coordinators.
 *
 * Any live broker is asked; where none that is known answers, the bootstrap servers are (KIP-899), which are resolved
 * anew, or read from ZooKeeper again. Requests for metadata go one at a time: what is asked for meanwhile goes together
 * into the next.
 */
import * as Clock from "effect/Clock"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import { Brokers } from "./Broker.ts"
import type { Broker } from "./Broker.ts"
import { firstOf } from "./cluster/Attempts.ts"
import * as Offsets from "./cluster/Offsets.ts"
import * as Rounds from "./cluster/Rounds.ts"
import * as Shared from "./cluster/Shared.ts"
import { State, unknownTopic } from "./cluster/State.ts"
import { formatAddress, type KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import type * as Offset from "./Offset.ts"
import * as FindCoordinator from "./protocol/messages/FindCoordinator.ts"
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

/** What a metadata response has changed. `before` is undefined where nothing was known. */
export type Change =
  | {
      readonly _tag: "Brokers"
      readonly brokers: ReadonlyArray<BrokerInfo>
      readonly before: ReadonlyArray<BrokerInfo>
    }
  /** Its id, its partitions, a leader, replicas: also where it was asked for for the first time. */
  | { readonly _tag: "Topic"; readonly topic: TopicInfo; readonly before: TopicInfo | undefined }
  | { readonly _tag: "TopicGone"; readonly before: TopicInfo }

/** A position that a broker can tell: besides those to start from, the record with the largest timestamp (KIP-734, from 3.0 on). */
export type At = Offset.Start | "max-timestamp"

/** The cluster's state. */
export class Cluster extends Context.Service<
  Cluster,
  {
    readonly brokers: Effect.Effect<ReadonlyArray<BrokerInfo>, KafkaError.KafkaError>
    /** Any broker that answers, the one that answered last first. */
    readonly any: Effect.Effect<Broker, KafkaError.KafkaError>
    /** The controller, which takes what changes the cluster (in KRaft: a broker that passes it on). Fails with `Unsupported` before Metadata v1. */
    readonly controller: Effect.Effect<Broker, KafkaError.KafkaError>
    /** The cluster's id as it was last told; null before Metadata v2. */
    readonly clusterId: () => string | null
    /** A topic: from memory, else asked for. Never creates it, unless `allowAutoTopicCreation`. Fails with `UnknownTopic` after the budget (`metadataTimeout`). */
    readonly topic: (name: string) => Effect.Effect<TopicInfo, KafkaError.KafkaError>
    /**
     * The topics whose names are there, without failing for those that are not; null asks for all, without Kafka's own
     * unless `internal`. Never creates them.
     */
    readonly topics: (
      names: ReadonlyArray<string> | null,
      options?: { readonly internal?: boolean | undefined }
    ) => Effect.Effect<ReadonlyArray<TopicInfo>, KafkaError.KafkaError>
    /** What is in memory now, without waiting; where it is older than `metadataMaxAge` it is asked for beside. */
    readonly known: (name: string) => TopicInfo | undefined
    /** The leader of a partition, waited for within `metadataTimeout`. */
    readonly leader: (
      partition: TopicPartition.TopicPartition
    ) => Effect.Effect<{ readonly broker: Broker; readonly epoch: number }, KafkaError.KafkaError>
    /** Asks again for every topic that is known; concurrent calls share one request. */
    readonly refresh: Effect.Effect<void, KafkaError.KafkaError>
    /** What changes, from the moment at which it is pulled. Who falls far behind misses the oldest changes. */
    readonly changes: Stream.Stream<Change>
    /** The coordinator of a group or transactional id: from memory, else looked up, retried within `metadataTimeout`. */
    readonly coordinator: (kind: "group" | "transaction", key: string) => Effect.Effect<Broker, KafkaError.KafkaError>
    /** Forgets a coordinator (NOT_COORDINATOR, or its connection was lost). */
    readonly forgetCoordinator: (kind: "group" | "transaction", key: string) => void
    /**
     * Positions as offsets: asks the leaders (ListOffsets), in the order given; retried within `metadataTimeout`. A
     * time after the last record is the end. Before 0.10.1 a time is answered by the segment that may hold it.
     */
    readonly offsets: (
      positions: ReadonlyArray<TopicPartition.TopicPartition & { readonly at: At }>,
      options?: { readonly isolation?: "committed" | "uncommitted" }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError>
    /**
     * Up to `max` first offsets of the partition's segments that begin before a time in milliseconds, newest first;
     * `latest` gives the end of the log before them. ListOffsets v0: fails with `Unsupported` from 4.0 on. PyKafka:
     * fetch_offset_limit.
     */
    readonly segments: (
      partition: TopicPartition.TopicPartition,
      options: { readonly before: "earliest" | "latest" | number; readonly max: number }
    ) => Effect.Effect<ReadonlyArray<number>, KafkaError.KafkaError>
  }
>()("samsa/Cluster") {}

const leaderNotAvailable = 5
const rebootstrapRequired = 129

/** How long leaderless partitions, missing topics and moving coordinators are waited for: retried whatever the code's flag says. */
const transient = new Set([unknownTopic, leaderNotAvailable, 6, 9, 14, 15, 16, 72, 74, 75, 76, 78])

const isTransient = (error: KafkaError.KafkaError): boolean =>
  error.isRetryable ||
  error.reason._tag === "UnknownTopic" ||
  (error.reason._tag === "Server" && transient.has(error.reason.code))

/** How many brokers that are known are asked before the bootstrap servers. */
const triedFirst = 4

/** How many changes a subscriber may be behind. */
const changesKept = 1024

/** Where the first brokers are, where `bootstrap` of the configuration does not say: read again when all brokers are gone. */
export type Discover = Effect.Effect<
  ReadonlyArray<{ readonly host: string; readonly port: number }>,
  KafkaError.KafkaError
>

/** Makes the service: connects to a first broker, within `bootstrapTimeout`. */
export const make = Effect.fnUntraced(function* (
  config: KafkaConfig,
  discover: Discover = Effect.succeed(config.bootstrap)
): Effect.fn.Return<Cluster["Service"], KafkaError.KafkaError, Brokers | Scope.Scope> {
  const brokers = yield* Brokers
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const state = new State()
  const changes = yield* PubSub.sliding<Change>(changesKept)
  const coordinators = new Map<string, number>()
  const now = () => Backoff.monotonic(clock)
  let lastGood = -1

  const budget = (waitingFor: string): Backoff.Budget => ({
    name: "metadataTimeout",
    millis: config.metadataTimeout,
    waitingFor
  })
  /** Within the budget, without another try. */
  const bounded = <A>(self: Effect.Effect<A, KafkaError.KafkaError>, waitingFor: string) =>
    Backoff.within(self, budget(waitingFor), () => false)

  /** Asks brokers until one answers: the one that answered last, the others that are known, the bootstrap servers. */
  const anyOf = <A>(
    use: (broker: Broker) => Effect.Effect<A, KafkaError.KafkaError>
  ): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.gen(function* () {
      const ids = yield* Random.shuffle(state.nodes.map((node) => node.id).filter((id) => id !== lastGood))
      if (state.nodes.length > ids.length) ids.unshift(lastGood)
      const ask = (broker: Effect.Effect<Broker, KafkaError.KafkaError>) =>
        Effect.flatMap(broker, (broker) =>
          Effect.map(use(broker), (value) => {
            if (broker.id >= 0) lastGood = broker.id
            return value
          })
        )
      const bootstrap = discover.pipe(
        Effect.flatMap(Random.shuffle),
        Effect.flatMap((addresses) => firstOf(addresses.map(({ host, port }) => ask(brokers.at(host, port)))))
      )
      const known = ids.map((id) => ask(brokers.get(id)))
      // Not behind all of them: where a hundred are gone, each would have its second.
      return yield* firstOf([...known.slice(0, triedFirst), bootstrap, ...known.slice(triedFirst)])
    })

  const send = ({ create, names }: Rounds.Question) =>
    anyOf((broker) =>
      Effect.gen(function* () {
        const version = yield* broker.version(Metadata)
        // Before v4 a name that is asked for may be created on the way: so all are asked for. v0 says "all" by none.
        const asked = version < 4 && !create && names !== null && names.length > 0 ? null : names
        const response = yield* broker.send(Metadata, (version) => ({
          topics: asked === null ? (version === 0 ? [] : null) : asked.map((name) => ({ name })),
          allowAutoTopicCreation: version < 4 ? true : create
        }))
        if (response.errorCode === rebootstrapRequired) {
          state.forgetNodes()
          return yield* KafkaError.make({
            _tag: "Unreachable",
            attempts: [{ address: formatAddress(broker), cause: "it asks for a new bootstrap" }]
          })
        }
        if (response.errorCode !== 0) return yield* KafkaError.fromCode(response.errorCode, { api: "Metadata" })
        const wanted = names === null ? () => true : (name: string) => names.includes(name)
        const learnt = state.learn(response, wanted, now())
        brokers.learn(state.nodes, state.clusterId)
        for (const change of learnt.changes) PubSub.publishUnsafe(changes, change)
        return learnt.codes
      })
    )
  /** Asks; gives the names that the answer tells of, with their error codes. */
  const ask = yield* Rounds.make(scope, send)
  const metadata = (names: ReadonlyArray<string> | null, create = false) => ask({ names, create })

  const lookUp = (name: string): Effect.Effect<TopicInfo, KafkaError.KafkaError> =>
    Effect.flatMap(metadata([name], config.allowAutoTopicCreation), (codes) => {
      const code = codes.get(name) ?? unknownTopic
      const info = state.topic(name)
      if (code === 0 && info !== undefined) return Effect.succeed(info)
      return Effect.fail(
        code === unknownTopic
          ? KafkaError.make({ _tag: "UnknownTopic", topic: name })
          : KafkaError.fromCode(code, { api: "Metadata", topic: name })
      )
    })

  /** What is in memory; where it is old it is asked for anew beside, since old knowledge is better than none. */
  const known = (name: string): TopicInfo | undefined => {
    const info = state.topic(name)
    if (info === undefined || state.age(name, now()) < config.metadataMaxAge) return info
    state.touch(name, now())
    Fiber.runIn(run(Effect.ignore(metadata([name]))), scope)
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
  const leaderBroker = (partition: TopicPartition.TopicPartition) =>
    Effect.map(leaderNow(partition), ({ broker }) => broker)

  /** Retries within the budget; what moved while we asked is learnt before the next try. */
  const retried = <A>(
    self: Effect.Effect<A, KafkaError.KafkaError>,
    topics: ReadonlyArray<string>,
    waitingFor: string
  ) =>
    Backoff.within(
      Effect.tapError(self, (error) => (isTransient(error) ? Effect.ignore(metadata(topics)) : Effect.void)),
      budget(waitingFor),
      isTransient
    )

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
  const sharedCoordinator = Shared.make<string, Broker>(scope)
  const sharedRefresh = Shared.make<"refresh", void>(scope)

  yield* Backoff.within(
    metadata([]),
    { name: "bootstrapTimeout", millis: config.bootstrapTimeout, waitingFor: "a first broker" },
    (error) => error.isRetryable
  ).pipe(
    Effect.catch((error) => {
      if (error.reason._tag !== "TimedOut" || error.reason.budget !== "bootstrapTimeout") return Effect.fail(error)
      const cause = `no answer within the bootstrapTimeout of ${config.bootstrapTimeout} ms`
      const attempts = config.bootstrap.map((address) => ({ address: formatAddress(address), cause }))
      return Effect.fail(attempts.length === 0 ? error : KafkaError.make({ _tag: "Unreachable", attempts }))
    })
  )

  return Cluster.of({
    brokers: bounded(
      Effect.map(metadata([]), () => state.nodes),
      "the brokers"
    ),
    any: bounded(
      anyOf((broker) => Effect.as(broker.version(Metadata), broker)),
      "a broker"
    ),
    controller: bounded(metadata([]), "the controller").pipe(
      Effect.flatMap(() =>
        state.controller >= 0
          ? brokers.get(state.controller)
          : Effect.fail(
              KafkaError.make({ _tag: "Unsupported", needed: "the controller", ours: "Metadata v1-13", theirs: "v0" })
            )
      )
    ),
    clusterId: () => state.clusterId,
    topic,
    topics: (names, options = {}) =>
      Effect.map(bounded(metadata(names), names === null ? "the topics" : `topics ${names.join(", ")}`), (codes) =>
        (names ?? [...codes.keys()]).flatMap((name) => {
          const info = codes.get(name) === 0 ? state.topic(name) : undefined
          const shown = info !== undefined && (names !== null || options.internal === true || !info.internal)
          return shown ? [info] : []
        })
      ),
    known,
    leader: (partition) =>
      retried(leaderNow(partition), [partition.topic], `the leader of ${TopicPartition.key(partition)}`),
    refresh: sharedRefresh(
      "refresh",
      Effect.suspend(() => Effect.asVoid(bounded(metadata(state.names()), "metadata")))
    ),
    changes: Stream.fromPubSub(changes),
    coordinator: (kind, key) =>
      Effect.suspend(() => {
        const name = `${kind} ${key}`
        const id = coordinators.get(name)
        return id === undefined
          ? sharedCoordinator(
              name,
              Backoff.within(findCoordinator(kind, key), budget(`the coordinator of ${name}`), isTransient)
            )
          : brokers.get(id)
      }),
    forgetCoordinator: (kind, key) => {
      coordinators.delete(`${kind} ${key}`)
    },
    offsets: (positions, options) =>
      positions.length === 0
        ? Effect.succeed([])
        : retried(
            Offsets.resolve(leaderBroker, positions, options?.isolation === "committed" ? 1 : 0),
            [...new Set(positions.map((position) => position.topic))],
            "offsets"
          ),
    segments: (partition, { before, max }) =>
      retried(Offsets.segments(leaderBroker, partition, before, max), [partition.topic], "offsets of segments")
  })
})
