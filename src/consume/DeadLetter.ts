/** Records that cannot be handled, sent to another topic as they were fetched. */
import * as Effect from "effect/Effect"
import * as LogEvent from "../LogEvent.ts"
import * as KafkaError from "../KafkaError.ts"
import { Producer } from "../Producer.ts"
import type { FetchedRecord } from "../Record.ts"
import type * as Topic from "../Topic.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { Undecodable } from "./Settings.ts"

const text = (value: string): Uint8Array => new TextEncoder().encode(value)

/** A header is read by people; an error may hold the whole of a page. */
const longest = 2000

/** Name, message and, of a tagged error, its fields: `CardRefused: try another {"code":51}`. */
export const reasonOf = (error: unknown): string => {
  let reason: string
  try {
    // Its message has all of its fields.
    if (KafkaError.isKafkaError(error)) reason = `KafkaError: ${error.message}`
    else if (error instanceof Error) {
      const { _tag, cause: _cause, message, name, stack: _stack, ...fields } = error as Error & Record<string, unknown>
      const called = typeof _tag === "string" ? _tag : name
      reason = [
        message === "" ? called : `${called}: ${message}`,
        ...(Object.keys(fields).length === 0 ? [] : [JSON.stringify(fields)])
      ].join(" ")
    } else reason = typeof error === "string" ? error : (JSON.stringify(error) ?? String(error))
  } catch {
    reason = String(error)
  }
  return reason.length > longest ? `${reason.slice(0, longest)}…` : reason
}

/**
 * A topic for dead letters: of those of a topic that go there the first, and then by doubling, is a warning; the others are
 * told at `Debug`.
 */
export class DeadLetters {
  readonly topic: Topic.Bytes<string>
  readonly #repeated = new LogEvent.Repeated()

  constructor(topic: Topic.Bytes<string>) {
    this.topic = topic
  }

  /** Sends a record as it was fetched; behind its headers stand those that say where it came from and why. */
  send(
    from: TopicPartition,
    { headers, key, offset, timestamp, value }: FetchedRecord,
    error: unknown,
    attempts: number
  ): Effect.Effect<void, KafkaError.KafkaError, Producer> {
    const reason = reasonOf(error)
    const sent = Effect.flatMap(Producer, (producer) =>
      producer.send(this.topic, {
        key,
        value,
        headers: [
          ...headers,
          ["samsa.dead-letter.topic", text(from.topic)],
          ["samsa.dead-letter.partition", text(String(from.partition))],
          ["samsa.dead-letter.offset", text(String(offset))],
          ["samsa.dead-letter.reason", text(reason)],
          ["samsa.dead-letter.attempts", text(String(attempts))]
        ],
        ...(timestamp >= 0 ? { timestamp } : {})
      })
    )
    const tell = Effect.flatMap(this.#repeated.told("", from.topic), (told) => {
      const notes = LogEvent.soFar(told ?? { count: 1, others: 0 }, attempts > 0 ? [`attempts: ${attempts}`] : [])
      return LogEvent.log(
        "deadLetter",
        `${from.topic}-${from.partition} at offset ${offset} is now a dead letter in ${this.topic.name}: ${reason}${notes}`,
        { topic: from.topic, partition: from.partition, offset },
        told === undefined ? "Debug" : undefined
      )
    })
    return Effect.andThen(sent, tell)
  }
}

/** For `onUndecodable`: sends what does not fit its Schema to a topic, and goes on behind it. */
export const of = (
  topic: Topic.Bytes<string>
): ((undecodable: Undecodable) => Effect.Effect<void, KafkaError.KafkaError, Producer>) => {
  const letters = new DeadLetters(topic)
  return ({ error, record, ...from }) => letters.send(from, record, error, 0)
}
