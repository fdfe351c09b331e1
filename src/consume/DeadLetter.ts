/** Records that cannot be handled, sent to another topic as they were fetched. */
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import { Producer } from "../Producer.ts"
import type { FetchedRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { Undecodable } from "./Settings.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

const reasonOf = (error: unknown): string => {
  if (error instanceof Error) return `${error.name}: ${error.message}`
  try {
    return typeof error === "string" ? error : (JSON.stringify(error) ?? String(error))
  } catch {
    return String(error)
  }
}

/** Sends a record as it was fetched; behind its headers stand those that say where it came from and why. */
export const send = Effect.fnUntraced(function* (
  to: Topic.Bytes<string>,
  from: TopicPartition,
  { headers, key, offset, timestamp, value }: FetchedRecord,
  error: unknown,
  attempts: number
): Effect.fn.Return<void, KafkaError.KafkaError, Producer> {
  const producer = yield* Producer
  yield* producer.send(to, {
    key,
    value,
    headers: [
      ...headers,
      ["samsa.dead-letter.topic", text(from.topic)],
      ["samsa.dead-letter.partition", text(String(from.partition))],
      ["samsa.dead-letter.offset", text(String(offset))],
      ["samsa.dead-letter.reason", text(reasonOf(error))],
      ["samsa.dead-letter.attempts", text(String(attempts))]
    ],
    ...(timestamp >= 0 ? { timestamp } : {})
  })
})

/** For `onUndecodable`: sends what does not fit its Schema to a topic, and goes on behind it. */
export const of =
  (topic: Topic.Bytes<string>) =>
  ({ error, record, ...from }: Undecodable): Effect.Effect<void, KafkaError.KafkaError, Producer> =>
    send(topic, from, record, error, 0)
