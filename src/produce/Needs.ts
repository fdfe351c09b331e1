/** Pure. What a broker cannot carry, since it is too old, or what it keeps a topic in is. */
import * as KafkaError from "../KafkaError.ts"

/** Whose record format is older than 2. */
type Old = "a broker before 0.11" | "its topic's log.message.format.version"

/** A record format is older than 2. */
export const needsFormat2 = (what: string, old: Old = "a broker before 0.11"): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: `record format 2 for ${what}`,
    ours: "record formats 0, 1 and 2",
    theirs: `record format 1 or 0 (${old})`
  })
