/**
 * SyncGroup (key 14): hands the leader's assignment to the coordinator, and gives each member its own.
 *
 * v1 throttle time · v3 group instance id · v4 flexible · v5 protocol type and name (KIP-559)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("SyncGroupRequest", { key: 14, versions: "0-5", flexible: "4+" }, () => ({
  groupId: Wire.string,
  generationId: Wire.int32,
  memberId: Wire.string,
  groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null })),
  protocolType: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
  protocolName: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
  /** Empty for all but the leader. */
  assignments: Wire.array(
    Wire.struct({
      memberId: Wire.string,
      /** For consumers: an assignment of `ConsumerProtocol`, behind its version. */
      assignment: Wire.bytes
    })
  )
}))

export const Response = Wire.message("SyncGroupResponse", { key: 14, versions: "0-5", flexible: "4+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16,
  protocolType: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
  protocolName: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
  assignment: Wire.bytes
}))
