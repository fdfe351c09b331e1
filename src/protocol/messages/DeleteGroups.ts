/**
 * DeleteGroups (key 42): deletes groups that have no members.
 *
 * v1 throttles after the response · v2 flexible · v3 error message
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DeleteGroupsRequest", { key: 42, versions: "0-3", flexible: "2+" }, () => ({
  groupsNames: Wire.array(Wire.string)
}))

export const Response = Wire.message("DeleteGroupsResponse", { key: 42, versions: "0-3", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  results: Wire.array(
    Wire.struct({
      groupId: Wire.string,
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null, ignorable: true }))
    })
  )
}))
