/** The cluster and its brokers: who they are, and what each speaks. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as ApiVersions from "../protocol/messages/ApiVersions.ts"
import * as DescribeCluster from "../protocol/messages/DescribeCluster.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"
import * as UnregisterBroker from "../protocol/messages/UnregisterBroker.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Operations from "./Operations.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A broker of the cluster. */
export interface BrokerDescription {
  readonly id: number
  readonly host: string
  readonly port: number
  readonly rack: string | undefined
  /** It is registered, and does not take part (KRaft): told where `fenced` was asked for. */
  readonly fenced: boolean
}

/** The cluster. */
export interface ClusterDescription {
  /** Undefined where brokers do not tell (before 0.10.1). */
  readonly clusterId: string | undefined
  /** Broker id; undefined where there is none, or brokers do not tell (before 0.10). In KRaft any live broker, which passes on what it is asked. */
  readonly controller: number | undefined
  readonly brokers: ReadonlyArray<BrokerDescription>
  /** What this client may do with the cluster, where that was asked for and brokers tell (from 2.3 on). */
  readonly operations: ReadonlyArray<Operations.Operation> | undefined
}

export interface DescribeClusterOptions extends Ask.Bounds {
  /** Ask what this client may do. Default false. */
  readonly operations?: boolean | undefined
  /** Brokers that are fenced too (from 4.0 on). Default false. */
  readonly fenced?: boolean | undefined
}

const byId = (a: BrokerDescription, b: BrokerDescription): number => a.id - b.id

const fromCluster = (broker: Broker, options: DescribeClusterOptions) =>
  Effect.gen(function* () {
    const response = yield* broker.send(
      DescribeCluster,
      (version) => ({
        includeClusterAuthorizedOperations: options.operations === true,
        ...(version >= 2 ? { includeFencedBrokers: options.fenced === true } : {})
      }),
      options.fenced === true ? { minVersion: 2 } : {}
    )
    if (response.errorCode !== code.NONE)
      return yield* Failure.of(response.errorCode, response.errorMessage, { api: "DescribeCluster" })
    const description: ClusterDescription = {
      clusterId: response.clusterId,
      controller: fromZero(response.controllerId),
      brokers: response.brokers
        .map(({ brokerId, host, isFenced, port, rack }) => ({
          id: brokerId,
          host,
          port,
          rack: rack ?? undefined,
          fenced: isFenced
        }))
        .sort(byId),
      operations: Operations.ofBits(response.clusterAuthorizedOperations)
    }
    return description
  })

const fromMetadata = (broker: Broker, options: DescribeClusterOptions) =>
  Effect.map(
    broker.send(Metadata, (version) => ({
      // v0 has no way to ask for no topics.
      topics: [],
      allowAutoTopicCreation: version < 4,
      ...(options.operations === true && version >= 8 && version <= 10
        ? { includeClusterAuthorizedOperations: true }
        : {})
    })),
    (response): ClusterDescription => ({
      clusterId: response.clusterId ?? undefined,
      controller: fromZero(response.controllerId),
      brokers: response.brokers
        .map(({ host, nodeId, port, rack }) => ({ id: nodeId, host, port, rack: rack ?? undefined, fenced: false }))
        .sort(byId),
      operations: Operations.ofBits(response.clusterAuthorizedOperations)
    })
  )

export const describe = (
  parts: Ask.Parts,
  options: DescribeClusterOptions = {}
): Effect.Effect<ClusterDescription, KafkaError.KafkaError> =>
  Ask.one(
    parts,
    "DescribeCluster",
    Plan.any,
    (broker) =>
      Effect.flatMap(broker.offer(), ({ ranges }) =>
        ranges.has(DescribeCluster.Request.key) || options.fenced === true
          ? fromCluster(broker, options)
          : fromMetadata(broker, options)
      ),
    options
  )

