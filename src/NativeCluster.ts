/**
 * The native `Cluster`: metadata, coordinators and offsets, asked of brokers.
 *
 * Any live broker is asked; where none that is known answers, those that `Bootstrap` tells are (KIP-899), which is read
 * again. Requests for metadata go one at a time: what is asked for meanwhile goes together
 * into the next.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as PubSub from "effect/PubSub"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import { type Address, Bootstrap } from "./Bootstrap.ts"
import { Brokers } from "./Broker.ts"
import type { Broker } from "./Broker.ts"
import { Cluster } from "./Cluster.ts"
import type { Change, TopicInfo } from "./ClusterInfo.ts"
import { firstOf } from "./metadata/Hedge.ts"
import * as ListOffsets from "./metadata/ListOffsets.ts"
import * as MetadataBatcher from "./metadata/MetadataBatcher.ts"
import * as SingleFlight from "./metadata/SingleFlight.ts"
import { MetadataState, unknownTopic } from "./metadata/MetadataState.ts"
import { formatAddress, KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import * as FindCoordinator from "./protocol/messages/FindCoordinator.ts"
import * as Metadata from "./protocol/messages/Metadata.ts"
import * as TopicPartition from "./TopicPartition.ts"

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

/** Makes the service: connects to a first broker, within `bootstrapTimeout`. */
export const make: Effect.Effect<
  Cluster["Service"],
  KafkaError.KafkaError,
  Bootstrap | Brokers | KafkaConfig | Scope.Scope
> = Effect.gen(function* () {
  const config = yield* KafkaConfig
  const { addresses } = yield* Bootstrap
  const brokers = yield* Brokers
  const clock = yield* Clock.Clock
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const state = new MetadataState()
  const changes = yield* PubSub.sliding<Change>(changesKept)
  const coordinators = new Map<string, number>()
  const now = () => Backoff.monotonic(clock)
  let lastGood = -1
  /** Where the first brokers were said to be, when it was last asked. */
  let firsts: ReadonlyArray<Address> = []

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
      const bootstrap = addresses.pipe(
        Effect.tap((found) => Effect.sync(() => (firsts = found))),
        Effect.flatMap(Random.shuffle),
        Effect.flatMap((found) => firstOf(found.map(({ host, port }) => ask(brokers.at(host, port)))))
      )
      const known = ids.map((id) => ask(brokers.get(id)))
      // Not behind all of them: where a hundred are gone, each would have its second.
      return yield* firstOf([...known.slice(0, triedFirst), bootstrap, ...known.slice(triedFirst)])
    })

  const send = ({ create, names }: MetadataBatcher.Question) =>
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
  const ask = yield* MetadataBatcher.make(scope, send)
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
  const sharedCoordinator = SingleFlight.make<string, Broker>(scope)
  const sharedRefresh = SingleFlight.make<"refresh", void>(scope)

  yield* Backoff.within(
    metadata([]),
    { name: "bootstrapTimeout", millis: config.bootstrapTimeout, waitingFor: "a first broker" },
    (error) => error.isRetryable
  ).pipe(
    Effect.catch((error) => {
      if (error.reason._tag !== "TimedOut" || error.reason.budget !== "bootstrapTimeout") return Effect.fail(error)
      const cause = `no answer within the bootstrapTimeout of ${config.bootstrapTimeout} ms`
      const attempts = firsts.map((address) => ({ address: formatAddress(address), cause }))
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
            ListOffsets.resolve(leaderBroker, positions, options?.isolation === "committed" ? 1 : 0),
            [...new Set(positions.map((position) => position.topic))],
            "offsets"
          ),
    segments: (partition, { before, max }) =>
      retried(ListOffsets.segments(leaderBroker, partition, before, max), [partition.topic], "offsets of segments")
  })
})

/** The native `Cluster`, over `Brokers`: building it connects to a first broker. */
export const layer: Layer.Layer<Cluster, KafkaError.KafkaError, Bootstrap | Brokers | KafkaConfig> = Layer.effect(
  Cluster,
  make
)
