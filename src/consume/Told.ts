/** What a consumer's events say in the log, besides those that are logged where they come up. */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import { listed, toldAtMost } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import * as TopicPartition from "../TopicPartition.ts"
import { type AnyRecord, raw } from "./ConsumerRecord.ts"
import * as DeadLetter from "./DeadLetter.ts"
import type { ConsumerEvent } from "./Events.ts"

/** What a consumer is called in what it tells. */
export const whoIs = (group: string | undefined): string =>
  group === undefined ? "a consumer" : `a consumer of group ${group}`

/**
 * Makes what is told of each event. `member` is who we are in the group now; of `state`, whether somebody was warned that
 * it waits.
 */
export const make = (
  group: string | undefined,
  member: () => string | undefined,
  run: (effect: Effect.Effect<void>) => void,
  state: () => { warned: boolean }
): ((event: ConsumerEvent) => void) => {
  const repeated = new LogEvent.Repeated()
  const who = whoIs(group)
  const tell = (event: LogEvent.Event, text: string, where: LogEvent.Where = {}) =>
    run(LogEvent.log(event, `${who} ${text}`, { group, member: member(), ...where }))
  const keysOf = (partitions: ReadonlyArray<TopicPartition.TopicPartition>) =>
    listed(partitions.map(TopicPartition.key), toldAtMost) || "no partition"
  return (event) => {
    switch (event._tag) {
      case "Assigned":
        tell(state().warned ? "goesOn" : "assigned", `is given ${keysOf(event.partitions)}`)
        state().warned = false
        return
      case "Revoked":
        return tell("revoked", `has given ${keysOf(event.partitions)} back`)
      case "Lost":
        return tell("lost", `has lost ${keysOf(event.partitions)}: what was not committed comes again elsewhere`)
      case "Damaged":
        // There may be one for each batch; of each partition, since it is of each that records are missing.
        return run(
          repeated.log(
            `damaged ${TopicPartition.key(event.partition)}`,
            "",
            "damaged",
            `${who} leaves out offsets ${event.from} to ${event.to - 1}: ${event.error.message}`,
            { group, member: member(), ...event.partition }
          )
        )
      case "Skipped":
        // There may be one for each record.
        return run(
          repeated.log(
            "skipped",
            event.partition.topic,
            "skipped",
            `${who} passes over a record that does not fit its Schema, at offset ${event.offset}`,
            { group, member: member(), ...event.partition }
          )
        )
    }
  }
}

/** What a handler fails with says nothing of its record, and its type is the application's: the place is logged. */
export const handlerFailed = (
  where: TopicPartition.TopicPartition,
  record: AnyRecord | undefined,
  cause: Cause.Cause<unknown>
): Effect.Effect<void> => {
  if (record === undefined || Cause.hasInterruptsOnly(cause)) return Effect.void
  const { partition, topic } = where
  const { offset } = raw(record)
  const reason = DeadLetter.reasonOf(Cause.squash(cause))
  const text = `the record of ${topic}-${partition} at offset ${offset} could not be handled, which ends run: ${reason}`
  return LogEvent.log("handlerFailed", text, { topic, partition, offset })
}
