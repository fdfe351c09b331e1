/**
 * Who keeps the offsets of a group in ZooKeeper: Kafka, or ZooKeeper itself. Either way a commit is one of a session, and
 * is refused where that cannot be known to live: others may own the partition by then.
 */
import * as Effect from "effect/Effect"
import * as ErrorCode from "../ErrorCode.ts"
import { anonymous, type Commit, type Committed, GroupOffsets, type Identity } from "../GroupOffsets.ts"
import * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import * as LogEvent from "../LogEvent.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { topicIdOf, topicPath } from "../zookeeper/Registration.ts"
import type { Node, Operations, ZooKeeper } from "../ZooKeeper.ts"

const gone = ErrorCode.codes.UNKNOWN_MEMBER_ID
const unknown = ErrorCode.codes.UNKNOWN_TOPIC_OR_PARTITION
const unbounded = { concurrency: "unbounded" } as const

/** As whom a member of a group in ZooKeeper commits. */
export interface BalancedIdentity extends Identity {
  /**
   * When the topics were made of which the consumer has heard by the time it commits, by name: what it commits is of
   * none that is newer. Without one: of that which was there when offsets were read.
   */
  readonly made?: ReadonlyMap<string, string>
}

/** The offsets of Kafka, committed by nobody's name, as members that its coordinator does not know must. */
export const inKafka = (kafka: GroupOffsets["Service"], zooKeeper: ZooKeeper["Service"]): GroupOffsets["Service"] =>
  GroupOffsets.of({
    fetch: kafka.fetch,
    commit: (group, as, commits) =>
      Effect.suspend(() => {
        const session = zooKeeper.sessionOf(as.memberId)
        const refused = commits.map(() => gone)
        if (!session.isLive()) return Effect.succeed(refused)
        // It may wait for its coordinator for longer than the session lasts.
        const isCurrent = () => session.isLive() && as.isCurrent?.() !== false
        return Effect.catchIf(
          kafka.commit(group, { ...anonymous, isCurrent }, commits),
          () => !session.isLive(),
          () => Effect.succeed(refused)
        )
      })
  })

const pathOf = (group: string, { partition, topic }: TopicPartition.TopicPartition): string =>
  `/consumers/${group}/offsets/${topic}/${partition}`

/**
 * The offsets of the JVM's high-level consumer, `/consumers/<group>/offsets/<topic>/<partition>`: the next to be read,
 * as a decimal; -1 is none. Brokers of 0.8 to 3.9 read and write the same nodes for OffsetFetch and OffsetCommit v0. There is no
 * room for metadata.
 */
