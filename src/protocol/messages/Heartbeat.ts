/**
 * Heartbeat (key 12): says that a member of a classic group lives.
 *
 * v1 throttle time · v3 group instance id · v4 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("HeartbeatRequest", { key: 12, versions: "0-4", flexible: "4+" }, () => ({
  groupId: Wire.string,
  generationId: Wire.int32,
  memberId: Wire.string,
  groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null }))
}))

export const Response = Wire.message("HeartbeatResponse", { key: 12, versions: "0-4", flexible: "4+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16
}))
