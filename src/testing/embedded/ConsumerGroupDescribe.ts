/** ConsumerGroupDescribe, v0–v1: groups of the consumer protocol (KIP-848), their members, and what these have and shall have. */
import * as Api from "../../protocol/messages/ConsumerGroupDescribe.ts"
import * as Code from "./Code.ts"
import { type Member, noPartitions, type Owned } from "./ConsumerGroupData.ts"
import { operationsOf, refusal } from "./GroupCall.ts"
import * as Groups from "./Groups.ts"
import { handler } from "./Handler.ts"

const memberType = { classic: 0, consumer: 1 } as const

/** What a member has and what it has yet to give up. */
const all = ({ assigned, revoking }: Member): Owned => {
  const owned = new Map(assigned)
  for (const [topicId, partitions] of revoking)
    owned.set(topicId, new Map([...(owned.get(topicId) ?? []), ...partitions]))
  return owned
}

export const consumerGroupDescribe = handler("ConsumerGroupDescribe", Api, (call) => {
  const { cluster, request } = call
  const { profile } = cluster.settings
  const failed = (groupId: string, errorCode: number, errorMessage: string | null = null) => ({
    errorCode,
    errorMessage,
    groupId,
    groupState: "",
    groupEpoch: 0,
    assignmentEpoch: 0,
    assignorName: "",
    members: []
  })
  const describe = (groupId: string) => {
    const refused = Groups.hasConsumerProtocol(cluster) ? refusal(call, groupId, "empty") : Code.unsupportedVersion
    if (refused !== Code.none) return failed(groupId, refused)
    if (groupId === "") return failed(groupId, Code.invalidGroupId)
    const group = cluster.groups.get(groupId)
    if (group?.kind !== "consumer") {
      const what = group === undefined ? `Group ${groupId} not found.` : `Group ${groupId} is not a consumer group.`
      return failed(groupId, Code.groupIdNotFound, profile.since("4.0") ? what : null)
    }
    const { machine } = group
    const assignment = (owned: ReadonlyMap<string, { readonly keys: () => Iterable<number> }>) => ({
      topicPartitions: Array.from(owned).flatMap(([topicId, partitions]) => {
        const topic = cluster.topicsById.get(topicId)
        const numbers = Array.from(partitions.keys()).sort((a, b) => a - b)
        return topic === undefined ? [] : [{ topicId, topicName: topic.name, partitions: numbers }]
      })
    })
    const described = (member: Member) => ({
      memberId: member.memberId,
      instanceId: member.instanceId,
      rackId: member.rackId,
      memberEpoch: member.epoch,
      clientId: member.clientId,
      clientHost: member.clientHost,
      subscribedTopicNames: Array.from(member.topics).sort(),
      subscribedTopicRegex: member.regex,
      // after 4.0 what a member has yet to give up is told of too
      assignment: assignment(machine.settings.modern ? all(member) : member.assigned),
      targetAssignment: assignment(machine.target.get(member.memberId) ?? noPartitions),
      memberType: member.classic === undefined ? memberType.consumer : memberType.classic
    })
    const members = Array.from(machine.members.values(), described)
    const topics = members.flatMap(({ assignment, subscribedTopicNames, targetAssignment }) => [
      ...subscribedTopicNames,
      ...[assignment, targetAssignment].flatMap(({ topicPartitions }) => topicPartitions.map((each) => each.topicName))
    ])
    if (topics.some(call.hides)) return failed(groupId, Code.topicAuthorizationFailed)
    return {
      errorCode: Code.none,
      groupId,
      groupState: group.state,
      groupEpoch: machine.epoch,
      assignmentEpoch: machine.assignmentEpoch,
      assignorName: group.protocolName,
      members,
      ...(request.includeAuthorizedOperations ? { authorizedOperations: operationsOf(profile) } : undefined)
    }
  }
  // in 3.9 a group without a name fails them all
  const fails = request.groupIds.includes("") && !profile.since("4.0")
  call.answer({
    groups: request.groupIds.map((groupId) => (fails ? failed(groupId, Code.unknownServerError) : describe(groupId)))
  })
})
