/**
 * Faults as values: which requests they strike, and what they do. `EmbeddedKafka.inject` puts one in force for a Scope.
 *
 * ```ts
 * import { Fault } from "samsa/testing"
 *
 * export const lost = Fault.on("Produce", { topic: "orders", nth: 1 }).loseResponse
 * export const moving = Fault.on("Fetch", { topic: "orders", partition: 0, times: 3 }).error(6)
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import type * as Topic from "../Topic.ts"
import type { Action, Match as Matched } from "./embedded/FaultRule.ts"

/**
 * An API by its name in Kafka's definitions; `"*"` is every API.
 *
 * @since 0.1.0
 * @category models
 */
export type Api =
  | "*"
  | "Produce"
  | "Fetch"
  | "ListOffsets"
  | "Metadata"
  | "OffsetCommit"
  | "OffsetFetch"
  | "FindCoordinator"
  | "JoinGroup"
  | "Heartbeat"
  | "LeaveGroup"
  | "SyncGroup"
  | "ConsumerGroupHeartbeat"
  | "ConsumerGroupDescribe"
  | "DescribeGroups"
  | "ListGroups"
  | "SaslHandshake"
  | "SaslAuthenticate"
  | "ApiVersions"
  | "CreateTopics"
  | "DeleteTopics"
  | "DeleteRecords"
  | "InitProducerId"
  | "AddPartitionsToTxn"
  | "AddOffsetsToTxn"
  | "TxnOffsetCommit"
  | "EndTxn"
  | "WriteTxnMarkers"
  | "DescribeTransactions"
  | "ListTransactions"
  | "DescribeProducers"
  | "OffsetForLeaderEpoch"
  | "DescribeConfigs"
  | "AlterConfigs"
  | "IncrementalAlterConfigs"
  | "CreatePartitions"
  | "DeleteGroups"
  | "OffsetDelete"
  | "DescribeCluster"
  | "GetTelemetrySubscriptions"
  | "PushTelemetry"

/**
 * Which requests of an API. What is left out matches everything.
 *
 * @since 0.1.0
 * @category models
 */
export interface Match {
  /** A request that names this topic. */
  readonly topic?: Topic.Any | string | undefined
  /** … and this partition. Errors and damage go to this partition alone. */
  readonly partition?: number | undefined
  readonly group?: string | undefined
  readonly transactionalId?: string | undefined
  readonly clientId?: string | undefined
  /** The id of the broker that gets it. */
  readonly broker?: number | undefined
  /** Only the nth request that matches, counted from 1 and from when the fault was injected. */
  readonly nth?: number | undefined
  /** At most so many requests. Default: all, until the fault is removed. */
  readonly times?: number | undefined
  /** Strikes with this probability, from 0 to 1. */
  readonly probability?: number | undefined
  /** The seed of that probability: the same seed strikes the same requests. Default 1. */
  readonly seed?: number | undefined
}

/**
 * A fault: give it to `EmbeddedKafka.inject`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fault {
  readonly match: Matched
  readonly action: Action
}

/**
 * What is to happen to the requests that `on` chose. Where a connection is closed, the client sees it close.
 *
 * @since 0.1.0
 * @category models
 */
export interface On {
  /** The work is not done; the answer is this error code. */
  readonly error: (code: number) => Fault
  /** The work is done, and the answer is this error code all the same. */
  readonly errorAfter: (code: number) => Fault
  /** The work is not done, and the connection closes. */
  readonly loseRequest: Fault
  /** The work is done, and the connection closes before the answer. */
  readonly loseResponse: Fault
  /** The work is done, and nothing is answered: the connection stays open and silent for good, as that of a stuck broker. */
  readonly withhold: Fault
  /** The work is done, and the answer comes later. */
  readonly delay: (duration: Duration.Input) => Fault
  /** The connection closes at once, and with it every answer that it still owed. */
  readonly close: Fault
  /** The answer comes byte by byte. */
  readonly trickle: Fault
  /** The work is done; of the answer the first half comes, and then the connection is reset, amid the frame. */
  readonly breakOff: Fault
  /** The records of a Fetch come with a wrong checksum; the log is not touched. */
  readonly corruptCrc: Fault
  /** The last batch of a Fetch comes cut off. */
  readonly truncate: Fault
  /** The answer asks for silence for so many milliseconds (`throttle_time_ms`). */
  readonly throttle: (millis: number) => Fault
  /** Metadata is answered with the leaders, epochs and topic ids of when the fault was injected. */
  readonly staleMetadata: Fault
}

/**
 * Chooses requests.
 *
 * @since 0.1.0
 * @category constructors
 */
export const on = (api: Api, match: Match = {}): On => {
  const matched: Matched = {
    ...match,
    api,
    topic: typeof match.topic === "object" ? match.topic.name : match.topic
  }
  const fault = (action: Action): Fault => ({ match: matched, action })
  return {
    error: (code) => fault({ _tag: "Error", code }),
    errorAfter: (code) => fault({ _tag: "ErrorAfter", code }),
    loseRequest: fault({ _tag: "LoseRequest" }),
    loseResponse: fault({ _tag: "LoseResponse" }),
    withhold: fault({ _tag: "Withhold" }),
    delay: (duration) => fault({ _tag: "Delay", millis: Duration.toMillis(Duration.fromInputUnsafe(duration)) }),
    close: fault({ _tag: "Close" }),
    trickle: fault({ _tag: "Trickle" }),
    breakOff: fault({ _tag: "BreakOff" }),
    corruptCrc: fault({ _tag: "CorruptCrc" }),
    truncate: fault({ _tag: "Truncate" }),
    throttle: (millis) => fault({ _tag: "Throttle", millis }),
    staleMetadata: fault({ _tag: "StaleMetadata", snapshot: new Map() })
  }
}
