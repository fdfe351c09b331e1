/** DeleteAcls, v0–v3: the rules that fit each filter, which the answer names. */
import * as Api from "../../protocol/messages/DeleteAcls.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { pattern } from "./Rules.ts"

export const deleteAcls = handler("DeleteAcls", Api, (call) => {
  const { cluster, node, request, version } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  const wanted = request.filters.map((each) => ({
    ...each,
    patternTypeFilter: version === 0 ? pattern.literal : each.patternTypeFilter
  }))
  const named = new Set<object>()
  // A rule is named by every filter that it fits, by 2.x by the first of them.
  const everywhere = cluster.settings.profile.since("3.9")
  const found = wanted.map((filter) => {
    if (refused !== Code.none) return []
    const rules = cluster.accessRules.find(filter).filter((rule) => everywhere || !named.has(rule))
    for (const rule of rules) named.add(rule)
    return rules
  })
  if (refused === Code.none) for (const filter of wanted) cluster.accessRules.remove(filter)
  call.answer({
    filterResults: found.map((rules) => ({
      errorCode: refused,
      errorMessage: null,
      matchingAcls: rules.map((rule) => ({ errorCode: Code.none, errorMessage: null, ...rule }))
    }))
  })
})
