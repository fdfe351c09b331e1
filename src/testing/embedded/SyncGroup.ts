/** SyncGroup, v0–v5: followers wait for the leader's assignment. */
import * as Api from "../../protocol/messages/SyncGroup.ts"
import * as Code from "./Code.ts"
import { type SyncResult, syncFailure } from "./Group.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

export const syncGroup = handler("SyncGroup", Api, (call) => {
  const { cluster, request } = call
  const answer = ({ assignment, error, protocolName, protocolType }: SyncResult) =>
    call.answer({ errorCode: error, protocolType, protocolName, assignment })
  const refused = refusal(call, request.groupId)
  if (refused !== Code.none) return answer(syncFailure(refused))
  const group = cluster.groups.get(request.groupId)
  if (group === undefined) return answer(syncFailure(Code.unknownMemberId))
  group.sync(
    {
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType: request.protocolType,
      protocolName: request.protocolName,
      assignments: request.assignments
    },
    answer
  )
})
