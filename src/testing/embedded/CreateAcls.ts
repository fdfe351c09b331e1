/** CreateAcls, v0–v3: each rule is answered for; one that is there already stays. */
import * as Api from "../../protocol/messages/CreateAcls.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { clusterName, operation, pattern, permission, resource, type Rule } from "./Rules.ts"

const among = (table: { readonly [name: string]: number }, value: number, least: number) =>
  value >= least && Object.values(table).includes(value)

/** What is wrong with a rule; undefined where nothing is. */
const wrong = (rule: Rule): string | undefined => {
  if (rule.resourceName === "") return "The resource name is empty"
  if (!among(resource, rule.resourceType, 2)) return "The resource type is none"
  if (!among(pattern, rule.patternType, pattern.literal)) return "The pattern type is none"
  if (!among(operation, rule.operation, operation.all)) return "The operation is none"
  if (!among(permission, rule.permissionType, permission.deny)) return "The permission type is none"
  if (rule.resourceType === resource.cluster && rule.resourceName !== clusterName)
    return `The only valid name for the CLUSTER resource is ${clusterName}`
  return undefined
}

export const createAcls = handler("CreateAcls", Api, (call) => {
  const { cluster, node, request, version } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  call.answer({
    results: request.creations.map(({ resourcePatternType, ...rest }) => {
      if (refused !== Code.none) return { errorCode: refused, errorMessage: null }
      const rule: Rule = { ...rest, patternType: version === 0 ? pattern.literal : resourcePatternType }
      const mistake = wrong(rule)
      if (mistake !== undefined) return { errorCode: Code.invalidRequest, errorMessage: mistake }
      if (!/^[^:]+:/.test(rule.principal))
        return cluster.settings.profile.since("3.9")
          ? { errorCode: Code.invalidRequest, errorMessage: `Could not parse principal from ${rule.principal}` }
          : { errorCode: Code.unknownServerError, errorMessage: null }
      cluster.accessRules.add(rule)
      return { errorCode: Code.none, errorMessage: null }
    })
  })
})
