/**
 * RemoveRaftVoter (key 81): takes a voter out of the KRaft quorum (KIP-853). v0 flexible.
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("RemoveRaftVoterRequest", { key: 81, versions: "0", flexible: "0+" }, () => ({
  clusterId: Wire.string.pipe(Wire.nullable("0+")),
  voterId: Wire.int32,
  voterDirectoryId: Wire.uuid
}))

export const Response = Wire.message("RemoveRaftVoterResponse", { key: 81, versions: "0", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+"))
}))
