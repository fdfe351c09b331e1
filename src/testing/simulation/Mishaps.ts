/** Faults by API, and troubles of links, as a script may have them. Pure. */
import { codes } from "../../ErrorCode.ts"
import type { Choices } from "./Choices.ts"
import type * as Script from "./Script.ts"

type Fault = Script.StepOf<"fault">

/** What is chosen of. */
export interface Scene {
  readonly topics: ReadonlyArray<Script.Topic>
  readonly clients: ReadonlyArray<string>
  readonly groups: ReadonlyArray<string>
  readonly brokers: number
  /** Clients that are no members of groups. */
  readonly writers: ReadonlyArray<string>
}

type Kind = "produce" | "transaction" | "fetch" | "group" | "commit" | "metadata" | "any"

/** What a coordinator that moves, or is not ready, answers. */
const ofCoordinators = [codes.COORDINATOR_LOAD_IN_PROGRESS, codes.COORDINATOR_NOT_AVAILABLE, codes.NOT_COORDINATOR]

/** Of each kind: which API, what happens to it, and the codes that a client must be able to bear. */
const table: { readonly [K in Kind]: ReadonlyArray<readonly [string, Fault["action"], ReadonlyArray<number>?]> } = {
  produce: [
    ["Produce", "loseRequest"],
    ["Produce", "loseResponse"],
    ["Produce", "withhold"],
    ["Produce", "delay"],
    ["Produce", "trickle"],
    ["Produce", "breakOff"],
    ["Produce", "throttle"],
    ["Produce", "error", [codes.NOT_LEADER_OR_FOLLOWER, codes.REQUEST_TIMED_OUT, codes.NOT_ENOUGH_REPLICAS]],
    ["Produce", "errorAfter", [codes.NOT_ENOUGH_REPLICAS_AFTER_APPEND, codes.REQUEST_TIMED_OUT]],
    ["InitProducerId", "loseResponse"],
    ["InitProducerId", "error", [codes.COORDINATOR_LOAD_IN_PROGRESS]]
  ],
  transaction: [
    ...(["InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "EndTxn"] as const).flatMap(
      (api): ReadonlyArray<readonly [string, Fault["action"], ReadonlyArray<number>?]> => [
        [api, "loseRequest"],
        [api, "loseResponse"],
        [api, "withhold"],
        [api, "delay"],
        [api, "error", api === "TxnOffsetCommit" ? ofCoordinators : [...ofCoordinators, codes.CONCURRENT_TRANSACTIONS]]
      ]
    ),
    ["EndTxn", "loseResponse"],
    ["WriteTxnMarkers", "loseRequest"],
    ["WriteTxnMarkers", "delay"],
    ["Produce", "loseResponse"],
    ["Produce", "error", [codes.NOT_LEADER_OR_FOLLOWER, codes.REQUEST_TIMED_OUT, codes.NOT_ENOUGH_REPLICAS]]
  ],
  fetch: [
    ["Fetch", "error", [codes.NOT_LEADER_OR_FOLLOWER, codes.OFFSET_NOT_AVAILABLE, codes.UNKNOWN_LEADER_EPOCH]],
    ["Fetch", "withhold"],
    ["Fetch", "loseRequest"],
    ["Fetch", "loseResponse"],
    ["Fetch", "delay"],
    ["Fetch", "trickle"],
    ["Fetch", "breakOff"],
    ["Fetch", "truncate"],
    ["Fetch", "throttle"],
    ["ListOffsets", "loseResponse"],
    ["ListOffsets", "error", [codes.NOT_LEADER_OR_FOLLOWER, codes.LEADER_NOT_AVAILABLE]],
    ["OffsetForLeaderEpoch", "loseResponse"],
    ["OffsetForLeaderEpoch", "delay"]
  ],
  group: [
    ["JoinGroup", "error", [codes.NOT_COORDINATOR, codes.COORDINATOR_LOAD_IN_PROGRESS]],
    ["JoinGroup", "loseResponse"],
    ["JoinGroup", "withhold"],
    ["SyncGroup", "loseResponse"],
    ["SyncGroup", "error", [codes.NOT_COORDINATOR, codes.REBALANCE_IN_PROGRESS, codes.UNKNOWN_MEMBER_ID]],
    ["Heartbeat", "loseResponse"],
    ["Heartbeat", "loseRequest"],
    ["Heartbeat", "withhold"],
    ["Heartbeat", "error", [codes.UNKNOWN_MEMBER_ID, codes.ILLEGAL_GENERATION, codes.REBALANCE_IN_PROGRESS]],
    ["LeaveGroup", "loseRequest"],
    ["LeaveGroup", "withhold"],
    ["FindCoordinator", "error", [codes.COORDINATOR_NOT_AVAILABLE]],
    ["FindCoordinator", "withhold"],
    ["ConsumerGroupHeartbeat", "loseResponse"],
    ["ConsumerGroupHeartbeat", "loseRequest"],
    ["ConsumerGroupHeartbeat", "withhold"],
    ["ConsumerGroupHeartbeat", "delay"],
    ["ConsumerGroupHeartbeat", "error", [codes.NOT_COORDINATOR, codes.UNKNOWN_MEMBER_ID, codes.FENCED_MEMBER_EPOCH]]
  ],
  commit: [
    ["OffsetCommit", "error", [codes.NOT_COORDINATOR, codes.COORDINATOR_LOAD_IN_PROGRESS, codes.REBALANCE_IN_PROGRESS]],
    ["OffsetCommit", "error", [codes.UNKNOWN_MEMBER_ID, codes.ILLEGAL_GENERATION]],
    ["OffsetCommit", "loseRequest"],
    ["OffsetCommit", "loseResponse"],
    ["OffsetCommit", "withhold"],
    ["OffsetCommit", "breakOff"],
    ["OffsetCommit", "delay"],
    ["OffsetFetch", "error", [codes.COORDINATOR_LOAD_IN_PROGRESS, codes.NOT_COORDINATOR]],
    ["OffsetFetch", "loseResponse"],
    ["OffsetFetch", "withhold"]
  ],
  metadata: [
    ["Metadata", "loseResponse"],
    ["Metadata", "withhold"],
    ["Metadata", "delay"],
    ["Metadata", "staleMetadata"],
    ["ApiVersions", "loseResponse"],
    ["ApiVersions", "withhold"],
    ["ApiVersions", "delay"]
  ],
  any: [
    ["*", "loseResponse"],
    ["*", "loseRequest"],
    ["*", "delay"],
    ["*", "trickle"],
    ["*", "breakOff"],
    ["*", "close"]
  ]
}

/** Codes after which a member begins anew: told once or twice, not for a while. */
const expelling: ReadonlySet<number> = new Set([
  codes.UNKNOWN_MEMBER_ID,
  codes.ILLEGAL_GENERATION,
  codes.FENCED_MEMBER_EPOCH
])

export const fault = (choose: Choices, scene: Scene, at: number, lasts: number, kinds: ReadonlyArray<Kind>): Fault => {
  const [api, action, list] = choose.of(table[choose.of(kinds)])
  const code = list === undefined ? undefined : choose.of(list)
  const ofTopic = (api === "Produce" || api === "Fetch" || api === "ListOffsets") && choose.chance(0.6)
  const topic = ofTopic ? choose.of(scene.topics) : undefined
  // Whoever closes now and then, whatever is asked, may be taken for a broker of 0.8, which cannot be asked what it is.
  const mayBeOften = api !== "*" || action === "delay" || action === "trickle"
  const isOften = mayBeOften && (code === undefined || !expelling.has(code)) && choose.chance(0.7)
  return {
    at,
    do: "fault",
    api,
    action,
    ...(code === undefined ? {} : { code }),
    ...(action === "delay" || action === "throttle" ? { millis: choose.of([1, 50, 500, 3000, 12_000]) } : {}),
    ...(topic === undefined ? {} : { topic: topic.name }),
    ...(topic === undefined || choose.chance(0.3) ? {} : { partition: choose.below(topic.partitions) }),
    ...(choose.chance(0.3) ? { client: choose.of(scene.clients) } : {}),
    ...(choose.chance(0.2) ? { broker: 1 + choose.below(scene.brokers) } : {}),
    ...(isOften
      ? choose.chance(0.5)
        ? { probability: choose.of([0.05, 0.3, 0.7]), seed: choose.below(1e6) }
        : {}
      : { times: choose.of([1, 1, 2, 5]) }),
    for: lasts
  }
}

export const link = (choose: Choices, scene: Scene, at: number, lasts: number): Script.StepOf<"link"> => {
  const any = ["cut", "cut", "up", "down", "dead", "delay", "slow", "bytes", "refuse", "reset"] as const
  // A commit that comes late over another connection takes its group back: no client can prevent that.
  const how = choose.of(scene.writers.length === 0 ? any : [...any, "duplicate" as const])
  return {
    at,
    do: "link",
    ...(how === "duplicate"
      ? { client: choose.of(scene.writers) }
      : choose.chance(0.7)
        ? { client: choose.of(scene.clients) }
        : {}),
    ...(choose.chance(0.7) ? { broker: 1 + choose.below(scene.brokers) } : {}),
    how,
    ...(how === "delay" ? { amount: choose.of([5, 100, 1000, 5000]) } : {}),
    ...(how === "slow" ? { amount: choose.of([500, 5000, 100_000]) } : {}),
    for: lasts
  }
}
