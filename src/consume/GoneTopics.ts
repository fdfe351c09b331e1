/**
 * Topics of which an answer says that they are gone: one that lags behind may say so, and they are asked for again. Each
 * topic is asked for once at a time, and ever more rarely where every question leads to the next: two consumers of one
 * client hear each other's answers.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type { TopicInfo } from "../ClusterInfo.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"

export interface Context {
  readonly cluster: Cluster["Service"]
  readonly scope: Scope.Scope
  readonly isKnown: (topic: string) => boolean
  /** Asks, more than once. */
  readonly isGone: (topic: string) => Effect.Effect<boolean>
  /** It is. */
  readonly replaced: (topic: string) => Effect.Effect<void>
  /** It is there, as an answer says that tells something new of it. */
  readonly heard: (topic: TopicInfo) => Effect.Effect<void>
}

interface Check {
  isUnderWay: boolean
  /** It was told again meanwhile. */
  again: boolean
  readonly wait: () => number
}

/** A single broker may answer from old metadata: what it does not know is asked for once more; in milliseconds. */
export const askedAgain = 1_000

const { UNKNOWN_TOPIC_ID, UNKNOWN_TOPIC_OR_PARTITION } = ErrorCode.codes

export const isUnknownTopic = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "UnknownTopic" ||
  (reason._tag === "Server" && (reason.code === UNKNOWN_TOPIC_OR_PARTITION || reason.code === UNKNOWN_TOPIC_ID))

type Topics = Pick<Cluster["Service"], "topics">

/** Without partitions where nothing can be told of it for now. */
export const lookUp =
  ({ topics }: Topics) =>
  (topic: string) =>
    Effect.map(topics([topic], { unready: true }), (infos) => infos[0])

/** Whether there is no such partition, as it is told twice. */
export const isGone =
  (cluster: Topics) =>
  ({ partition, topic }: TopicPartition): Effect.Effect<boolean> =>
    Effect.gen(function* () {
      for (const last of [false, true]) {
        const info = yield* lookUp(cluster)(topic)
        if (info !== undefined && (info.partitions.length === 0 || partition < info.partitions.length)) return false
        if (!last) yield* Effect.sleep(askedAgain)
      }
      return true
    }).pipe(Effect.catch(() => Effect.succeed(false)))

/** Follows what is told of topics: ends never. */
export const watch = ({ cluster, heard, isGone, isKnown, replaced, scope }: Context): Effect.Effect<void> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const waits = yield* Backoff.waits(cluster.retry)
    const checks = new Map<string, Check>()
    const checkOf = (topic: string): Check => {
      let check = checks.get(topic)
      if (check === undefined) {
        const wait = Backoff.repeats(waits(), () => Backoff.monotonic(clock))
        checks.set(topic, (check = { isUnderWay: false, again: false, wait }))
      }
      return check
    }
    const confirmed = (topic: string, check: Check): Effect.Effect<void> =>
      Effect.gen(function* () {
        do {
          check.again = false
          yield* Effect.sleep(check.wait())
          if (yield* isGone(topic)) {
            yield* replaced(topic)
            checks.delete(topic)
          }
          // Of one that was given up nothing more is asked.
        } while (check.again && isKnown(topic))
      }).pipe(Effect.ensuring(Effect.sync(() => (check.isUnderWay = false))))
    yield* Stream.runForEach(cluster.changes, (change) => {
      if (change._tag === "Topic") return heard(change.topic)
      if (change._tag !== "TopicGone" || !isKnown(change.before.name)) return Effect.void
      const { name } = change.before
      const check = checkOf(name)
      if (check.isUnderWay) check.again = true
      else {
        check.isUnderWay = true
        return Effect.asVoid(Effect.forkIn(confirmed(name, check), scope))
      }
      return Effect.void
    })
  })
