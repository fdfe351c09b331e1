/** DescribeTransactions, v0: transactional ids that this broker coordinates. */
import * as Api from "../../protocol/messages/DescribeTransactions.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as TransactionCall from "./TransactionCall.ts"

export const describeTransactions = handler("DescribeTransactions", Api, (call) => {
  const { cluster, request } = call
  call.answer({
    transactionStates: request.transactionalIds.map((transactionalId) => {
      const nothing = {
        transactionalId,
        transactionState: "",
        transactionTimeoutMs: 0,
        transactionStartTimeMs: 0,
        producerId: 0,
        producerEpoch: 0,
        topics: []
      }
      const refused = TransactionCall.refusal(call, transactionalId)
      if (refused !== Code.none) return { ...nothing, errorCode: refused }
      const t = cluster.transactions.get(transactionalId)
      if (t === undefined) return { ...nothing, errorCode: Code.transactionalIdNotFound }
      const topics = new Map<string, Array<number>>()
      for (const { partition, topic } of t.partitions.values())
        topics.set(topic, [...(topics.get(topic) ?? []), partition])
      return {
        errorCode: Code.none,
        transactionalId,
        transactionState: t.state,
        transactionTimeoutMs: t.timeout,
        transactionStartTimeMs: t.startedAt,
        producerId: t.producerId,
        producerEpoch: t.epoch,
        topics: Array.from(topics, ([topic, partitions]) => ({ topic, partitions }))
      }
    })
  })
})
