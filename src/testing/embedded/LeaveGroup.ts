/** LeaveGroup, v0–v5: one member, or from v3 several, static ones by their instance id too. */
import * as Api from "../../protocol/messages/LeaveGroup.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

export const leaveGroup = handler("LeaveGroup", Api, (call) => {
  const { cluster, request, version } = call
  const refused = refusal(call, request.groupId)
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  const leave = (memberId: string, instanceId: string | null): number =>
    cluster.groups.get(request.groupId)?.leave(memberId, instanceId) ?? Code.unknownMemberId
  if (version < 3) return call.answer({ errorCode: leave(request.memberId, null) })
  call.answer({
    members: request.members.map(({ groupInstanceId, memberId }) => ({
      memberId,
      groupInstanceId,
      errorCode: leave(memberId, groupInstanceId)
    }))
  })
})
