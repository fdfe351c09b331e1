/** Pure. What a member has, in descriptions of groups that brokers assign (KIP-848, KIP-932). */
import * as Wire from "./Wire.ts"

const topicPartitions = () =>
  Wire.struct({
    topicId: Wire.uuid,
    topicName: Wire.string,
    partitions: Wire.array(Wire.int32)
  })

export const assignment = () =>
  Wire.struct({
    topicPartitions: Wire.array(topicPartitions())
  })
