/**
 * AddPartitionsToTxn, v0–v5: a client's to v3. From v4 on brokers ask each other, for several transactions at once, to add
 * partitions or only to say whether they are in the transaction (KIP-890). Where one partition cannot be added none is.
 */
import * as Api from "../../protocol/messages/AddPartitionsToTxn.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { offsetsTopic, transactionsTopic } from "./ClusterState.ts"
import * as TransactionCall from "./TransactionCall.ts"
import type { Identity, TopicPartition } from "./TransactionState.ts"

interface Topic {
  readonly name: string
  readonly partitions: ReadonlyArray<number>
}

export const addPartitionsToTxn = handler("AddPartitionsToTxn", Api, (call) => {
  const { cluster, request, version } = call

  const add = (id: string, who: Identity, topics: ReadonlyArray<Topic>, verifies: boolean) => {
    const results = (errorOf: (topic: string, partition: number) => number) =>
      topics.map(({ name, partitions }) => ({
        name,
        resultsByPartition: partitions.map((partitionIndex) => ({
          partitionIndex,
          partitionErrorCode: TransactionCall.fencedAs(errorOf(name, partitionIndex), version, 2)
        }))
      }))
    const denied = version < 4 ? call.deniedTransaction(id) : Code.none
    if (denied !== Code.none) return results(() => denied)
    const unfit = (topic: string, partition: number): number => {
      const injected = call.injected(topic, partition)
      if (injected !== Code.none) return injected
      if (version < 4 && (topic === offsetsTopic || topic === transactionsTopic)) return Code.topicAuthorizationFailed
      return cluster.partition(topic, partition) === undefined ? Code.unknownTopicOrPartition : Code.none
    }
    const all: ReadonlyArray<TopicPartition> = topics.flatMap(({ name, partitions }) =>
      partitions.map((partition) => ({ topic: name, partition }))
    )
    const errors = new Map(all.map((each) => [`${each.topic}-${each.partition}`, unfit(each.topic, each.partition)]))
    if (Array.from(errors.values()).some((code) => code !== Code.none))
      return results((topic, partition) => errors.get(`${topic}-${partition}`) || Code.operationNotAttempted)
    const away = TransactionCall.refusal(call, id)
    if (away !== Code.none) return results(() => away)
    if (verifies) return results((topic, partition) => cluster.transactions.verify(id, who, { topic, partition }))
    const code = cluster.transactions.add(id, who, all, version >= 4)
    return results(() => code)
  }

  if (version < 4) {
    const { v3AndBelowProducerEpoch, v3AndBelowProducerId, v3AndBelowTopics, v3AndBelowTransactionalId } = request
    const who = { producerId: v3AndBelowProducerId, epoch: v3AndBelowProducerEpoch }
    return call.answer({ resultsByTopicV3AndBelow: add(v3AndBelowTransactionalId, who, v3AndBelowTopics, false) })
  }
  const refused = call.injected()
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  call.answer({
    resultsByTransaction: request.transactions.map(
      ({ producerEpoch, producerId, topics, transactionalId, verifyOnly }) => ({
        transactionalId,
        topicResults: add(transactionalId, { producerId, epoch: producerEpoch }, topics, verifyOnly)
      })
    )
  })
})
