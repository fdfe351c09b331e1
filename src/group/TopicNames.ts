/** Finds the names of topics that a group tells by their ids alone, and that the client does not know yet. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Backoff from "../Backoff.ts"
import type { Cluster } from "../Cluster.ts"
import type { MemberWork } from "../engine/MemberWork.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { TopicWatch } from "./TopicWatch.ts"

/** A topic whose name is not found by then is told of, in milliseconds. */
const patience = 5_000

export interface Context extends Pick<MemberWork, "inBackground" | "trouble"> {
  readonly cluster: Cluster["Service"]
  readonly group: string
  readonly watch: TopicWatch
  readonly pattern: () => RegExp | undefined
  /** Whether the name of an id is still to be found. */
  readonly isWanted: (id: string) => boolean
  readonly found: (names: ReadonlyMap<string, string>) => void
}

/** Looks for the names of ids, each once at a time, for as long as they are wanted; each that is found is told. */
export const make = (context: Context): ((ids: ReadonlyArray<string>) => void) => {
  const { cluster, found, group, inBackground, isWanted, pattern, trouble, watch } = context
  const looksFor = new Set<string>()

  const nameOf = (id: string) =>
    Effect.gen(function* () {
      const info = yield* Effect.timeoutOption(cluster.topicById(id), patience)
      if (Option.isNone(info)) {
        const where = { api: "Metadata", group, topic: id }
        return yield* KafkaError.fromCode(ErrorCode.codes.UNKNOWN_TOPIC_ID, where)
      }
      // Whoever reads a pattern hears of a topic before its partitions.
      if (pattern() !== undefined && !watch.subscribed().includes(info.value.name)) yield* watch.subscribe
      return info.value.name
    })

  return (ids) => {
    for (const id of ids) {
      if (looksFor.has(id)) continue
      looksFor.add(id)
      const { cured, troubled } = trouble()
      inBackground(
        nameOf(id).pipe(
          Effect.tapError((error) => (isWanted(id) ? troubled(error) : Effect.void)),
          Effect.retry({ schedule: Backoff.unending(cluster.retry), while: () => isWanted(id) }),
          Effect.option,
          Effect.andThen((name) => {
            looksFor.delete(id)
            if (Option.isSome(name)) found(new Map([[id, name.value]]))
            return cured
          })
        )
      )
    }
  }
}
