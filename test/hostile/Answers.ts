/**
 * A broker that answers every request of a client as a healthy cluster of one node would, where a test does not say
 * otherwise: what hostile answers are made from. Of no state but counts.
 */
import * as Frame from "../../src/protocol/Frame.ts"
import { all } from "../../src/protocol/Api.ts"

export interface Request {
  readonly name: string
  readonly key: number
  readonly version: number
  readonly correlationId: number
  /** Of any API: a test knows which. */
  readonly body: any
  /** How many of this API came before it, and this one. */
  readonly count: number
  readonly host: string
  readonly port: number
}

/** What a test says of an API: the value of its response, the bytes of the whole frame, or that there is none. */
export type Answer = (request: Request, healthy: () => object) => object | Uint8Array | undefined

export interface Options {
  readonly answers?: { readonly [api: string]: Answer } | undefined
  readonly partitions?: number | undefined
  /** The highest versions offered, by API; -1: not at all. */
  readonly versions?: { readonly [api: string]: number } | undefined
}

const apis = new Map(all.map((api) => [api.key, api]))

const named = (topics: any, partitions: (topic: any) => ReadonlyArray<object>) =>
  topics.map((topic: any) => ({ ...topic, partitions: partitions(topic) }))

const healthy = (request: Request, { partitions = 1, versions = {} }: Options): object => {
  const { body, host, name, port, version } = request
  const me = { nodeId: 1, host, port }
  switch (name) {
    case "ApiVersions": {
      const offered = all.map(({ key, name, Request: { stable } }) => ({
        apiKey: key,
        minVersion: stable[0],
        maxVersion: Math.min(stable[1], versions[name] ?? stable[1])
      }))
      return { apiKeys: offered.filter(({ maxVersion, minVersion }) => maxVersion >= minVersion) }
    }
    case "Metadata":
      return {
        brokers: [me],
        clusterId: "c",
        controllerId: 1,
        topics: (body.topics ?? [{ name: "t" }]).map(({ name }: any) => ({
          name,
          partitions: Array.from({ length: partitions }, (_, partitionIndex) => ({
            partitionIndex,
            leaderId: 1,
            leaderEpoch: 1,
            replicaNodes: [1],
            isrNodes: [1]
          }))
        }))
      }
    case "FindCoordinator":
      return version >= 4 ? { coordinators: body.coordinatorKeys.map((key: string) => ({ key, ...me })) } : me
    case "InitProducerId":
      return { producerId: 1000, producerEpoch: 0 }
    case "ListOffsets":
      return {
        topics: named(body.topics, ({ partitions }) =>
          partitions.map(({ partitionIndex }: any) => ({
            partitionIndex,
            ...(version === 0 ? { oldStyleOffsets: [0] } : { offset: 0, timestamp: -1 })
          }))
        )
      }
    case "Fetch":
      return {
        responses: body.topics.map(({ partitions, topic, topicId }: any) => ({
          topic,
          topicId,
          partitions: partitions.map(({ partition }: any) => ({
            partitionIndex: partition,
            highWatermark: 0,
            lastStableOffset: 0,
            logStartOffset: 0,
            records: new Uint8Array(0)
          }))
        }))
      }
    case "Produce":
      return {
        responses: body.topicData.map(({ name, partitionData, topicId }: any) => ({
          name,
          topicId,
          partitionResponses: partitionData.map(({ index }: any) => ({ index, baseOffset: 0 }))
        }))
      }
    case "JoinGroup": {
      const memberId = body.memberId === "" ? "m-1" : body.memberId
      const [protocol] = body.protocols
      return {
        generationId: 1,
        protocolType: "consumer",
        protocolName: protocol?.name ?? "",
        leader: memberId,
        memberId,
        members: [{ memberId, metadata: protocol?.metadata ?? new Uint8Array(0) }]
      }
    }
    case "SyncGroup":
      return {
        protocolType: "consumer",
        protocolName: body.protocolName ?? null,
        assignment: body.assignments[0]?.assignment ?? new Uint8Array(0)
      }
    case "OffsetFetch": {
      const topics = (list: any) =>
        (list ?? []).map(({ name, partitionIndexes, topicId }: any) => ({
          name,
          topicId,
          partitions: partitionIndexes.map((partitionIndex: number) => ({ partitionIndex, committedOffset: -1 }))
        }))
      return version >= 8
        ? { groups: body.groups.map((group: any) => ({ groupId: group.groupId, topics: topics(group.topics) })) }
        : { topics: topics(body.topics) }
    }
    case "OffsetCommit":
      return {
        topics: body.topics.map(({ name, partitions, topicId }: any) => ({
          name,
          topicId,
          partitions: partitions.map(({ partitionIndex }: any) => ({ partitionIndex }))
        }))
      }
    case "SaslHandshake":
      return { mechanisms: ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512", "OAUTHBEARER"] }
    default:
      return {}
  }
}

/** The frame of a response, from the value of its schema. */
export const frame = (request: Request, value: object): Uint8Array => {
  const { Response } = apis.get(request.key)!
  return Buffer.concat(Frame.encodeResponse(Response, request.version, request.correlationId, value as never))
}

/** The header of a response, and these bytes behind it, with a right size. */
export const rawFrame = (request: Request, body: Uint8Array): Uint8Array => {
  const flexible = Frame.responseHeaderVersion(apis.get(request.key)!.Response, request.version) === 1
  const head = Buffer.alloc(flexible ? 9 : 8)
  head.writeInt32BE(head.length - 4 + body.length)
  head.writeInt32BE(request.correlationId, 4)
  return Buffer.concat([head, body])
}

export interface Broker {
  /** How many requests of each API have come. */
  readonly counts: { [api: string]: number }
  /** Answers one request, a frame without its size; undefined where nothing is to be said. */
  readonly answer: (
    request: Uint8Array,
    place: { readonly host: string; readonly port: number }
  ) => Uint8Array | undefined
}

/** Makes a broker. */
export const make = (options: Options = {}): Broker => {
  const counts: { [api: string]: number } = {}
  return {
    counts,
    answer: (bytes, { host, port }) => {
      const { apiKey, apiVersion: version, bodyAt, correlationId } = Frame.readRequestHeader(bytes)
      const api = apis.get(apiKey)
      if (api === undefined) return undefined
      const { name } = api
      const body = Frame.readRequestBody(api.Request, version, bytes, bodyAt)
      const count = (counts[name] = (counts[name] ?? 0) + 1)
      const request: Request = { name, key: apiKey, version, correlationId, body, count, host, port }
      const usual = () => healthy(request, options)
      const told = options.answers?.[name]
      if (told === undefined && name === "Produce" && request.body.acks === 0) return undefined
      const value = told === undefined ? usual() : told(request, usual)
      return value === undefined || value instanceof Uint8Array ? value : frame(request, value)
    }
  }
}

/** A coordinator of the consumer protocol that gives a member these partitions of `t`, which has an id. */
export const giving = (partitions: ReadonlyArray<number>): { readonly [api: string]: Answer } => {
  const topicId = "AAAAAAAAAAAAAAAAAAAAAQ"
  return {
    Metadata: (_, healthy) => {
      const told = healthy() as { readonly topics: ReadonlyArray<object> }
      return { ...told, topics: told.topics.map((topic) => ({ ...topic, name: "t", topicId })) }
    },
    ConsumerGroupHeartbeat: () => ({
      memberId: "m",
      memberEpoch: 1,
      heartbeatIntervalMs: 1000,
      assignment: { topicPartitions: [{ topicId, partitions }] }
    })
  }
}
