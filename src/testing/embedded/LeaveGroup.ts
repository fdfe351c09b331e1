/** LeaveGroup, v0–v5: one member, or from v3 several, static ones by their instance id too. */
import * as Api from "../../protocol/messages/LeaveGroup.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

export const leaveGroup = handler("LeaveGroup", Api, (call) => {
  const { cluster, request, version } = call
  const refused = refusal(call, request.groupId)
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  const identities =
    version < 3
      ? [{ memberId: request.memberId, instanceId: null }]
      : request.members.map(({ groupInstanceId, memberId }) => ({ memberId, instanceId: groupInstanceId }))
  const codes = cluster.groups.get(request.groupId)?.leave(identities) ?? []
  const codeOf = (index: number) => codes[index] ?? Code.unknownMemberId
  if (version < 3) return call.answer({ errorCode: codeOf(0) })
  call.answer({
    members: identities.map(({ instanceId, memberId }, index) => ({
      memberId,
      groupInstanceId: instanceId,
      errorCode: codeOf(index)
    }))
  })
})