/** An API that a broker speaks. */
export interface ApiRange {
  readonly key: number
  /** As the protocol spells it; undefined for one that this client does not know. */
  readonly name: string | undefined
  readonly min: number
  readonly max: number
  /** The versions of it that this client speaks; undefined for one that it does not know. */
  readonly ours: { readonly min: number; readonly max: number } | undefined
}

/** What a broker speaks, and which features the cluster has. */
export interface BrokerApis {
  readonly broker: number
  readonly apis: ReadonlyArray<ApiRange>
  /** By name, such as `metadata.version` (from 2.7 on). */
  readonly features: ReadonlyArray<FeatureDescription>
}

/** A feature of the cluster (KIP-584). */
export interface FeatureDescription {
  readonly name: string
  /** The levels that the broker could have. */
  readonly supported: { readonly min: number; readonly max: number } | undefined
  /** The level that is in force. */
  readonly level: number | undefined
}

const apisOf = (broker: Broker) =>
  Effect.gen(function* () {
    // All messages, which who does not ask for them need not load.
    const { byKey } = yield* Effect.promise(() => import("../protocol/Api.ts"))
    const oursOf = (key: number) => {
      const stable = byKey(key)?.Request.stable
      return stable === undefined ? undefined : { min: stable[0], max: stable[1] }
    }
    const { by, ranges } = yield* broker.offer()
    // Not asked of who would close the connection for it: what is known of such a release is in the offer.
    const response = typeof by === "number" ? yield* broker.send(ApiVersions, () => ApiVersions.software) : undefined
    const supported = new Map((response?.supportedFeatures ?? []).map((one) => [one.name, one]))
    const finalized = new Map((response?.finalizedFeatures ?? []).map((one) => [one.name, one.maxVersionLevel]))
    const names = [...new Set([...supported.keys(), ...finalized.keys()])].sort()
    const description: BrokerApis = {
      broker: broker.id,
      apis: [...ranges]
        .sort(([a], [b]) => a - b)
        .map(([key, [min, max]]) => ({ key, name: byKey(key)?.name, min, max, ours: oursOf(key) })),
      features: names.map((name) => {
        const range = supported.get(name)
        return {
          name,
          supported: range === undefined ? undefined : { min: range.minVersion, max: range.maxVersion },
          level: finalized.get(name)
        }
      })
    }
    return description
  })

export const apis = (parts: Ask.Parts, ids: ReadonlyArray<number>, options: Ask.Bounds = {}): Ask.Answers<BrokerApis> =>
  Ask.items(
    parts,
    {
      api: "ApiVersions",
      route: Plan.broker,
      key: String,
      check: (id) => Check.int32("broker", id),
      ask: (broker, batch) =>
        Effect.map(apisOf(broker), (apis) => new Map(batch.map((id) => [String(id), Result.succeed(apis)])))
    },
    ids,
    options
  )

export const features = (
  parts: Ask.Parts,
  options: Ask.Bounds = {}
): Effect.Effect<ReadonlyArray<FeatureDescription>, KafkaError.KafkaError> =>
  Ask.one(parts, "ApiVersions", Plan.any, (broker) => Effect.map(apisOf(broker), ({ features }) => features), options)

export const unregister = (parts: Ask.Parts, ids: ReadonlyArray<number>, options: Ask.Bounds = {}): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "UnregisterBroker",
      route: () => Plan.controller,
      key: String,
      check: (id) => Check.int32("broker", id),
      most: 1,
      doubtful: [code.BROKER_ID_NOT_REGISTERED],
      ask: (broker, [id]) =>
        Effect.map(
          broker.send(UnregisterBroker, () => ({ brokerId: id! })),
          ({ errorCode, errorMessage }) =>
            new Map([
              [
                String(id),
                errorCode === code.NONE
                  ? Result.void
                  : Result.fail(Failure.of(errorCode, errorMessage, { api: "UnregisterBroker" }))
              ]
            ])
        )
    },
    ids,
    options
  )
