/** AddOffsetsToTxn, v0–v4: adds the partition of the offsets topic that holds what a group commits. */
import * as Api from "../../protocol/messages/AddOffsetsToTxn.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { offsetsTopic } from "./ClusterState.ts"
import * as TransactionCall from "./TransactionCall.ts"

export const addOffsetsToTxn = handler("AddOffsetsToTxn", Api, (call) => {
  const { cluster, request, version } = call
  const { groupId, producerEpoch, producerId, transactionalId } = request
  const work = (): number => {
    const refused = TransactionCall.refusal(call, transactionalId)
    if (refused !== Code.none) return refused
    const denied = call.denied(groupId)
    if (denied !== Code.none) return denied
    const partition = { topic: offsetsTopic, partition: cluster.offsetsPartitionOf(groupId) }
    return cluster.transactions.add(transactionalId, { producerId, epoch: producerEpoch }, [partition], false)
  }
  call.answer({ errorCode: TransactionCall.fencedAs(work(), version, 2) })
})
