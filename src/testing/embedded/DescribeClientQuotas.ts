/** DescribeClientQuotas, v0–v1: the quotas of entities that have these kinds, with a name, the default, or any. */
import * as Api from "../../protocol/messages/DescribeClientQuotas.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as Quotas from "./Quotas.ts"

const match = { exact: 0, byDefault: 1, any: 2 } as const

export const describeClientQuotas = handler("DescribeClientQuotas", Api, (call) => {
  const { cluster, request } = call
  const refused = (errorCode: number, errorMessage: string | null) =>
    call.answer({ errorCode, errorMessage, entries: null })
  const injected = call.injected()
  if (injected !== Code.none) return refused(injected, null)
  const { components } = request
  const kinds = components.map(({ entityType }) => entityType)
  const unknown = kinds.find((kind) => kind !== "user" && kind !== "client-id" && kind !== "ip")
  if (unknown === "") return refused(Code.invalidRequest, "Unexpected empty entity type")
  if (unknown !== undefined) return refused(Code.unsupportedVersion, `Custom entity type ${unknown} is not supported`)
  if (new Set(kinds).size < kinds.length) return refused(Code.invalidRequest, "An entity type is there twice")
  for (const { match: name, matchType } of components) {
    const misnamed = matchType === match.exact ? name === null : name !== null
    if (!misnamed && matchType >= 0 && matchType <= match.any) continue
    // 2.x stumbles over it
    return cluster.settings.profile.since("3.9")
      ? refused(Code.invalidRequest, "A match needs a known type, and a name where that is exact alone")
      : refused(Code.unknownServerError, null)
  }
  const found = cluster.quotas.all.filter(
    ({ entity }) =>
      (!request.strict || entity.size === components.length) &&
      components.every(({ entityType, match: name, matchType }) => {
        const his = entity.get(entityType)
        if (his === undefined) return false
        return matchType === match.any || his === (matchType === match.exact ? name : null)
      })
  )
  call.answer({
    errorCode: Code.none,
    errorMessage: null,
    entries: found.map(({ entity, values }) => ({
      entity: Quotas.inOrder(Array.from(entity, ([entityType, entityName]) => ({ entityType, entityName }))),
      values: Array.from(values, ([key, value]) => ({ key, value }))
    }))
  })
})
