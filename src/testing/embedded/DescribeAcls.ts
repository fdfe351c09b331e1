/** DescribeAcls, v0–v3: the rules that fit a filter, those of a resource together. */
import * as Api from "../../protocol/messages/DescribeAcls.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { pattern } from "./Rules.ts"

export const describeAcls = handler("DescribeAcls", Api, (call) => {
  const { cluster, request, version } = call
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected, errorMessage: null, resources: [] })
  const found = cluster.accessRules.find({
    ...request,
    patternTypeFilter: version === 0 ? pattern.literal : request.patternTypeFilter
  })
  const byResource = Map.groupBy(found, (rule) =>
    JSON.stringify([rule.resourceType, rule.resourceName, rule.patternType])
  )
  call.answer({
    errorCode: Code.none,
    errorMessage: null,
    resources: Array.from(byResource.values(), (rules) => ({
      resourceType: rules[0]!.resourceType,
      resourceName: rules[0]!.resourceName,
      patternType: rules[0]!.patternType,
      acls: rules.map(({ host, operation, permissionType, principal }) => ({
        principal,
        host,
        operation,
        permissionType
      }))
    }))
  })
})
