/** AlterClientQuotas, v0–v1: sets and removes quotas of entities, each answered for. */
import * as Api from "../../protocol/messages/AlterClientQuotas.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as Quotas from "./Quotas.ts"

export const alterClientQuotas = handler("AlterClientQuotas", Api, (call) => {
  const { cluster, node, request } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  call.answer({
    entries: request.entries.map(({ entity: components, ops }) => {
      const answer = (errorCode: number, errorMessage: string | null) => ({
        errorCode,
        errorMessage,
        entity: Quotas.inOrder(components)
      })
      if (refused !== Code.none) return answer(refused, null)
      const wrong = Quotas.wrongEntity(components)
      if (wrong !== undefined) return answer(Code.invalidRequest, wrong)
      const entity: Quotas.Entity = new Map(components.map(({ entityName, entityType }) => [entityType, entityName]))
      const changes = ops.map(({ key, remove, value }) => [key, remove ? undefined : value] as const)
      const mistake = changes
        .map(([key, value]) => Quotas.wrongQuota(entity, key, value, cluster.settings.profile.since("3.9")))
        .find((each) => each !== undefined)
      if (mistake !== undefined) return answer(Code.invalidRequest, mistake)
      if (!request.validateOnly) {
        cluster.quotas.alter(entity, changes)
        cluster.changed()
      }
      return answer(Code.none, null)
    })
  })
})
