/** Pure. What a broker cannot carry, since it is too old. */
import * as KafkaError from "../KafkaError.ts"

/** Its record format is older than 2. */
export const needsFormat2 = (what: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    needed: `record format 2 for ${what}`,
    ours: "record formats 0, 1 and 2",
    theirs: "record format 1 or 0 (a broker before 0.11)"
  })
