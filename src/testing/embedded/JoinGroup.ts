/**
 * JoinGroup, v0–v9. The answer waits until every member joined, or the rebalance timeout passed (before v1: the session
 * timeout). From v4 a new dynamic member is first told its id.
 */
import * as Api from "../../protocol/messages/JoinGroup.ts"
import * as Code from "./Code.ts"
import { type JoinResult, joinFailure } from "./Group.ts"
import { refusal } from "./GroupCall.ts"
import * as Groups from "./Groups.ts"
import { handler } from "./Handler.ts"

export const joinGroup = handler("JoinGroup", Api, (call) => {
  const { cluster, request, version } = call
  const { groupMaxSessionTimeout, groupMinSessionTimeout } = cluster.settings
  const answer = (result: JoinResult) =>
    call.answer({
      errorCode: result.error,
      // a refusal had generation 0 once
      generationId: result.generation < 0 && !cluster.settings.profile.since("2.8") ? 0 : result.generation,
      protocolType: result.protocolType,
      // nullable from v7 on
      protocolName: result.protocolName ?? (version >= 7 ? null : ""),
      leader: result.leader,
      skipAssignment: result.skipAssignment && version >= 9,
      memberId: result.memberId,
      members: result.members
    })
  const { groupId, memberId, sessionTimeoutMs } = request
  const refused = refusal(call, groupId, "join")
  if (refused !== Code.none) return answer(joinFailure(memberId, refused))
  if (sessionTimeoutMs < groupMinSessionTimeout || sessionTimeoutMs > groupMaxSessionTimeout)
    return answer(joinFailure(memberId, Code.invalidSessionTimeout))
  const group = Groups.joined(cluster, groupId, memberId)
  if (group === undefined) return answer(joinFailure(memberId, Code.unknownMemberId))
  group.join(
    {
      memberId,
      instanceId: request.groupInstanceId,
      clientId: call.clientId,
      clientHost: call.connection.host,
      sessionTimeout: sessionTimeoutMs,
      rebalanceTimeout: request.rebalanceTimeoutMs < 0 ? sessionTimeoutMs : request.rebalanceTimeoutMs,
      protocolType: request.protocolType,
      // what the request holds are views of its frame: what is kept must be its own
      protocols: request.protocols.map(({ metadata, name }) => ({ name, metadata: Uint8Array.from(metadata) })),
      idRequired: version >= 4,
      canSkipAssignment: version >= 9
    },
    answer
  )
})
