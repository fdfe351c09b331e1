/**
 * DescribeAcls (key 29): the access rules that fit a filter.
 *
 * v1 pattern type (KIP-290) · v2 flexible · v3 users as resources
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeAclsRequest", { key: 29, versions: "0-3", flexible: "2+" }, () => ({
  /** 1 any, 2 topic, 3 group, 4 cluster, 5 transactional id, 6 delegation token, 7 user. */
  resourceTypeFilter: Wire.int8,
  /** Null for any. */
  resourceNameFilter: Wire.string.pipe(Wire.nullable("0+")),
  /** 1 any, 2 all that match the name, 3 literal, 4 prefixed. */
  patternTypeFilter: Wire.int8.pipe(Wire.at("1+", { default: 3 })),
  /** Null for any. */
  principalFilter: Wire.string.pipe(Wire.nullable("0+")),
  /** Null for any. */
  hostFilter: Wire.string.pipe(Wire.nullable("0+")),
  /**
   * 1 any, 2 all, 3 read, 4 write, 5 create, 6 delete, 7 alter, 8 describe, 9 cluster action, 10 describe
   * configs, 11 alter configs, 12 idempotent write, 13 create tokens, 14 describe tokens, 15 two-phase
   * commit.
   */
  operation: Wire.int8,
  /** 1 any, 2 deny, 3 allow. */
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
