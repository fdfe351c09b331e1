/** The KRaft quorum and its voters, and the features of the cluster. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { shown } from "../Checks.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as AddRaftVoter from "../protocol/messages/AddRaftVoter.ts"
import * as DescribeQuorum from "../protocol/messages/DescribeQuorum.ts"
import * as RemoveRaftVoter from "../protocol/messages/RemoveRaftVoter.ts"
import * as UpdateFeatures from "../protocol/messages/UpdateFeatures.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import type { ChangeOptions } from "./NewTopics.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A node of the quorum. */
export interface QuorumReplica {
  readonly id: number
  /** Base64url; undefined where brokers do not tell (before 3.9). */
  readonly directoryId: string | undefined
  readonly logEndOffset: number | undefined
  /** Milliseconds since 1970, by the leader's clock, of itself when it answered; undefined where it does not tell (before 3.3). */
  readonly lastFetchAt: number | undefined
  readonly lastCaughtUpAt: number | undefined
}

export interface QuorumDescription {
  readonly leader: number | undefined
  readonly leaderEpoch: number
  readonly highWatermark: number
  readonly voters: ReadonlyArray<QuorumReplica>
  readonly observers: ReadonlyArray<QuorumReplica>
}

const metadataTopic = "__cluster_metadata"

export const describe = (
  parts: Ask.Parts,
  bounds: Ask.Bounds = {}
): Effect.Effect<QuorumDescription, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "DescribeQuorum",
    Plan.any,
    (broker) =>
      Effect.gen(function* () {
        let spoken = 0
        const response = yield* broker.send(DescribeQuorum, (version) => {
          spoken = version
          return { topics: [{ topicName: metadataTopic, partitions: [{ partitionIndex: 0 }] }] }
        })
        const where = { api: "DescribeQuorum" }
        if (response.errorCode !== code.NONE) return yield* Failure.of(response.errorCode, response.errorMessage, where)
        const told = response.topics[0]?.partitions[0]
        if (told === undefined) return yield* Failure.leftOut("DescribeQuorum", metadataTopic)
        if (told.errorCode !== code.NONE) return yield* Failure.of(told.errorCode, told.errorMessage, where)
        const replica = (one: (typeof told.currentVoters)[number]): QuorumReplica => ({
          id: one.replicaId,
          directoryId: spoken >= 2 ? one.replicaDirectoryId : undefined,
          logEndOffset: fromZero(one.logEndOffset),
          lastFetchAt: fromZero(one.lastFetchTimestamp),
          lastCaughtUpAt: fromZero(one.lastCaughtUpTimestamp)
        })
        return {
          leader: fromZero(told.leaderId),
          leaderEpoch: told.leaderEpoch,
          highWatermark: told.highWatermark,
          voters: told.currentVoters.map(replica),
          observers: told.observers.map(replica)
        }
      }),
    bounds
  )

/** A controller that is to vote. */
export interface NewVoter {
  readonly id: number
  /** Base64url. */
  readonly directoryId: string
  readonly listeners: ReadonlyArray<{ readonly name: string; readonly host: string; readonly port: number }>
}

export const add = (
  parts: Ask.Parts,
  voter: NewVoter,
  bounds: Ask.Bounds = {}
): Effect.Effect<void, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "AddRaftVoter",
    Plan.controller,
    (broker, millis) =>
      Effect.gen(function* () {
        const { errorCode, errorMessage } = yield* broker.send(
          AddRaftVoter,
          () => ({
            clusterId: parts.cluster.clusterId(),
            timeoutMs: Math.ceil(millis),
            voterId: voter.id,
            voterDirectoryId: voter.directoryId,
            listeners: voter.listeners
          }),
          { held: millis }
        )
        if (errorCode !== code.NONE) return yield* Failure.of(errorCode, errorMessage, { api: "AddRaftVoter" })
      }),
    bounds,
    Check.object("the voter", voter),
    [code.DUPLICATE_VOTER]
  )

export const remove = (
  parts: Ask.Parts,
  voter: { readonly id: number; readonly directoryId: string },
  bounds: Ask.Bounds = {}
): Effect.Effect<void, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "RemoveRaftVoter",
    Plan.controller,
    (broker) =>
      Effect.gen(function* () {
        const { errorCode, errorMessage } = yield* broker.send(RemoveRaftVoter, () => ({
          clusterId: parts.cluster.clusterId(),
          voterId: voter.id,
          voterDirectoryId: voter.directoryId
        }))
        if (errorCode !== code.NONE) return yield* Failure.of(errorCode, errorMessage, { api: "RemoveRaftVoter" })
      }),
    bounds,
    Check.object("the voter", voter),
    [code.VOTER_NOT_FOUND]
  )

/** The level that a feature is to have. */
export interface FeatureUpdate {
  readonly feature: string
  /** 0 takes the feature away. */
  readonly level: number
  /** `upgrade` refuses a lower level; `unsafe-downgrade` takes one that loses metadata. Default `upgrade`. */
  readonly type?: "upgrade" | "safe-downgrade" | "unsafe-downgrade" | undefined
}

const types = { upgrade: 1, "safe-downgrade": 2, "unsafe-downgrade": 3 } as const

/**
 * One request for all: brokers from 4.0 on take all of them or none, and say of the whole why not.
 */
export const updateFeatures = (
  parts: Ask.Parts,
  updates: ReadonlyArray<FeatureUpdate>,
  options: ChangeOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "UpdateFeatures",
      inOrder: true,
      route: () => Plan.controller,
      key: ({ feature }) => feature,
      check: ({ feature, level, type = "upgrade" }) => [
        ...Check.text("feature", feature),
        ...Check.int16(`level of "${feature}"`, level),
        ...(type in types ? [] : [`type must be one of ${Object.keys(types).join(", ")}, not ${shown(type)}`])
      ],
      ask: (broker, batch, millis) =>
        Effect.gen(function* () {
          const unsafe = batch.some(({ type }) => type === "unsafe-downgrade")
          const response = yield* broker.send(
            UpdateFeatures,
            (version) => ({
              timeoutMs: Math.ceil(millis),
              featureUpdates: batch.map(({ feature, level, type = "upgrade" }) => ({
                feature,
                maxVersionLevel: level,
                ...(version === 0 ? { allowDowngrade: type !== "upgrade" } : { upgradeType: types[type] })
              })),
              ...(options.validateOnly === true ? { validateOnly: true } : {})
            }),
            { held: millis, minVersion: options.validateOnly === true || unsafe ? 1 : 0 }
          )
          const where = { api: "UpdateFeatures" }
          if (response.errorCode !== code.NONE)
            return yield* Failure.of(response.errorCode, response.errorMessage, where)
          const refused = new Map(response.results.map((one) => [one.feature, one]))
          return new Map(
            batch.map(({ feature }) => {
              const told = refused.get(feature)
              return [
                feature,
                told === undefined || told.errorCode === code.NONE
                  ? Result.void
                  : Result.fail(Failure.of(told.errorCode, told.errorMessage, where))
              ]
            })
          )
        })
    },
    updates,
    options
  )
