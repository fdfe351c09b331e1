/**
 * DeleteTopics (key 20): deletes topics.
 *
 * v1 throttle time · v3 TOPIC_DELETION_DISABLED · v4 flexible
 * v5 error message, THROTTLING_QUOTA_EXCEEDED (KIP-599) · v6 topics by name or id
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DeleteTopicsRequest", { key: 20, versions: "0-6", flexible: "4+" }, () => ({
  /** From v6 on. */
  topics: Wire.array(
    Wire.struct({
      /** Null where the id is given. */
      name: Wire.string.pipe(Wire.nullable("6+"), Wire.byDefault(null)),
      topicId: Wire.uuid
    })
  ).pipe(Wire.at("6+")),
  /** Below v6. */
  topicNames: Wire.array(Wire.string).pipe(Wire.at("0-5", { ignorable: true, instead: "topics" })),
  timeoutMs: Wire.int32
}))

export const Response = Wire.message("DeleteTopicsResponse", { key: 20, versions: "0-6", flexible: "4+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  responses: Wire.array(
    Wire.struct({
      /** Null for an id that is not known, or that the client may not see. */
      name: Wire.string.pipe(Wire.nullable("6+")),
      topicId: Wire.uuid.pipe(Wire.at("6+", { ignorable: true })),
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true }))
    })
  )
}))
