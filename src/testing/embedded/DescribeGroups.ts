/**
 * DescribeGroups, v0–v6. Metadata and assignments are told in a stable group alone. A group that is not there is
 * described as dead; from v6 with GROUP_ID_NOT_FOUND.
 */
import * as Api from "../../protocol/messages/DescribeGroups.ts"
import * as Code from "./Code.ts"
import { operationsOf, refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

const nothing = new Uint8Array(0)
export const describeGroups = handler("DescribeGroups", Api, (call) => {
  const { cluster, request, version } = call
  const { profile } = cluster.settings
  const allowed =
    version >= 3 && request.includeAuthorizedOperations ? { authorizedOperations: operationsOf(profile) } : undefined
  call.answer({
    groups: request.groups.map((groupId) => {
      const refused = refusal(call, groupId, "empty")
      const known = cluster.groups.get(groupId)
      // members of the consumer protocol are told of by ConsumerGroupDescribe
      const group = known?.kind === "classic" ? known : undefined
      if (refused !== Code.none || group === undefined) {
        const missing = version >= 6 ? Code.groupIdNotFound : Code.none
        const errorCode = refused === Code.none ? missing : refused
        return {
          errorCode,
          groupId,
          groupState: refused === Code.none ? "Dead" : "",
          ...(version >= 6 && refused === Code.none ? { errorMessage: `Group ${groupId} not found.` } : undefined),
          // before v6 what is not there may be done as much to as what is
          ...(refused === Code.none && version < 6 ? allowed : undefined)
        }
      }
      const stable = group.state === "Stable"
      return {
        errorCode: Code.none,
        groupId,
        groupState: group.state === "CompletingRebalance" && !profile.since("1.1") ? "AwaitingSync" : group.state,
        protocolType: group.protocolType ?? "",
        protocolData: stable ? (group.protocolName ?? "") : "",
        members: Array.from(group.members.values(), (member) => ({
          memberId: member.memberId,
          groupInstanceId: member.instanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          memberMetadata: stable
            ? (member.protocols.find((p) => p.name === group.protocolName)?.metadata ?? nothing)
            : nothing,
          memberAssignment: stable ? member.assignment : nothing
        })),
        ...allowed
      }
    })
  })
})
