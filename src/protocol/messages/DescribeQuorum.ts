/**
 * DescribeQuorum (key 55): the state of the KRaft quorum (KIP-595).
 *
 * v0 flexible · v1 fetch timestamps (KIP-836) · v2 error messages, nodes, directory ids (KIP-853)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeQuorumRequest", { key: 55, versions: "0-2", flexible: "0+" }, () => ({
  topics: Wire.array(
    Wire.struct({
      topicName: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32
        })
      )
    })
  )
}))

const replicaState = () =>
  Wire.struct({
    replicaId: Wire.int32,
    replicaDirectoryId: Wire.uuid.pipe(Wire.at("2+")),
    /** -1 where it is not known. */
    logEndOffset: Wire.int64,
    /** By the leader's clock; -1 for the leader itself, or where it is not known. */
    lastFetchTimestamp: Wire.amount.pipe(Wire.at("1+", { default: -1, ignorable: true })),
    /** By the leader's clock; -1 where it is not known. */
    lastCaughtUpTimestamp: Wire.amount.pipe(Wire.at("1+", { default: -1, ignorable: true }))
  })

export const Response = Wire.message("DescribeQuorumResponse", { key: 55, versions: "0-2", flexible: "0+" }, () => ({
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("2+"), Wire.at("2+", { ignorable: true })),
  topics: Wire.array(
    Wire.struct({
      topicName: Wire.string,
      partitions: Wire.array(
        Wire.struct({
          partitionIndex: Wire.int32,
          errorCode: Wire.int16,
          errorMessage: Wire.string.pipe(Wire.nullable("2+"), Wire.at("2+", { ignorable: true })),
          /** -1 where it is not known. */
          leaderId: Wire.int32,
          leaderEpoch: Wire.int32,
          highWatermark: Wire.int64,
          currentVoters: Wire.array(replicaState()),
          observers: Wire.array(replicaState())
        })
      )
    })
  ),
  nodes: Wire.array(
    Wire.struct({
      nodeId: Wire.int32,
      listeners: Wire.array(
        Wire.struct({
          name: Wire.string,
          host: Wire.string,
          port: Wire.uint16
        })
      )
    })
  ).pipe(Wire.at("2+"))
}))
