/** ListGroups, v0–v5: the groups that this broker coordinates, by state from v4 and by type from v5. */
import * as Api from "../../protocol/messages/ListGroups.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const listGroups = handler("ListGroups", Api, (call) => {
  const { cluster, node, request } = call
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected })
  // before 3.x only the exact names of states are known
  const fold = (text: string) => (cluster.settings.profile.since("3.9") ? text.toLowerCase() : text)
  const states = request.statesFilter.map(fold)
  const types = request.typesFilter.map(fold)
  const mine = Array.from(cluster.groups.values()).filter(
    (group) =>
      group.state !== "Dead" &&
      call.denied(group.id) === Code.none &&
      cluster.coordinator("group", group.id)?.id === node.id &&
      (states.length === 0 || states.includes(fold(group.state))) &&
      (types.length === 0 || types.includes(group.kind))
  )
  call.answer({
    groups: mine.map((group) => ({
      groupId: group.id,
      protocolType: group.protocolType ?? "",
      groupState: group.state,
      groupType: group.kind
    }))
  })
})
