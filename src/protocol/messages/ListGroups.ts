/**
 * ListGroups (key 16): the groups that a broker coordinates.
 *
 * v1 throttle time · v3 flexible · v4 states (KIP-518) · v5 types (KIP-848)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ListGroupsRequest", { key: 16, versions: "0-5", flexible: "3+" }, () => ({
  /** Empty for all. */
  statesFilter: Wire.array(Wire.string).pipe(Wire.at("4+")),
  /** Empty for all: classic, consumer, share, streams. */
  typesFilter: Wire.array(Wire.string).pipe(Wire.at("5+"))
}))

export const Response = Wire.message("ListGroupsResponse", { key: 16, versions: "0-5", flexible: "3+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16,
  groups: Wire.array(
    Wire.struct({
      groupId: Wire.string,
      protocolType: Wire.string,
      groupState: Wire.string.pipe(Wire.at("4+", { ignorable: true })),
      groupType: Wire.string.pipe(Wire.at("5+", { ignorable: true }))
    })
  )
}))
