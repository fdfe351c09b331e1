/** ListPartitionReassignments, v0: what is under way, of some partitions or of all (KIP-455). */
import * as Api from "../../protocol/messages/ListPartitionReassignments.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const listPartitionReassignments = handler("ListPartitionReassignments", Api, (call) => {
  const { cluster, node, request } = call
  const injected = call.injected()
  const refused = injected !== Code.none ? injected : cluster.mayChange(node) ? Code.none : Code.notController
  if (refused !== Code.none) return call.answer({ errorCode: refused, errorMessage: null, topics: [] })
  const asked =
    request.topics === null ? undefined : new Map(request.topics.map((each) => [each.name, each.partitionIndexes]))
  const topics = Array.from(cluster.topics.values()).flatMap(({ name, partitions }) => {
    const moving = partitions.flatMap(({ index, reassignment, replicas }) =>
      reassignment === undefined || (asked !== undefined && asked.get(name)?.includes(index) !== true)
        ? []
        : [
            {
              partitionIndex: index,
              replicas,
              addingReplicas: reassignment.target.filter((id) => !reassignment.before.includes(id)),
              removingReplicas: replicas.filter((id) => !reassignment.target.includes(id))
            }
          ]
    )
    return moving.length === 0 ? [] : [{ name, partitions: moving }]
  })
  call.answer({ errorCode: Code.none, errorMessage: null, topics })
})