export const inZooKeeper = (
  zooKeeper: ZooKeeper["Service"],
  as: (memberId: string) => Operations = zooKeeper.sessionOf
): GroupOffsets["Service"] => {
  /** Offsets of topics that were deleted, which were told of. */
  const told = new Set<string>()
  const repeated = new LogEvent.Repeated()
  /** When each topic was made, as it was when offsets were read. */
  const read = new Map<string, string>()
  /** The ids that each topic's node was seen to have, and when that one was made. */
  const ids = new Map<string, Map<string, string>>()
  const nodeOf = (topic: string, from: Pick<Operations, "read"> = zooKeeper) =>
    Effect.tap(from.read(topicPath(topic)), (node) =>
      Effect.sync(() => {
        if (node === undefined) return
        const id = topicIdOf(node.data)
        if (id !== undefined) kept(ids, topic, () => new Map()).set(id, node.stat.created)
      })
    )
  /**
   * Whether the topic of this name is another than that of the commit: one may be on its way for as long as a topic takes
   * to be deleted and made again, is newer than the new one then, and is asked for again by who has not heard of that.
   */
  const isOther = (commit: Commit, node: Node | undefined, { made }: BalancedIdentity): boolean => {
    if (node === undefined) return false
    const id = commit.topicId === undefined ? undefined : topicIdOf(node.data)
    if (id !== undefined && id === commit.topicId) return false
    const seen = commit.topicId === undefined ? undefined : ids.get(commit.topic)
    // The node may be nobody's any more: of brokers that were moved to KRaft, say. Then it never had that id.
    const madeAt = seen?.get(commit.topicId!)
    if (madeAt !== undefined && (id !== undefined || madeAt !== node.stat.created)) return true
    // Made by a tool that knows no ids it has none until the controller writes one, and brokers tell of it only then.
    // One that was written to since may have had one: such a tool takes it away as it adds partitions.
    if (id === undefined && seen !== undefined && node.stat.version === 0) return true
    const at = made?.get(commit.topic) ?? read.get(commit.topic) ?? ""
    return at !== "" && at !== node.stat.created
  }
  return GroupOffsets.of({
    fetch: (group, partitions) =>
      Effect.gen(function* () {
        const committed = new Map<string, Committed>()
        const topics = [...new Set(partitions.map(({ topic }) => topic))]
        /** When each was made, as far as brokers tell it in ZooKeeper. */
        const made = new Map(
          yield* Effect.forEach(
            topics,
            (topic) => Effect.map(nodeOf(topic), (node) => [topic, node?.stat.created ?? ""] as const),
            unbounded
          )
        )
        for (const [topic, at] of made) if (at !== "") read.set(topic, at)
        yield* Effect.forEach(
          partitions,
          (one) =>
            Effect.gen(function* () {
              const path = pathOf(group, one)
              const node = yield* zooKeeper.read(path)
              // Nobody removes it with its topic: what is older than that is of another one of this name.
              const isOld = node !== undefined && node.stat.modified < made.get(one.topic)!
              if (isOld && !told.has(path)) {
                told.add(path)
                const what = "is older than its topic, thus of another one of that name, and is not used"
                const where = { group, ...placeOf(one) }
                yield* repeated.log(group, path, "topicRecreated", `the offset at ${path} ${what}`, where)
              }
              const text = node === undefined || isOld ? "-1" : new TextDecoder().decode(node.data).trim()
              const offset = /^(-1|\d+)$/.test(text) ? Number(text) : NaN
              // To begin elsewhere in silence would skip records, or repeat all of them.
              if (!Number.isSafeInteger(offset)) return yield* unreadable(path, text, group, one)
              if (offset >= 0) committed.set(TopicPartition.key(one), { offset, metadata: "", leaderEpoch: -1 })
            }),
          { ...unbounded, discard: true }
        )
        return committed
      }),
    commit: (group, identity, commits) =>
      Effect.gen(function* () {
        const { memberId } = identity
        const session = as(memberId)
        const codes = yield* Effect.forEach(
          commits,
          (commit) => {
            const path = pathOf(group, commit)
            const data = dataOf(commit)
            return session.set(path, data).pipe(
              Effect.catchIf(is("NO_NODE"), () =>
                Effect.catchIf(Effect.asVoid(session.create(path, data)), is("NODE_EXISTS"), () =>
                  session.set(path, data)
                )
              ),
              Effect.as(0),
              Effect.catchIf(is("SESSION_EXPIRED"), () => Effect.succeed(gone))
            )
          },
          unbounded
        )
        // Who is no member says what is to stand.
        if (memberId === "") return codes
        // As long as the claim is ours nobody else begins from what is taken back here.
        const takenBack = Effect.gen(function* () {
          const topics = [...new Set(commits.map(({ topic }) => topic))]
          const nodes = yield* Effect.forEach(topics, (topic) => nodeOf(topic, session), unbounded)
          const there = new Map(topics.map((topic, i) => [topic, nodes[i]]))
          const isOthers = (i: number) => codes[i] === 0 && isOther(commits[i]!, there.get(commits[i]!.topic), identity)
          return yield* Effect.forEach(
            commits,
            (commit, i) =>
              isOthers(i)
                ? Effect.as(session.remove(pathOf(group, commit), { data: dataOf(commit) }), unknown)
                : Effect.succeed(codes[i]!),
            unbounded
          )
        })
        // What is written is written, whether or not that can be asked.
        return yield* Effect.catch(takenBack, () => Effect.succeed(codes))
      })
  })
}

const dataOf = ({ offset }: { readonly offset: number }) => new TextEncoder().encode(`${offset}`)

/** The same beside the group: what is committed by who is no member of it hangs on no session. */
export const besideGroup = (zooKeeper: ZooKeeper["Service"]): GroupOffsets["Service"] =>
  inZooKeeper(zooKeeper, (id) => (id === "" ? zooKeeper : zooKeeper.sessionOf(id)))

const placeOf = ({ partition, topic }: TopicPartition.TopicPartition) => ({ topic, partition })

const unreadable = (path: string, text: string, group: string, { partition, topic }: TopicPartition.TopicPartition) =>
  KafkaError.make({
    _tag: "Corrupt",
    what: "a committed offset in ZooKeeper",
    path,
    problem: `${JSON.stringify(text.slice(0, 40))} is no offset`,
    group,
    topic,
    partition
  })

const is = (name: string) => (error: KafkaError.KafkaError) =>
  error.reason._tag === "ZooKeeperRefused" && error.reason.name === name
