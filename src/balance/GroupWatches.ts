/**
 * What a member watches: the session, who else is there, its own nodes, the partitions and leaders of its topics, and,
 * while it waits for a claim, the claims. Each tells the member's state machine; none decides anything.
 */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import type { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import * as MemberWork from "../engine/MemberWork.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import { topicIdOf, topicPath } from "../zookeeper/Registration.ts"
import type { Node, ZooKeeper } from "../ZooKeeper.ts"
import { type Event, type State, waitsFor } from "./BalancedState.ts"
import type { Layout } from "./Layout.ts"

export interface Context {
  readonly zooKeeper: ZooKeeper["Service"]
  readonly cluster: Cluster["Service"]
  readonly layout: Layout
  /** In milliseconds. */
  readonly metadataMaxAge: number
  readonly post: (event: Event) => void
  readonly state: () => State
  /** The ids that were there when the member looked last. */
  readonly seen: () => ReadonlySet<string> | undefined
  /** Another topic has the name of one that we read: of this id, where brokers write one. */
  readonly replaced: (topic: string, id: string | undefined) => Effect.Effect<void>
  /** Of one thing that is waited for. */
  readonly trouble: () => MemberWork.Trouble
  /** The session in which the member is from now on; none any more. */
  readonly session: (id: string | undefined) => void
  readonly current: () => string | undefined
}

type Watch = Stream.Stream<unknown, KafkaError.KafkaError>

export interface GroupWatches {
  readonly session: Watch
  /** The session is over by the clock: nothing is done in it any more, and it is not told again. */
  readonly lost: () => void
  readonly members: Watch
  /** The member has seen who is there. */
  readonly looked: () => void
  /** Of the member's own node. */
  readonly id: (id: string) => Watch
  readonly topic: (topic: string) => Watch
  /** Whether it was made again while it was not watched, or before this session; told as `replaced`. */
  readonly made: (topic: string, isWatched: boolean) => Effect.Effect<void, KafkaError.KafkaError>
  /** The same, whatever was seen before. */
  readonly looks: (topic: string) => Effect.Effect<void, KafkaError.KafkaError>
  /** When the topics were made of which the consumer has heard in this session, by name. */
  readonly heard: () => ReadonlyMap<string, string>
  readonly claims: (topic: string) => Watch
  /** What the cluster's metadata tells. */
  readonly changes: Watch
  /** Of a topic, beside what the last look saw. */
  readonly compare: (info: TopicInfo) => void
}

/** When a topic was made, as it was seen last. */
interface Made {
  readonly at: string
  /** Of the one that was seen before it. */
  readonly before: string | undefined
  readonly session: string | undefined
}

/**
 * Whether it is told late: by a read that another has overtaken, or by a server that lags. In a next session that is the
 * topic just before the last one, by a server that does not know of all that was before it (sessions may be local). What
 * else is older there is of a ZooKeeper that was emptied, and counts from the beginning again.
 */
const isLate = (last: Made, at: string, session: string | undefined): boolean =>
  at < last.at && (session === undefined || session === last.session || at === last.before)

/** When topics were made, and of which of them the consumer has heard. */
const topicsMade = ({ current, replaced, zooKeeper }: Context) => {
  /** One that is not read for a while may be another when it is read again. */
  const seenMade = new Map<string, Made>()
  /** Of this session: what the consumer has heard, and which topics were looked at because of it. */
  let heard: ReadonlyMap<string, string> = new Map()
  const lookedAt = new Set<string>()
  const reset = (): void => {
    heard = new Map()
    lookedAt.clear()
  }
  const compared = (topic: string, node: Node | undefined): Effect.Effect<void> =>
    Effect.suspend(() => {
      if (node === undefined) return Effect.void
      const session = current()
      const last = seenMade.get(topic)
      const at = node.stat.created
      if (last !== undefined && isLate(last, at, session)) return Effect.void
      const isOther = last !== undefined && last.at !== at
      seenMade.set(topic, { at, before: isOther ? last.at : last?.before, session })
      // Behind it: what is asked for until then may be of the one before.
      return Effect.andThen(
        isOther ? replaced(topic, topicIdOf(node.data)) : Effect.void,
        Effect.sync(() => {
          if (current() === session && at === seenMade.get(topic)?.at) heard = new Map(heard).set(topic, at)
        })
      )
    })
  const looks: GroupWatches["looks"] = (topic) =>
    Effect.flatMap(zooKeeper.read(topicPath(topic)), (node) => {
      lookedAt.add(topic)
      return compared(topic, node)
    })
  const made: GroupWatches["made"] = (topic, isWatched) =>
    Effect.suspend(() => {
      // A watch tells nothing in another session where it finds what it has told before.
      const isKnown = isWatched ? heard.has(topic) || lookedAt.has(topic) : !seenMade.has(topic)
      return isKnown ? Effect.void : looks(topic)
    })
  return { compared, made, looks, heard: () => heard, reset }
}

export const make = (context: Context): GroupWatches => {
  const { cluster, layout, post, seen, state, trouble, zooKeeper } = context

  /** Of a topic, beside what the last look saw. */
  const compare = (info: TopicInfo): void => {
    const before = state().view?.partitions.get(info.name)
    if (before === undefined) return
    if (before.length !== info.partitions.length) return post({ _tag: "Changed" })
    const moved = info.partitions.some(
      ({ leader, partition }) => leader >= 0 && before.find((one) => one.partition === partition)?.leader !== leader
    )
    if (layout.hasLeaders && moved) post({ _tag: "LeadersMoved" })
  }
  const id = (id: string) => {
    let before: Node["stat"] | undefined
    return Stream.tap(zooKeeper.watch(`${layout.ids}/${id}`), (node) =>
      Effect.sync(() => {
        // It was removed by somebody, or nudged.
        if (node === undefined) {
          if (seen()?.has(id) === true) post({ _tag: "Changed" })
        } else {
          // One that was removed and made again between two reads begins to count anew.
          const counted = before?.created === node.stat.created ? before.version : 0
          if (node.stat.version > counted) post({ _tag: "Changed" })
        }
        before = node?.stat
      })
    )
  }
  const { compared, heard, looks, made, reset } = topicsMade(context)
  /** Topics of which brokers know less than their nodes say; it is one thing that is waited for, until there is none. */
  const behind = new Set<string>()
  const lagging = trouble()
  const laggingOf = (topic: string): MemberWork.Trouble => ({
    troubled: (error) => Effect.suspend(() => lagging.troubled((behind.add(topic), error))),
    cured: Effect.suspend(() => {
      behind.delete(topic)
      return behind.size === 0 ? lagging.cured : Effect.void
    })
  })
  /** Metadata follow what a topic's node says of its partitions: late, where brokers are away, or slow. */
  const followed = (topic: string, wanted: number, isFirst: boolean) =>
    Effect.gen(function* () {
      const known = cluster.known(topic)?.partitions.length ?? 0
      // The metadata that was asked for beside tells the same, unless it is older than the node.
      if (isFirst && known >= Math.max(1, wanted)) return
      const ask = Effect.gen(function* () {
        const [info] = yield* cluster.topics([topic], { unready: true })
        const count = info?.partitions.length ?? 0
        // Brokers may tell nothing of it for now.
        if (count < wanted || (count === 0 && info !== undefined)) return yield* notFollowed(topic, count, wanted)
        if (info !== undefined) compare(info)
      })
      yield* MemberWork.insisted(ask, cluster.retry, laggingOf(topic), () => true).pipe(
        // After so long the topic is looked at in any case.
        Effect.timeoutOption(context.metadataMaxAge),
        Effect.ignore,
        // It is waited for no more.
        Effect.andThen(laggingOf(topic).cured)
      )
    })
  const topic = (topic: string) => {
    let isFirst = true
    return zooKeeper.watch(topicPath(topic)).pipe(
      // At once, whatever the brokers tell: until then the new topic would be read on from where the one before was.
      Stream.tap((node) => compared(topic, node)),
      Stream.switchMap((node) => {
        const following = followed(topic, countOf(node), isFirst)
        isFirst = false
        return Stream.fromEffectDrain(following)
      }),
      Stream.ensuring(laggingOf(topic).cured)
    )
  }
  /** Those that were told while the first look of a session was on its way: it may have read others. */
  let early: ReadonlyArray<string> | undefined
  // Where one may say something else under the same id, the names alone do not tell.
  const compareMembers = (names: ReadonlyArray<string>, before: ReadonlySet<string>): void => {
    if (layout.idsChange || names.length !== before.size || names.some((name) => !before.has(name)))
      post({ _tag: "Changed" })
  }
  const members = Stream.tap(zooKeeper.watchChildren(layout.ids), (names = []) =>
    Effect.sync(() => {
      const before = seen()
      if (before === undefined) early = names
      else compareMembers(names, before)
    })
  )
  const looked = (): void => {
    const before = seen()
    if (early !== undefined && before !== undefined) compareMembers(early, before)
    early = undefined
  }
  const claims = (topic: string) =>
    Stream.tap(zooKeeper.watchChildren(layout.owners(topic)), (names = []) =>
      Effect.sync(() => {
        const there = new Set(names.map(layout.partitionOf))
        const isFree = (one: TopicPartition) => one.topic === topic && !there.has(one.partition)
        if (waitsFor(layout, state()).some(isFree)) post({ _tag: "ClaimsChanged" })
      })
    )
  /** Said once of a session, by whoever notices first. */
  let over: string | undefined
  const connection = trouble()
  const lost = (): void => {
    over = context.current() ?? over
    reset()
    context.session(undefined)
  }
  const session = Stream.tap(zooKeeper.states, (told) =>
    Effect.suspend(() => {
      switch (told._tag) {
        case "Connected":
          // A lost connection is no lost session.
          if (context.current() === told.session) return connection.cured
          reset()
          context.session(told.session)
          post({ _tag: "SessionBegan", session: told.session })
          return Effect.void
        case "Lost":
          if (over === told.session && context.current() === undefined) return Effect.void
          lost()
          post({ _tag: "SessionLost" })
          return Effect.void
        case "Suspended":
          return connection.troubled(suspended())
        case "Refused": {
          const message = "the credentials were refused"
          const error = KafkaError.make({ _tag: "Unauthenticated", mechanism: "ZooKeeper", message })
          return Effect.sync(() => post({ _tag: "Refused", error }))
        }
      }
    })
  )
  const changes = Stream.tap(cluster.changes, (change) =>
    Effect.sync(() => {
      if (change._tag === "Topic") compare(change.topic)
    })
  )
  return { session, lost, members, looked, id, topic, made, looks, heard, claims, changes, compare }
}

const suspended = () =>
  KafkaError.make({
    _tag: "Unreachable",
    what: "ZooKeeper",
    attempts: [{ address: "its servers", cause: "no answer; what we own stands until the session ends" }]
  })

/** Brokers know less of a topic than its node in ZooKeeper says. */
const notFollowed = (topic: string, count: number, wanted: number) => {
  const code = ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION
  const all = wanted === 0 ? "partitions" : `${wanted} partitions`
  const message = `brokers tell of ${count} of the ${all} that it has by its node in ZooKeeper`
  const { name, retriable } = ErrorCode.get(code)
  return KafkaError.make({ _tag: "Server", code, name, message, retriable, topic })
}

/** How many partitions `/brokers/topics/<topic>` tells of. */
const countOf = (node: Node | undefined): number => {
  try {
    return node === undefined ? 0 : Object.keys(JSON.parse(new TextDecoder().decode(node.data)).partitions).length
  } catch {
    return 0
  }
}
