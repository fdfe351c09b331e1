/** Pure. What a fault makes of the response to a request whose work was done. */
import * as Code from "./Code.ts"
import { damage } from "./Damage.ts"
import { topicOf } from "./Entries.ts"
import * as FaultRule from "./FaultRule.ts"

/** A topic as metadata told it once, for the fault `staleMetadata`. */
export interface Remembered {
  /** Base64url; zero where it was not told. */
  readonly id: string
  readonly partitions: ReadonlyArray<{
    readonly leader: number
    readonly leaderEpoch: number
    readonly isr: ReadonlyArray<number>
  }>
}

/** The response as it is told; the one that was given stays as it is. */
export const distorted = (
  rule: FaultRule.Rule,
  api: string,
  response: unknown,
  nameOf: (topicId: string) => string | undefined
): unknown => {
  const { action } = rule
  const covers = (topic: string | undefined, partition: number | undefined) => rule.covers(topic, partition)
  switch (action._tag) {
    case "ErrorAfter": {
      const copy = structuredClone(response)
      FaultRule.poison(copy, action.code, covers, nameOf)
      return copy
    }
    case "Throttle":
      return { ...(response as object), throttleTimeMs: action.millis }
    case "CorruptCrc":
    case "Truncate":
      return damage(response, action._tag, covers, nameOf)
    case "StaleMetadata":
      return api === "Metadata" ? stale(response, action.snapshot as ReadonlyMap<string, Remembered>) : response
    default:
      return response
  }
}

interface MetadataTopics {
  readonly topics: ReadonlyArray<{
    readonly errorCode: number
    readonly name: string | null
    readonly partitions: ReadonlyArray<{ readonly partitionIndex: number }>
  }>
}

/**
 * The leaders and epochs as they were when the snapshot was taken, and with them the id: no broker tells those of a topic
 * under the id of the one that was made in its place. Topics that it lacks, or that are gone, are as they are.
 */
const stale = (response: unknown, snapshot: ReadonlyMap<string, Remembered>): unknown => {
  const metadata = response as MetadataTopics
  return {
    ...metadata,
    topics: metadata.topics.map((topic) => {
      const then = topic.name === null ? undefined : snapshot.get(topic.name)
      if (then === undefined || topic.errorCode !== Code.none) return topic
      return {
        ...topic,
        topicId: then.id,
        partitions: topic.partitions
          .filter((each) => each.partitionIndex < then.partitions.length)
          .map((each) => {
            const old = then.partitions[each.partitionIndex]!
            return {
              ...each,
              errorCode: old.leader < 0 ? Code.leaderNotAvailable : Code.none,
              leaderId: old.leader,
              leaderEpoch: old.leaderEpoch,
              isrNodes: old.isr
            }
          })
      }
    })
  }
}

interface Entries {
  readonly topics?: ReadonlyArray<{ readonly name: string | null; readonly topicId: string }>
  readonly responses?: ReadonlyArray<{
    readonly topic?: string
    readonly topicId?: string
    readonly partitions: ReadonlyArray<{ readonly partitionIndex: number }>
  }>
}

/**
 * A response to Metadata, Fetch, or another question that changes nothing, as it is where the broker refuses what the fault
 * is about: without what it told of that.
 */
export const refused = (
  rule: FaultRule.Rule,
  code: number,
  api: string,
  response: unknown,
  nameOf: (topicId: string) => string | undefined
): unknown => {
  const { responses, topics } = response as Entries
  if (api === "Metadata" && topics !== undefined && topics.length > 0)
    return {
      ...(response as object),
      topics: topics.map((topic) =>
        rule.covers(topicOf(topic, nameOf), undefined) ? { ...topic, errorCode: code, partitions: [] } : topic
      )
    }
  if (api === "Fetch" && responses !== undefined && !Code.ofSessions.has(code))
    return {
      ...(response as object),
      responses: responses.map((topic) => ({
        ...topic,
        partitions: topic.partitions.map((each) =>
          rule.covers(topicOf(topic, nameOf), each.partitionIndex)
            ? { partitionIndex: each.partitionIndex, errorCode: code, highWatermark: -1, records: new Uint8Array(0) }
            : each
        )
      }))
    }
  const copy = structuredClone(response)
  FaultRule.poison(copy, code, (topic, partition) => rule.covers(topic, partition), nameOf)
  return copy
}
