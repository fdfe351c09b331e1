/**
 * Whether the topics whose positions are read are still those that have their names. librdkafka goes on at its position in
 * a topic that was made again, where that is so long by then, and so does another client of it that begins there: what is
 * before that position would be skipped, in silence.
 */
import * as Effect from "effect/Effect"
import type { Cluster } from "../Cluster.ts"
import type * as KafkaError from "../KafkaError.ts"
import type { RdReader } from "./RdReader.ts"

/**
 * How long another id must have been known before it is asked for again. One answer does not count: a broker that lags
 * behind may tell of the old topic.
 */
const settledMillis = 1000

/** Those whose topics have other ids than were known when they were opened; old brokers tell none. */
export const suspected = (
  readers: Iterable<RdReader>,
  { known }: Pick<Cluster["Service"], "known">
): ReadonlyArray<RdReader> => {
  const ids = new Map<string, string | undefined>()
  const found: Array<RdReader> = []
  for (const reader of readers) {
    const { failure, topic } = reader
    if (!ids.has(topic)) ids.set(topic, known(topic)?.id)
    const id = ids.get(topic)
    if (id === undefined || failure !== undefined) continue
    if (reader.know(id) >= settledMillis) found.push(reader)
  }
  return found
}

/** Asks for the topics of those: whose has another id still has failed. */
export const confirm = (
  readers: ReadonlyArray<RdReader>,
  { topics }: Pick<Cluster["Service"], "topics">
): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.map(topics([...new Set(readers.map(({ topic }) => topic))]), (found) => {
    const ids = new Map(found.map(({ id, name }) => [name, id]))
    for (const reader of readers) {
      const id = ids.get(reader.topic)
      // Told and sought meanwhile, it is of the topic that is there, or of the next.
      if (id === undefined || reader.strange === undefined) continue
      reader.know(id)
      if (reader.isOfAnother(id)) reader.recreated(id)
    }
  })
