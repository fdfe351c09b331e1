/**
 * ConsumerGroupHeartbeat, v0–v1: joins, keeps alive and leaves a group of the consumer protocol (KIP-848), and gives the
 * assignment. UNSUPPORTED_VERSION where `group.version` is not finalized.
 */
import * as Api from "../../protocol/messages/ConsumerGroupHeartbeat.ts"
import * as Code from "./Code.ts"
import { attempt, epochOf, type Owned, GroupRefusal } from "./ConsumerGroupData.ts"
import * as Machine from "./ConsumerGroupMachine.ts"
import * as Groups from "./Groups.ts"
import { refusal } from "./GroupCall.ts"
import { handler } from "./Handler.ts"

/** As the protocol has it. */
const listed = (owned: Owned) => ({
  topicPartitions: Array.from(owned, ([topicId, partitions]) => ({
    topicId,
    partitions: Array.from(partitions.keys()).sort((a, b) => a - b)
  }))
})

export const consumerGroupHeartbeat = handler("ConsumerGroupHeartbeat", Api, (call) => {
  const { cluster, request, version } = call
  const refuse = (errorCode: number, errorMessage: string | null = null) =>
    call.answer({ errorCode, errorMessage, memberId: null, memberEpoch: 0, heartbeatIntervalMs: 0, assignment: null })
  if (!Groups.hasConsumerProtocol(cluster)) return refuse(Code.unsupportedVersion)
  const refused = refusal(call, request.groupId, "empty")
  if (refused !== Code.none) return refuse(refused)
  if ((request.subscribedTopicNames ?? []).some(call.hides)) return refuse(Code.topicAuthorizationFailed)
  const asked = {
    ...request,
    // what comes before v1 has no patterns
    subscribedTopicRegex: version >= 1 ? request.subscribedTopicRegex : null,
    clientId: call.clientId,
    clientHost: call.connection.host
  }
  const wrong = attempt(() => Machine.check(asked, version, cluster.settings.consumerGroups))
  if (wrong instanceof GroupRefusal) return refuse(wrong.code, wrong.message)
  const group = Groups.consumer(cluster, request.groupId, request.memberEpoch === epochOf.join)
  if (group instanceof GroupRefusal) return refuse(group.code, group.message)
  const answer = group.beat(asked, Groups.topicsOf(cluster, call.hides))
  if (answer instanceof GroupRefusal) return refuse(answer.code, answer.message)
  if (!answer.downgrade) Groups.keep(cluster, group)
  const { assignment, heartbeatIntervalMs, memberEpoch, memberId } = answer
  call.answer({
    memberId,
    memberEpoch,
    heartbeatIntervalMs,
    assignment: assignment === null ? null : listed(assignment)
  })
})
