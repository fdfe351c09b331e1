/** DescribeProducers, v0: who wrote to partitions that this broker leads, and what each has open (KIP-664). */
import * as Api from "../../protocol/messages/DescribeProducers.ts"
import * as Code from "./Code.ts"
import { leaderError } from "./Epochs.ts"
import { handler } from "./Handler.ts"

export const describeProducers = handler("DescribeProducers", Api, (call) => {
  const { cluster, node, request } = call
  call.answer({
    topics: request.topics.map(({ name, partitionIndexes }) => ({
      name,
      partitions: partitionIndexes.map((partitionIndex) => {
        const injected = call.injected(name, partitionIndex)
        const partition = cluster.partition(name, partitionIndex)
        const errorCode = injected !== Code.none ? injected : leaderError(partition, node.id)
        if (errorCode !== Code.none || partition === undefined) {
          const isUnknown = cluster.settings.profile.since("3.9") && !cluster.topics.has(name)
          const errorMessage = isUnknown ? "This server does not host this topic-partition." : null
          return { partitionIndex, errorCode, errorMessage, activeProducers: [] }
        }
        return {
          partitionIndex,
          errorCode,
          activeProducers: Array.from(partition.log.producers.byId.values(), (producer) => ({
            producerId: producer.producerId,
            producerEpoch: producer.epoch,
            lastSequence: producer.batches[producer.batches.length - 1]?.lastSequence ?? -1,
            lastTimestamp: producer.lastTimestamp,
            coordinatorEpoch: producer.coordinatorEpoch,
            currentTxnStartOffset: producer.transactionStart
          }))
        }
      })
    }))
  })
})
