/** What a case asks a broker with: raw frames at the newest version that both know, and topics and groups of its own. */
import { Effect, Schedule, type Schema, type Scope } from "effect"
import * as ApiVersions from "../../../src/protocol/messages/ApiVersions.ts"
import * as CreateTopics from "../../../src/protocol/messages/CreateTopics.ts"
import * as FindCoordinator from "../../../src/protocol/messages/FindCoordinator.ts"
import * as Heartbeat from "../../../src/protocol/messages/Heartbeat.ts"
import * as ListOffsets from "../../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import type * as Wire from "../../../src/protocol/Wire.ts"
import * as Raw from "../../testing/RawClient.ts"

interface Api<Q extends Schema.Top, A extends Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

type Target = Parameters<typeof Raw.connect>[0]

export interface Client {
  readonly raw: Raw.RawClient
  /** The newest version of an API that both sides know, bounded from above. */
  readonly version: (api: Api<any, any>, most?: number) => number
  readonly ask: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    request: (version: number) => Q["~type.make.in"],
    most?: number
  ) => Effect.Effect<A["Type"], Raw.Closed>
}

export interface Ask {
  /** Unlike that of any other case or run. */
  readonly name: string
  readonly connect: Effect.Effect<Client, unknown, Scope.Scope>
  /** Creates a topic of this case, with a leader for every partition. */
  readonly topic: (options?: {
    readonly partitions?: number
    readonly config?: { readonly [name: string]: string }
  }) => Effect.Effect<string, unknown, Scope.Scope>
}

let count = 0

export const make = (target: Target, run: string): Ask => {
  const name = `case-${run}-${count++}`
  let topics = 0
  const connect = Effect.gen(function* () {
    const raw = yield* Raw.connect(target, { clientId: "case" })
    const { apiKeys } = yield* raw.send(ApiVersions, 0, {})
    const version = (api: Api<any, any>, most = Infinity): number => {
      const theirs = apiKeys.find((each) => each.apiKey === api.Request.key)
      if (theirs === undefined) throw new Error(`the broker has no ${api.Request.name}`)
      return Math.min(theirs.maxVersion, api.Request.stable[1], most)
    }
    const client: Client = {
      raw,
      version,
      ask: (api, request, most) =>
        Effect.suspend(() => {
          const v = version(api, most)
          return raw.send(api, v, request(v))
        })
    }
    return client
  })
  return {
    name,
    connect,
    topic: (options = {}) =>
      Effect.gen(function* () {
        const topic = `${name}-t${topics++}`
        const client = yield* connect
        yield* client.ask(CreateTopics, () => ({
          topics: [
            {
              name: topic,
              numPartitions: options.partitions ?? 1,
              replicationFactor: 1,
              configs: Object.entries(options.config ?? {}).map(([key, value]) => ({ name: key, value }))
            }
          ],
          timeoutMs: 10_000
        }))
        yield* Effect.gen(function* () {
          const response = yield* client.ask(Metadata, () => ({ topics: [{ name: topic }] }), 9)
          const [found] = response.topics
          const ready =
            found!.errorCode === 0 &&
            found!.partitions.length === (options.partitions ?? 1) &&
            found!.partitions.every((p) => p.errorCode === 0 && p.leaderId >= 0)
          if (!ready) return yield* Effect.fail("no leader yet")
          // a leader that metadata names may not know it yet
          const offsets = yield* client.ask(ListOffsets, () => ({
            replicaId: -1,
            topics: [
              {
                name: topic,
                partitions: found!.partitions.map((p) => ({ partitionIndex: p.partitionIndex, timestamp: -1 }))
              }
            ]
          }))
          const leads = offsets.topics[0]!.partitions.every((p) => p.errorCode === 0)
          return yield* leads ? Effect.void : Effect.fail("no leader yet")
        }).pipe(Effect.retry({ times: 100, schedule: Schedule.spaced(50) }))
        return topic
      })
  }
}

/** Waits until the broker coordinates groups, as it does some time after the first was asked for. */
export const coordinated = (client: Client, group: string): Effect.Effect<void, unknown> =>
  Effect.gen(function* () {
    for (let i = 0; i < 100; i++) {
      const response = yield* client.ask(FindCoordinator, () => ({ key: group }), 3)
      // It may be named before it has read what it keeps: then it refuses everything for a moment.
      const nobody = { groupId: group, generationId: -1, memberId: "nobody" }
      const isNamed = response.errorCode === 0
      if (isNamed && ![14, 15, 16].includes((yield* client.ask(Heartbeat, () => nobody, 0)).errorCode)) return
      yield* Effect.sleep(100)
    }
  })
