/**
 * DescribeAcls (key 29): the access rules that fit a filter.
 *
 * v1 pattern type (KIP-290) · v2 flexible · v3 users as resources
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeAclsRequest", { key: 29, versions: "0-3", flexible: "2+" }, () => ({
  resourceTypeFilter: Wire.int8,
  resourceNameFilter: Wire.string.pipe(Wire.nullable("0+")),
  patternTypeFilter: Wire.int8.pipe(Wire.at("1+", { default: 3 })),
  principalFilter: Wire.string.pipe(Wire.nullable("0+")),
  hostFilter: Wire.string.pipe(Wire.nullable("0+")),
  operation: Wire.int8,
  permissionType: Wire.int8
}))

export const Response = Wire.message("DescribeAclsResponse", { key: 29, versions: "0-3", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+")),
  resources: Wire.array(
    Wire.struct({
      resourceType: Wire.int8,
      resourceName: Wire.string,
      patternType: Wire.int8.pipe(Wire.at("1+", { default: 3 })),
      acls: Wire.array(
        Wire.struct({
          principal: Wire.string,
          host: Wire.string,
          operation: Wire.int8,
          permissionType: Wire.int8
        })
      )
    })
  )
}))
