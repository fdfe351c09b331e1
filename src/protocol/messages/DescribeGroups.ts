/**
 * DescribeGroups (key 15): members, state and protocol of classic groups.
 *
 * v1 throttle time · v3 authorized operations · v4 group instance ids · v5 flexible
 * v6 error message; GROUP_ID_NOT_FOUND instead of an empty dead group (KIP-1043)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeGroupsRequest", { key: 15, versions: "0-6", flexible: "5+" }, () => ({
  groups: Wire.array(Wire.string),
  includeAuthorizedOperations: Wire.bool.pipe(Wire.at("3+"))
}))

export const Response = Wire.message("DescribeGroupsResponse", { key: 15, versions: "0-6", flexible: "5+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  groups: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("6+"), Wire.at("6+", { default: null })),
      groupId: Wire.string,
      /** Empty, Stable, PreparingRebalance, CompletingRebalance or Dead. */
      groupState: Wire.string,
      protocolType: Wire.string,
      /** The assignor, in a stable group. */
      protocolData: Wire.string,
      members: Wire.array(
        Wire.struct({
          memberId: Wire.string,
          groupInstanceId: Wire.string.pipe(Wire.nullable("4+"), Wire.at("4+", { default: null, ignorable: true })),
          clientId: Wire.string,
          clientHost: Wire.string,
          /** Only in a stable group. */
          memberMetadata: Wire.bytes,
          memberAssignment: Wire.bytes
        })
      ),
      /** Bits, by the numbers of ACL operations; the smallest int32 where they were not asked for. */
      authorizedOperations: Wire.int32.pipe(Wire.at("3+", { default: -2147483648 }))
    })
  )
}))
