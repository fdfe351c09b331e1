/** CreatePartitions, v0–v3: makes a topic have more partitions, never fewer. */
import * as Api from "../../protocol/messages/CreatePartitions.ts"
import { maxPartitions } from "./Cluster.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const createPartitions = handler("CreatePartitions", Api, (call) => {
  const { cluster, node, request } = call
  // who is named twice is answered once, and refused
  const byName = new Map(request.topics.map((each) => [each.name, each]))
  const isTwice = (name: string) => request.topics.filter((each) => each.name === name).length > 1
  const more = [...byName.values()].reduce(
    (sum, { count, name }) => sum + Math.max(0, count - (cluster.topics.get(name)?.partitions.length ?? count)),
    0
  )
  // 3.9.2 and 4.0.2 answer those alone that are beyond it, with UNKNOWN_SERVER_ERROR.
  const isTooLarge = cluster.settings.profile.since("4.4") && more > maxPartitions
  call.answer({
    results: Array.from(byName.values(), ({ assignments, count, name }) => {
      const fail = (errorCode: number, errorMessage: string | null = null) => ({ name, errorCode, errorMessage })
      const topic = cluster.topics.get(name)
      const injected = call.injected(name)
      if (injected !== Code.none) return fail(injected)
      if (!cluster.mayChange(node)) return fail(Code.notController)
      if (isTooLarge)
        return fail(Code.policyViolation, "Excessively large number of additional partitions per request.")
      if (isTwice(name)) return fail(Code.invalidRequest, "the topic is named twice")
      if (topic === undefined) return fail(Code.unknownTopicOrPartition)
      const more = count - topic.partitions.length
      if (more <= 0)
        return fail(
          Code.invalidPartitions,
          `The topic ${name} currently has ${topic.partitions.length} partition(s); ${count} would not be an increase.`
        )
      if (count > maxPartitions)
        return fail(Code.invalidPartitions, `A topic has at most ${maxPartitions} partitions, not ${count}.`)
      const given = assignments?.map((each) => each.brokerIds)
      if (
        given !== undefined &&
        (given.length !== more ||
          given.some(
            (ids) =>
              ids.length !== topic.partitions[0]!.replicas.length ||
              new Set(ids).size < ids.length ||
              ids.some((id) => !cluster.nodes.has(id))
          ))
      )
        return fail(Code.invalidReplicaAssignment)
      if (!request.validateOnly) cluster.addPartitions(topic, count, given)
      return fail(Code.none)
    })
  })
})
