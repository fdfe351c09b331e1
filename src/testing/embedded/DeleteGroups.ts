/** DeleteGroups, v0–v3: groups without members, and their commits. */
import * as Api from "../../protocol/messages/DeleteGroups.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

export const deleteGroups = handler("DeleteGroups", Api, (call) => {
  const { cluster, request } = call
  const remove = (groupId: string): number => {
    const refused = refusal(call, groupId, cluster.settings.profile.since("2.8") ? "empty" : "join")
    if (refused !== Code.none) return refused
    const group = cluster.groups.get(groupId)
    if (group === undefined) return Code.groupIdNotFound
    if (group.members.size > 0) return Code.nonEmptyGroup
    group.end()
    cluster.groups.delete(groupId)
    cluster.offsets.delete(groupId)
    cluster.pendingOffsets.forget(groupId)
    cluster.changed()
    return Code.none
  }
  call.answer({
    results: Array.from(new Set(request.groupsNames), (groupId) => ({ groupId, errorCode: remove(groupId) }))
  })
})
