/**
 * CreateAcls (key 30): adds access rules.
 *
 * v1 pattern type (KIP-290) · v2 flexible · v3 users as resources
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("CreateAclsRequest", { key: 30, versions: "0-3", flexible: "2+" }, () => ({
  creations: Wire.array(
    Wire.struct({
      resourceType: Wire.int8,
      resourceName: Wire.string,
      /** 3 literal, 4 prefixed. */
      resourcePatternType: Wire.int8.pipe(Wire.at("1+", { default: 3 })),
      /** Such as `User:alice`. */
      principal: Wire.string,
      /** `*` for any. */
      host: Wire.string,
      operation: Wire.int8,
      permissionType: Wire.int8
    })
  )
}))

export const Response = Wire.message("CreateAclsResponse", { key: 30, versions: "0-3", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  results: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+"))
    })
  )
}))
