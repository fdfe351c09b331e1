/** Pure. Damaged record batches in a Fetch response: the faults `corruptCrc` and `truncate`. */
import { topicOf } from "./Entries.ts"

interface FetchTopics {
  readonly responses: ReadonlyArray<{
    readonly topic?: string
    readonly topicId?: string
    readonly partitions: ReadonlyArray<{ readonly partitionIndex: number; readonly records?: Uint8Array | null }>
  }>
}

/** A copy of the response in which the records that `covers` allows are damaged; the log stays as it is. */
export const damage = (
  response: unknown,
  how: "CorruptCrc" | "Truncate",
  covers: (topic: string | undefined, partition: number | undefined) => boolean,
  nameOf: (topicId: string) => string | undefined
): unknown => {
  const fetch = response as FetchTopics
  if (fetch.responses === undefined) return response
  return {
    ...fetch,
    responses: fetch.responses.map((topic) => ({
      ...topic,
      partitions: topic.partitions.map((partition) => {
        const name = topicOf(topic, nameOf)
        const { records } = partition
        if (records === undefined || records === null || records.length < 27) return partition
        if (!covers(name, partition.partitionIndex)) return partition
        if (how === "Truncate") return { ...partition, records: records.subarray(0, records.length - 10) }
        const copy = Uint8Array.from(records)
        // the CRC of magic 2 stands at 17, that of the older formats at 12
        const at = copy[16] === 2 ? 17 : 12
        copy[at] = copy[at]! ^ 0xff
        return { ...partition, records: copy }
      })
    }))
  }
}
