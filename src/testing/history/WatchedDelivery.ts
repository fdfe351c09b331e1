/** What consumers deliver and what is marked done, as it is told. */
import { type AnyRecord, origin, raw } from "../../consume/ConsumerRecord.ts"
import type { OffsetTracker } from "../../consume/OffsetTracker.ts"
import type { TopicPartition } from "../../TopicPartition.ts"
import { contentOf, type Event } from "./History.ts"

/** Tells `record` of arrays that are delivered, and of marks and seeks in their partitions. */
export const make = (record: (event: Event) => void) => {
  const trackers = new WeakSet<OffsetTracker>()
  /** How many seeks were heard of, by member and partition. */
  const seeks = new Map<string, number>()
  const seeksOf = (member: string, { partition, topic }: TopicPartition): number =>
    seeks.get(`${member} ${topic}-${partition}`) ?? 0

  const seek = (event: Extract<Event, { readonly _tag: "Seek" }>): void => {
    seeks.set(`${event.member} ${event.topic}-${event.partition}`, seeksOf(event.member, event) + 1)
    record(event)
  }

  /** Hears of marks and seeks: both go through the partition's tracker. */
  const watchMarks = (group: string, member: string, one: AnyRecord): void => {
    const { partition, topic, tracker } = origin(one)
    if (tracker === undefined || trackers.has(tracker)) return
    trackers.add(tracker)
    const place = { group, member, topic, partition }
    const done = tracker.done.bind(tracker)
    const reset = tracker.reset.bind(tracker)
    tracker.done = (offset) => {
      const isNew = done(offset)
      if (isNew) record({ _tag: "Done", ...place, offset })
      return isNew
    }
    tracker.reset = (offset) => {
      seek({ _tag: "Seek", ...place, offset })
      reset(offset)
    }
  }

  const delivered = (
    group: string,
    member: string,
    isCommitted: boolean,
    ordered: boolean,
    array: ReadonlyArray<AnyRecord>
  ): void => {
    for (let i = 0; i < array.length;) {
      const { partition, topic } = array[i]!
      const offsets: Array<number> = []
      const contents: Array<string> = []
      watchMarks(group, member, array[i]!)
      for (; i < array.length && array[i]!.partition === partition && array[i]!.topic === topic; i++) {
        offsets.push(array[i]!.offset)
        contents.push(contentOf(raw(array[i]!)))
      }
      const place = { group, member, topic, partition }
      record({ _tag: "Delivered", ...place, offsets, ordered, ...(isCommitted ? { contents } : undefined) })
    }
  }

  return { delivered, seek, seeksOf }
}
