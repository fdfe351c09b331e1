/**
 * Pure. The body of a request. What comes behind it is not looked at, as by Java's brokers: librdkafka 2.16 leaves three bytes
 * behind a Metadata request for all topics.
 */
import type * as Schema from "effect/Schema"
import * as Frame from "../../protocol/Frame.ts"
import * as Wire from "../../protocol/Wire.ts"

const tags = Wire.message("RequestHeader", { key: -1, versions: "2", flexible: "2" }, () => ({}))

/** Reads it; throws `KafkaError` where it is cut off, or its counts cannot be. */
export const read = (
  message: Wire.Message<Schema.Top>,
  version: number,
  frame: Uint8Array,
  bodyAt: number
): unknown => {
  const reader = new Wire.Reader(frame, bodyAt)
  if (Frame.requestHeaderVersion(message, version) === 2) Wire.compile(tags, 2).decode(reader)
  return Wire.compile(message, version).decode(reader)
}
