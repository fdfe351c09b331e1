/** What the codec bench works on: the same in every run. */

/** A batch has 1000 records; each case goes through distinct ones, so that no branch knows the bytes by heart. */
export const perBatch = 1000
export const batches = 16

export interface LoadRecord {
  readonly key: Buffer
  readonly value: Buffer
  readonly headers: ReadonlyArray<readonly [string, Buffer]>
  readonly timestamp: number
}
export type Load = ReadonlyArray<ReadonlyArray<LoadRecord>>

export const randomOf = (seed: number) => () => {
  seed = (Math.imul(seed, 1664525) + 1013904223) | 0
  return (seed >>> 8) / 2 ** 24
}

const words = "order customer amount total EUR paid open shipped 2024-11-05 item price true false null id".split(" ")

/** Text that looks like JSON and compresses about two to one. */
const payload = (random: () => number, bytes: number): Buffer => {
  let text = ""
  while (text.length < bytes) text += `"${words[Math.floor(random() * words.length)]}":${Math.floor(random() * 1e6)},`
  return Buffer.from(text.slice(0, bytes))
}

/** Records with keys `key-<n>`, values of so many bytes, and none or one header of a trace. */
export const make = (bytes: number, headers: 0 | 1): Load => {
  const random = randomOf(bytes + headers)
  return Array.from({ length: batches }, (_, b) =>
    Array.from({ length: perBatch }, (_, i) => ({
      key: Buffer.from(`key-${b * perBatch + i}`),
      value: payload(random, bytes),
      headers: headers === 0 ? [] : [["trace", Buffer.from("00-0af7651916cd43dd8448eb211c80319c-01")] as const],
      timestamp: 1_700_000_000_000 + i
    }))
  )
}

/** A Metadata response: 3 brokers, 20 topics of 12 partitions, 3 replicas each. */
export const metadata = {
  throttleTimeMs: 0,
  brokers: [1, 2, 3].map((nodeId) => ({ nodeId, host: `broker-${nodeId}.kafka.internal`, port: 9092, rack: "a" })),
  clusterId: "3Db5QLSqSZieL3rJBUUegA",
  controllerId: 1,
  topics: Array.from({ length: 20 }, (_, t) => ({
    errorCode: 0,
    name: `orders-${t}`,
    topicId: "3Db5QLSqSZieL3rJBUUegA",
    isInternal: false,
    partitions: Array.from({ length: 12 }, (_, p) => ({
      errorCode: 0,
      partitionIndex: p,
      leaderId: 1 + (p % 3),
      leaderEpoch: 7,
      replicaNodes: [1, 2, 3],
      isrNodes: [1, 2, 3],
      offlineReplicas: []
    })),
    topicAuthorizedOperations: -2147483648
  })),
  clusterAuthorizedOperations: -2147483648,
  errorCode: 0
}
export const metadataPartitions = 240
