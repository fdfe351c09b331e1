/** Heartbeat, v0–v4. REBALANCE_IN_PROGRESS while members join; none while the leader assigns, as brokers from 0.10.1 do. */
import * as Api from "../../protocol/messages/Heartbeat.ts"
import * as Code from "./Code.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

export const heartbeat = handler("Heartbeat", Api, (call) => {
  const { cluster, request } = call
  const refused = refusal(call, request.groupId)
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  const group = cluster.groups.get(request.groupId)
  call.answer({
    errorCode:
      group === undefined
        ? Code.unknownMemberId
        : group.heartbeat(request.memberId, request.groupInstanceId, request.generationId)
  })
})
