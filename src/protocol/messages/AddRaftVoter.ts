/**
 * AddRaftVoter (key 80): adds a voter to the KRaft quorum (KIP-853).
 *
 * v0 flexible · v1 ackWhenCommitted
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("AddRaftVoterRequest", { key: 80, versions: "0-1", flexible: "0+" }, () => ({
  clusterId: Wire.string.pipe(Wire.nullable("0+")),
  timeoutMs: Wire.int32,
  voterId: Wire.int32,
  voterDirectoryId: Wire.uuid,
  listeners: Wire.array(
    Wire.struct({
      name: Wire.string,
      host: Wire.string,
      port: Wire.uint16
    })
  ),
  /** Answer when the new voters are committed; else when the leader has written them. */
  ackWhenCommitted: Wire.bool.pipe(Wire.at("1+", { default: true }))
}))

export const Response = Wire.message("AddRaftVoterResponse", { key: 80, versions: "0-1", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+"))
}))
