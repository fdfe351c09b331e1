/** Members of classic groups by hand: each request on a connection of the member's own. */
import { Effect, type Scope } from "effect"
import * as DescribeGroups from "../../src/protocol/messages/DescribeGroups.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"
import * as LeaveGroup from "../../src/protocol/messages/LeaveGroup.ts"
import * as SyncGroup from "../../src/protocol/messages/SyncGroup.ts"
import type { Client } from "./Client.ts"
import { type Ask, type Failure, until } from "./Lab.ts"
import { bytes } from "./Records.ts"

export const memberIdRequired = 79

export interface JoinOptions {
  readonly memberId?: string
  readonly instanceId?: string
  readonly version?: number
  readonly session?: number
  readonly rebalance?: number
  readonly protocolType?: string
  /** Names with metadata. Default: `range` with the metadata `m`. */
  readonly protocols?: ReadonlyArray<readonly [name: string, metadata: string]>
}

export const joinRequest = (version: number, groupId: string, options: JoinOptions) => ({
  groupId,
  sessionTimeoutMs: options.session ?? 10_000,
  ...(version >= 1 ? { rebalanceTimeoutMs: options.rebalance ?? 10_000 } : {}),
  memberId: options.memberId ?? "",
  ...(version >= 5 && options.instanceId !== undefined ? { groupInstanceId: options.instanceId } : {}),
  protocolType: options.protocolType ?? "consumer",
  protocols: (options.protocols ?? [["range", "m"]]).map(([name, metadata]) => ({
    name,
    metadata: options.protocolType === undefined ? subscription([], metadata) : bytes(metadata)
  }))
})

/**
 * What a consumer joins with: version, topics, user data; `topics:a,b` as metadata names topics. It must be one, where the
 * protocol type is `consumer`: 2.8.2 reads it, and answers nobody of the group where it is none.
 */
const subscription = (topics: ReadonlyArray<string>, metadata: string): Uint8Array => {
  if (metadata.startsWith("topics:")) return subscription(metadata.slice(7).split(","), "")
  const text = (value: string, size: 2 | 4) => {
    const length = Buffer.alloc(size)
    length.writeIntBE(Buffer.byteLength(value), 0, size)
    return Buffer.concat([length, Buffer.from(value)])
  }
  const head = Buffer.from([0, 0, 0, 0, 0, topics.length])
  return Uint8Array.from(Buffer.concat([head, ...topics.map((topic) => text(topic, 2)), text(metadata, 4)]))
}

export type Joined = (typeof JoinGroup.Response.schema)["Type"]

export interface Member {
  readonly client: Client
  /** Joins as it is told, once. */
  readonly ask: (options?: JoinOptions) => Effect.Effect<Joined, Failure>
  /** Joins, also where it must first learn its id, and keeps what it was told. */
  readonly join: (options?: JoinOptions) => Effect.Effect<Joined, Failure>
  readonly sync: (options?: {
    readonly generation?: number
    readonly memberId?: string
    readonly instanceId?: string
    readonly version?: number
    readonly protocolType?: string
    readonly protocolName?: string
    readonly assignments?: ReadonlyArray<readonly [memberId: string, assignment: string]>
  }) => Effect.Effect<(typeof SyncGroup.Response.schema)["Type"], Failure>
  readonly heartbeat: (options?: {
    readonly generation?: number
    readonly memberId?: string
    readonly instanceId?: string
    readonly version?: number
  }) => Effect.Effect<number, Failure>
  readonly leave: (
    members?: ReadonlyArray<{ readonly memberId?: string; readonly instanceId?: string }>,
    version?: number
  ) => Effect.Effect<(typeof LeaveGroup.Response.schema)["Type"], Failure>
  readonly id: () => string
  readonly generation: () => number
}

/** A member that is to be, of a group. */
export const make = (ask: Ask, groupId: string, clientId?: string): Effect.Effect<Member, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const broker = yield* ask.coordinatorOf(groupId)
    const client = yield* ask.connect({ broker, ...(clientId === undefined ? {} : { clientId }) })
    let id = ""
    let generation = -1
    const once: Member["ask"] = (options = {}) => {
      const version = options.version ?? 7
      return client.send(JoinGroup, version, joinRequest(version, groupId, options))
    }
    return {
      client,
      id: () => id,
      generation: () => generation,
      ask: once,
      join: (options = {}) =>
        Effect.gen(function* () {
          let joined = yield* once({ memberId: id, ...options })
          if (joined.errorCode === memberIdRequired) joined = yield* once({ ...options, memberId: joined.memberId })
          if (joined.errorCode === 0) {
            id = joined.memberId
            generation = joined.generationId
          }
          return joined
        }),
      sync: (options = {}) => {
        const version = options.version ?? 5
        return client.send(SyncGroup, version, {
          groupId,
          generationId: options.generation ?? generation,
          memberId: options.memberId ?? id,
          ...(version >= 3 && options.instanceId !== undefined ? { groupInstanceId: options.instanceId } : {}),
          ...(version >= 5
            ? { protocolType: options.protocolType ?? "consumer", protocolName: options.protocolName ?? "range" }
            : {}),
          assignments: (options.assignments ?? []).map(([memberId, assignment]) => ({
            memberId,
            assignment: bytes(assignment)
          }))
        })
      },
      heartbeat: (options = {}) => {
        const version = options.version ?? 4
        return Effect.map(
          client.send(Heartbeat, version, {
            groupId,
            generationId: options.generation ?? generation,
            memberId: options.memberId ?? id,
            ...(version >= 3 && options.instanceId !== undefined ? { groupInstanceId: options.instanceId } : {})
          }),
          ({ errorCode }) => errorCode
        )
      },
      leave: (members = [{}], version = 4) =>
        client.send(
          LeaveGroup,
          version,
          version < 3
            ? { groupId, memberId: members[0]!.memberId ?? id }
            : {
                groupId,
                members: members.map(({ instanceId, memberId }) => ({
                  memberId: memberId ?? id,
                  groupInstanceId: instanceId ?? null
                }))
              }
        )
    }
  })

/** A group of one member that has its assignment. */
export const stable = (ask: Ask, groupId: string, options: JoinOptions = {}) =>
  Effect.gen(function* () {
    const member = yield* make(ask, groupId)
    yield* member.join(options)
    yield* member.sync({
      assignments: [[member.id(), "all"]],
      ...(options.instanceId === undefined ? {} : { instanceId: options.instanceId }),
      protocolName: options.protocols?.[0]![0] ?? "range",
      protocolType: options.protocolType ?? "consumer"
    })
    return member
  })

export const describe = (ask: Ask, groupId: string, version = 5) =>
  Effect.gen(function* () {
    const client = yield* ask.broker(yield* ask.coordinatorOf(groupId))
    // A coordinator that does not know yet that it is one tells no state.
    return yield* until(
      `${groupId} is described`,
      Effect.map(client.send(DescribeGroups, version, { groups: [groupId] }), ({ groups }) => groups[0]!),
      ({ groupState }) => groupState !== ""
    )
  })

/** Waits until a group is in a state, with so many members. */
export const awaitState = (ask: Ask, groupId: string, state: string, members?: number) =>
  until(
    `the group is ${state}`,
    describe(ask, groupId),
    (group) => group.groupState === state && (members === undefined || group.members.length === members)
  )

/** Waits until members are asked to join again. */
export const awaitRebalance = (member: Member, instanceId?: string) =>
  until("a rebalance", member.heartbeat(instanceId === undefined ? {} : { instanceId }), (code) => code !== 0)
