/**
 * The native `Cluster`: metadata, coordinators and offsets, asked of brokers.
 *
 * Any live broker is asked; where none that is known answers, those that `Bootstrap` tells are (KIP-899), which is read
 * again. Requests for metadata go one at a time: what is asked for meanwhile goes together into the next.
 *
 * @since 0.1.0
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { supplied } from "./Abandon.ts"
import * as Backoff from "./Backoff.ts"
import { Bootstrap, type HostPort } from "./Bootstrap.ts"
import { Broadcast } from "./Broadcast.ts"
import { Brokers } from "./Broker.ts"
import { Cluster } from "./Cluster.ts"
import { drive } from "./compression/drive.ts"
import type { Turns } from "./compression/Turns.ts"
import type { Change, TopicInfo } from "./ClusterInfo.ts"
import { codes as code, isTransient } from "./ErrorCode.ts"
import { formatAddress, KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { kept } from "./Kept.ts"
import { listed } from "./Listed.ts"
import * as AnyBroker from "./metadata/AnyBroker.ts"
import * as Budgets from "./metadata/Budgets.ts"
import * as Coordinators from "./metadata/Coordinators.ts"
import { staggerMillis } from "./metadata/Hedge.ts"
import * as ListOffsets from "./metadata/ListOffsets.ts"
import * as ListOffsetsBatcher from "./metadata/ListOffsetsBatcher.ts"
import { MetadataState } from "./metadata/MetadataState.ts"
import * as SingleFlight from "./metadata/SingleFlight.ts"
import * as Topics from "./metadata/Topics.ts"
import { perService } from "./PerService.ts"
import * as Metadata from "./protocol/messages/Metadata.ts"
import * as TopicPartition from "./TopicPartition.ts"

/** Some milliseconds. */
const topicsInATurn = 10_000

/** Whether a topic's code says nothing of whether it is there. */
const isUnready = (told: number | undefined): boolean =>
  told !== undefined && told !== code.UNKNOWN_TOPIC_OR_PARTITION && isTransient(told, "Metadata")

/** How many changes a subscriber may be behind. */
const changesKept = 1024

/** So many topics are remembered that are to be asked for anew. */
const unlearntAtMost = 10_000

/** Makes what retries within the budget; what moved while we asked is learnt before the next try. */
const retrying = ({ askAgain, doubt }: Topics.Topics, budgets: Budgets.Budgets) => {
  /** Topics of which a try was ended by its budget, before a leader that stands still was given up: nothing was learnt. */
  const unlearnt = new Map<string, true>()
  const learn = (names: ReadonlyArray<string>) => {
    const learnt = Effect.sync(() => {
      for (const name of names) unlearnt.delete(name)
    })
    return Effect.suspend(() =>
      names.some((name) => unlearnt.has(name)) ? Effect.ignore(Effect.andThen(askAgain(names), learnt)) : Effect.void
    )
  }
  /** Whoever says that it does not lead is doubted. */
  const doubted = ({ reason }: KafkaError.KafkaError) => {
    if (reason.topic !== undefined && reason.partition !== undefined)
      doubt({ topic: reason.topic, partition: reason.partition })
  }
  return <A>(
    self: Effect.Effect<A, KafkaError.KafkaError>,
    names: ReadonlyArray<string>,
    waitingFor: string
  ): Effect.Effect<A, KafkaError.KafkaError> =>
    Effect.suspend(() => {
      /** Whether a try is under way, of which nothing was learnt. */
      let isTrying = false
      const once = Effect.suspend(() => {
        isTrying = true
        return Effect.tapError(Effect.andThen(learn(names), self), (error) => {
          if (!Budgets.isTransient(error)) return Effect.void
          doubted(error)
          return Effect.map(Effect.ignore(askAgain(names)), () => void (isTrying = false))
        })
      })
      return Effect.tapError(budgets.retried(once, waitingFor), (error) =>
        Effect.sync(() => {
          // Where the budget has ended one, the error may be that of an earlier try.
          if (!isTrying || !Budgets.isTransient(error)) return
          for (const name of names) kept(unlearnt, name, () => true, unlearntAtMost)
        })
      )
    })
}

/** Which of the first brokers have not answered in time, and whose turn had not come. */
const unanswered = (addresses: ReadonlyArray<HostPort>, asked: AnyBroker.Asked, millis: number) => {
  const within = `within the bootstrapTimeout of ${millis} ms`
  const put = asked.addresses()
  const attempts = addresses.map(formatAddress).map((address) => ({
    address,
    cause: put.has(address) ? `no answer ${within}` : `not asked ${within}, since others did not answer`
  }))
  return KafkaError.make({ _tag: "Unreachable", attempts })
}

