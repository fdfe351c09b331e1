/** Pure. What a broker answers to a client's idea of the leader's epoch (KIP-320). */
import * as Code from "./Code.ts"
import type { EmbeddedPartition } from "./Partition.ts"

/** What is answered of a partition by a broker that may not lead it, to a client with an epoch in mind. */
export const leaderError = (partition: EmbeddedPartition | undefined, node: number, epoch = -1): number =>
  partition === undefined
    ? Code.unknownTopicOrPartition
    : partition.leader !== node
      ? Code.notLeaderOrFollower
      : epochError(partition, epoch)

/** 0 where the client's epoch is the current one, or it has none (-1). */
export const epochError = (partition: EmbeddedPartition, epoch: number): number =>
  epoch < 0 || epoch === partition.leaderEpoch
    ? Code.none
    : epoch < partition.leaderEpoch
      ? Code.fencedLeaderEpoch
      : Code.unknownLeaderEpoch
