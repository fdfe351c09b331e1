/**
 * LeaveGroup (key 13): takes members out of a classic group.
 *
 * v1 throttle time · v3 several members, by member id or instance id · v4 flexible · v5 reason (KIP-800)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("LeaveGroupRequest", { key: 13, versions: "0-5", flexible: "4+" }, () => ({
  groupId: Wire.string,
  /** Below v3: the one member. */
  memberId: Wire.string.pipe(Wire.at("0-2")),
  /** From v3 on. */
  members: Wire.array(
    Wire.struct({
      /** Empty where the instance id says who. */
      memberId: Wire.string,
      /** Null without static membership. */
      groupInstanceId: Wire.string.pipe(Wire.nullable("3+"), Wire.byDefault(null)),
      reason: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true }))
    })
  ).pipe(Wire.at("3+"))
}))

export const Response = Wire.message("LeaveGroupResponse", { key: 13, versions: "0-5", flexible: "4+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16,
  members: Wire.array(
    Wire.struct({
      memberId: Wire.string,
      groupInstanceId: Wire.string.pipe(Wire.nullable("3+")),
      errorCode: Wire.int16
    })
  ).pipe(Wire.at("3+"))
}))