/**
 * Makes the service: connects to a first broker, within `bootstrapTimeout`, where `connect` does not say otherwise.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<
  Cluster["Service"],
  KafkaError.KafkaError,
  Bootstrap | Brokers | KafkaConfig | Scope.Scope
> = Effect.gen(function* () {
  const settings = yield* KafkaConfig
  const brokers = yield* Brokers
  const scope = yield* Effect.scope
  const clock = yield* Clock.Clock
  const state = new MetadataState()
  const changes = new Broadcast<Change>({ unread: changesKept, replayed: 0 })
  // The end of all who listen.
  yield* Effect.addFinalizer(() => Effect.sync(() => changes.end()))
  const changed = (change: Change) => changes.tell(change)
  const asked = new AnyBroker.Asked(() => Backoff.monotonic(clock))
  const budgets = Budgets.make(settings, () => asked.addresses(staggerMillis))
  const bootstrap = yield* Bootstrap
  const addresses = budgets.once(supplied(bootstrap.addresses, "Bootstrap"), "where the first brokers are")
  const anyBroker = AnyBroker.make(brokers, addresses, state, () => Backoff.monotonic(clock), asked)
  const topics = yield* Topics.make({ settings, scope, brokers, anyBroker, budgets, state, changed })
  const coordinators = yield* Coordinators.make(scope, brokers, anyBroker, budgets, settings.retry)
  const sharedRefresh = SingleFlight.make<"refresh", void>(scope)

  const { doubt } = topics
  const retried = retrying(topics, budgets)
  const askOffsets = ListOffsets.doubting(yield* ListOffsetsBatcher.make(scope, ListOffsets.ask), doubt)

  const leaderNow = Effect.fnUntraced(function* ({ topic: name, partition }: TopicPartition.TopicPartition) {
    const known = (yield* topics.get(name)).partitions[partition]
    const info = known === undefined || known.leader < 0 ? (yield* topics.lookUp(name)).partitions[partition] : known
    if (info === undefined)
      return yield* KafkaError.fromCode(code.UNKNOWN_TOPIC_OR_PARTITION, { topic: name, partition })
    if (info.leader < 0) return yield* KafkaError.fromCode(code.LEADER_NOT_AVAILABLE, { topic: name, partition })
    const broker = yield* Effect.tapError(brokers.get(info.leader), () =>
      Effect.sync(() => doubt({ topic: name, partition }))
    )
    return { broker, epoch: info.leaderEpoch }
  })
  const leaderBroker = (partition: TopicPartition.TopicPartition) =>
    Effect.map(leaderNow(partition), ({ broker }) => broker)

  const controllerNow = Effect.gen(function* () {
    yield* topics.ask([])
    if (state.controller >= 0) return yield* brokers.get(state.controller)
    const spoken = yield* anyBroker.ask((broker) => broker.version(Metadata))
    return yield* spoken === 0
      ? KafkaError.make({ _tag: "Unsupported", needed: "the controller", ours: "Metadata v1-13", theirs: "v0" })
      : KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "the controller", cause: "there is none now" }] })
  })

  /** What is known of topics, in their order, in turns: all those of a cluster may be a million. */
  function* gathered(
    codes: ReadonlyMap<string, number>,
    names: ReadonlyArray<string> | null,
    { internal = false, unready = false }: NonNullable<Parameters<Cluster["Service"]["topics"]>[1]>
  ): Turns<ReadonlyArray<TopicInfo>> {
    const infos: Array<TopicInfo> = []
    let looked = 0
    for (const name of names ?? codes.keys()) {
      if (++looked % topicsInATurn === 0) yield
      const told = codes.get(name)
      const info =
        told === code.NONE ? state.topic(name) : unready && isUnready(told) ? MetadataState.unready(name) : undefined
      if (info !== undefined && (names !== null || internal || !info.internal)) infos.push(info)
    }
    return infos
  }

  const first = Backoff.within(
    topics.ask([]),
    { name: "bootstrapTimeout", millis: settings.bootstrapTimeout, waitingFor: "a first broker" },
    (error) => error.isRetryable,
    settings.retry
  ).pipe(
    Effect.catch((error) => {
      if (error.reason._tag !== "TimedOut" || error.reason.budget !== "bootstrapTimeout") return Effect.fail(error)
      const addresses = anyBroker.bootstrap()
      return Effect.fail(addresses.length === 0 ? error : unanswered(addresses, asked, settings.bootstrapTimeout))
    })
  )
  if (settings.connect === "eagerly") yield* first

  return Cluster.of({
    brokers: budgets.once(
      Effect.map(topics.ask([]), () => state.nodes),
      "the brokers"
    ),
    any: budgets.once(
      anyBroker.ask((broker) => Effect.as(broker.version(Metadata), broker)),
      "a broker"
    ),
    controller: budgets.retried(controllerNow, "the controller"),
    retry: settings.retry,
    clusterId: () => state.clusterId,
    topic: topics.get,
    topicById: topics.getById,
    topics: (names, options = {}) =>
      Effect.flatMap(
        budgets.once(topics.ask(names), names === null ? "the topics" : `topics ${listed(names, Budgets.namedAtMost)}`),
        (codes) => Effect.orDie(drive(gathered(codes, names, options)))
      ),
    known: topics.known,
    knownById: topics.knownById,
    learnLeader: (partition, leader, epoch, byId) => {
      const change = state.moved(partition, leader, epoch, byId)
      if (change !== undefined) changed(change)
      return change !== undefined
    },
    doubtLeader: doubt,
    trustLeader: (partition) => state.trustId(partition),
    isDoubted: topics.isDoubted,
    leader: (partition) =>
      retried(leaderNow(partition), [partition.topic], `the leader of ${TopicPartition.key(partition)}`),
    refresh: sharedRefresh(
      "refresh",
      Effect.suspend(() => Effect.asVoid(budgets.once(topics.ask(state.names()), "metadata")))
    ),
    changes: changes.stream,
    coordinator: coordinators.get,
    forgetCoordinator: coordinators.forget,
    offsets: (positions, options) =>
      positions.length === 0
        ? Effect.succeed([])
        : retried(
            ListOffsets.resolve(askOffsets, leaderBroker, positions, options?.isolation === "committed" ? 1 : 0),
            [...new Set(positions.map((position) => position.topic))],
            "offsets"
          ),
    segments: (partition, { before, max }) =>
      retried(ListOffsets.segments(leaderBroker, partition, before, max), [partition.topic], "offsets of segments")
  })
})

/**
 * The native `Cluster`, over `Brokers`: building it connects to a first broker.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Cluster, KafkaError.KafkaError, Bootstrap | Brokers | KafkaConfig> = perService(
  [Bootstrap, Brokers, KafkaConfig],
  () => Layer.effect(Cluster, make)
)
