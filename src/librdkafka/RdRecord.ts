/** Records as node-rdkafka takes and gives them, and why it cannot take some. */
import type { Message, Producer } from "node-rdkafka"
import * as KafkaError from "../KafkaError.ts"
import { type Headers, noHeaders, type ProduceRecord } from "../Record.ts"
import type { TopicPartition } from "../TopicPartition.ts"

/** A text that ends a string in C, which node-rdkafka copies header values as. */
const nul = "\0"

/** The same bytes. */
export const asBuffer = (bytes: Uint8Array | null): Buffer | null =>
  bytes === null ? null : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)

const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** node-rdkafka writes header values as text up to its first NUL: null where one cannot be, and nothing of the record is sent. */
export const asText = (headers: Headers): ReadonlyArray<{ readonly [name: string]: string }> | null | undefined => {
  if (headers.length === 0) return undefined
  const texts: Array<{ readonly [name: string]: string }> = []
  for (const [name, value] of headers) {
    if (value === null) return null
    try {
      const text = decoder.decode(value)
      if (text.includes(nul) || name.includes(nul)) return null
      texts.push({ [name]: text })
    } catch {
      return null
    }
  }
  return texts
}

/** Hands one over; throws an `RdError` where it is not taken. */
export const produce = (
  client: Producer,
  { partition, topic }: TopicPartition,
  { key, timestamp, value }: ProduceRecord,
  number: number,
  headers: ReturnType<typeof asText> & ({} | undefined)
): void => client.produce(topic, partition, asBuffer(value), asBuffer(key), timestamp, number, headers)

/** As a message of node-rdkafka's has them. */
export const headersOf = (headers: Message["headers"]): Headers =>
  headers === undefined || headers.length === 0
    ? noHeaders
    : headers.flatMap((header): Array<readonly [string, Uint8Array]> => {
        // node-rdkafka sets a property of each header's name: this one sets the prototype.
        const prototype: unknown = Object.getPrototypeOf(header)
        return prototype instanceof Uint8Array ? [["__proto__", prototype]] : Object.entries(header)
      })

export const noHeader = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "a header whose value is null, not UTF-8, or has a NUL",
    ours: "header values of text (the librdkafka transport, by node-rdkafka)",
    theirs: "any bytes",
    topic,
    partition
  })

/** librdkafka leaves headers out where messages have none. */
export const tooOld = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "headers",
    ours: "any version",
    theirs: "messages without headers: a broker older than 0.11",
    topic,
    partition
  })

/** librdkafka writes the time of now where a record's is 0. */
export const noTimestamp = ({ partition, topic }: TopicPartition): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: "a timestamp of 0",
    ours: "timestamps other than 0 (the librdkafka transport)",
    theirs: "any",
    topic,
    partition
  })

/** A record's key and value; what else it takes is librdkafka's affair. */
export const sizeOf = ({ key, value }: ProduceRecord): number => (key?.length ?? 0) + (value?.length ?? 0)

/** Beyond `maxMessageBytes`. */
export const tooLarge = ({ partition, topic }: TopicPartition, bytes: number, limit: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "RecordTooLarge", topic, partition, bytes, limit })
