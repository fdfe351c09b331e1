/**
 * CreateTopics (key 19): creates topics.
 *
 * v1 validateOnly, error message · v2 throttle time
 * v4 numPartitions and replicationFactor -1 for the broker's default (KIP-464)
 * v5 flexible, gives the settings (KIP-525) · v6 THROTTLING_QUOTA_EXCEEDED (KIP-599) · v7 topic ids
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("CreateTopicsRequest", { key: 19, versions: "0-7", flexible: "5+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      /** -1 for the broker's default (from v4 on), or with assignments. */
      numPartitions: Wire.int32,
      /** -1 for the broker's default (from v4 on), or with assignments. */
      replicationFactor: Wire.int16,
      /** Which brokers have which partition; empty to let the controller choose. */
      assignments: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          brokerIds: Wire.array(Wire.int32)
        })
      ),
      configs: Wire.array(
        Wire.struct({
          name: Wire.string,
          value: Wire.string.pipe(Wire.nullable("0+"))
        })
      )
    })
  ),
  timeoutMs: Wire.int32.pipe(Wire.byDefault(60000)),
  /** Check, and create nothing. */
  validateOnly: Wire.bool.pipe(Wire.at("1+"))
}))

export const Response = Wire.message("CreateTopicsResponse", { key: 19, versions: "0-7", flexible: "5+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("2+", { ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      name: Wire.string,
      topicId: Wire.uuid.pipe(Wire.at("7+", { ignorable: true })),
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.at("1+", { ignorable: true })),
      /** Why there are no configs. */
      topicConfigErrorCode: Wire.int16.pipe(Wire.tagged(0, "5+", { ignorable: true })),
      /** -1 where the client may not know. */
      numPartitions: Wire.int32.pipe(Wire.at("5+", { default: -1, ignorable: true })),
      /** -1 where the client may not know. */
      replicationFactor: Wire.int16.pipe(Wire.at("5+", { default: -1, ignorable: true })),
      configs: Wire.array(
        Wire.struct({
          name: Wire.string,
          value: Wire.string.pipe(Wire.nullable("5+")),
          readOnly: Wire.bool,
          configSource: Wire.int8.pipe(Wire.byDefault(-1)),
          isSensitive: Wire.bool
        })
      ).pipe(Wire.nullable("5+"), Wire.at("5+", { ignorable: true }))
    })
  )
}))
