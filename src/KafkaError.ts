/**
 * The one error of the library, with tagged reasons named for what the user can do about them.
 *
 * ```ts
 * import { Effect } from "effect"
 * import type { KafkaError } from "samsa"
 *
 * declare const program: Effect.Effect<void, KafkaError.KafkaError>
 * const handled = program.pipe(
 *   Effect.catchReason("KafkaError", "BufferFull", (full) => Effect.logWarning(`${full.bytes} bytes wait`))
 * )
 * ```
 */
import * as Data from "effect/Data"
import * as ErrorCode from "./ErrorCode.ts"

/** What is known of where it happened. */
export interface Where {
  readonly broker?: string | undefined
  readonly api?: string | undefined
  readonly version?: number | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly group?: string | undefined
}

/** No broker could be reached, or the connection was lost: every address that was tried, and its cause. */
export interface Unreachable extends Where {
  readonly _tag: "Unreachable"
  readonly attempts: ReadonlyArray<{ readonly address: string; readonly cause: string }>
}
/** A budget was spent. */
export interface TimedOut extends Where {
  readonly _tag: "TimedOut"
  /** The setting that bounded the wait, such as `requestTimeout`. */
  readonly budget: string
  readonly millis: number
  readonly waitingFor: string
}
/** What answered does not speak Kafka as configured: TLS against plaintext, HTTP, garbage. */
export interface WrongProtocol extends Where {
  readonly _tag: "WrongProtocol"
  readonly seen: string
  readonly hint: string
}
/** The broker refused who we are. */
export interface Unauthenticated extends Where {
  readonly _tag: "Unauthenticated"
  readonly mechanism: string
  readonly message: string
}
/** The broker refused what we asked. */
export interface Unauthorized extends Where {
  readonly _tag: "Unauthorized"
  readonly resource: string
  readonly code: number
}
/** Settings that contradict each other or are out of range: all mistakes at once. */
export interface Misconfigured extends Where {
  readonly _tag: "Misconfigured"
  readonly mistakes: ReadonlyArray<string>
}
/** An API, a version or a feature that one side lacks. */
export interface Unsupported extends Where {
  readonly _tag: "Unsupported"
  readonly needed: string
  readonly ours: string
  readonly theirs: string
}
export interface UnknownTopic extends Where {
  readonly _tag: "UnknownTopic"
  readonly topic: string
}
export interface InvalidTopic extends Where {
  readonly _tag: "InvalidTopic"
  readonly topic: string
}
/** The group coordinator refused the member or its settings. */
export interface GroupRefused extends Where {
  readonly _tag: "GroupRefused"
  readonly group: string
  readonly code: number
  readonly name: string
  readonly message: string
}
/** The producer's buffer is full, with `whenFull: "fail"`. */
export interface BufferFull extends Where {
  readonly _tag: "BufferFull"
  readonly records: number
  readonly bytes: number
}
/** A record was not acknowledged. `persistence` says whether the broker may hold it all the same. */
export interface NotDelivered extends Where {
  readonly _tag: "NotDelivered"
  readonly topic: string
  readonly partition: number
  readonly persistence: "not" | "possibly"
  /** The last failure of an attempt. */
  readonly cause: string
  /** The broker's error code, where it gave one. */
  readonly code?: number | undefined
}
export interface RecordTooLarge extends Where {
  readonly _tag: "RecordTooLarge"
  readonly topic: string
  readonly bytes: number
  readonly limit: number
}
/** A record's key, value or headers do not fit the topic's Schema. Nothing of it was sent. */
export interface Encode extends Where {
  readonly _tag: "Encode"
  readonly topic: string
  readonly part: "key" | "value" | "headers"
  readonly issue: string
}
/** A record that was read does not fit the topic's Schema. */
export interface Decode extends Where {
  readonly _tag: "Decode"
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly part: "key" | "value" | "headers"
  readonly key: Uint8Array | null
  readonly value: Uint8Array | null
  readonly issue: string
}
/** Bytes that do not follow the protocol: CRC, truncation, counts beyond the frame, a codec that cannot read them. */
export interface Corrupt extends Where {
  readonly _tag: "Corrupt"
  /** The message or batch, such as `MetadataResponse v12`. */
  readonly what: string
  /** The field, such as `topics[3].name`, where known. */
  readonly path?: string | undefined
  /** The byte position, where known. */
  readonly position?: number | undefined
  readonly problem: string
  readonly offset?: number | undefined
  /** Where it is not damage but size: the bound that compressed bytes went over. */
  readonly limit?: number | undefined
}
/** Records that should have been there are gone: truncation, retention past the position, or a topic that was made again. */
export interface DataLoss extends Where {
  readonly _tag: "DataLoss"
  readonly topic: string
  readonly partition: number
  /**
   * `outOfRange`: the position is outside of the log. `truncated`: the log was cut below the position and written anew
   * (KIP-320). `recreated`: the topic was deleted and made again.
   */
  readonly kind?: "outOfRange" | "truncated" | "recreated" | undefined
  /** The position that no longer exists. */
  readonly from: number
  /** The nearest that does, where known. `truncated`: where the logs part, so nothing from there on was read. */
  readonly to?: number | undefined
  /** `recreated`: the ids of the topic whose position it was, and of the one that is there. */
  readonly topicIds?: { readonly was: string; readonly is: string } | undefined
}
/** A newer producer, member or instance has taken our place. */
export interface Fenced extends Where {
  readonly _tag: "Fenced"
  readonly what: "producer" | "member" | "instance"
  readonly by: string
}
/** A commit for a partition that is no longer ours. */
export interface NotOwned extends Where {
  readonly _tag: "NotOwned"
  readonly topic: string
  readonly partition: number
}
/** The group has no committed offset for a partition, with `from: "committed"`. */
export interface NoCommit extends Where {
  readonly _tag: "NoCommit"
  readonly topic: string
  readonly partition: number
  readonly group: string
}
/** The library was used against its contract, such as a consumer read twice. */
export interface Misuse extends Where {
  readonly _tag: "Misuse"
  readonly message: string
}
/** Any other error code of a broker. */
export interface Server extends Where {
  readonly _tag: "Server"
  readonly code: number
  readonly name: string
  readonly message: string
  readonly retriable: boolean
}

export type Reason =
  | Unreachable
  | TimedOut
  | WrongProtocol
  | Unauthenticated
  | Unauthorized
  | Misconfigured
  | Unsupported
  | UnknownTopic
  | InvalidTopic
  | GroupRefused
  | BufferFull
  | NotDelivered
  | RecordTooLarge
  | Encode
  | Decode
  | Corrupt
  | DataLoss
  | Fenced
  | NotOwned
  | NoCommit
  | Misuse
  | Server

const explain = (reason: Reason): string => {
  switch (reason._tag) {
    case "Unreachable":
      return `no broker could be reached: ${reason.attempts.map((a) => `${a.address} (${a.cause})`).join(", ")}`
    case "TimedOut":
      return `${reason.budget} of ${reason.millis} ms was spent waiting for ${reason.waitingFor}`
    case "WrongProtocol":
      return `${reason.seen}; ${reason.hint}`
    case "Unauthenticated":
      return `${reason.mechanism}: ${reason.message}`
    case "Unauthorized":
      return `not allowed: ${reason.resource} (${ErrorCode.get(reason.code).name})`
    case "Misconfigured":
      return reason.mistakes.join("; ")
    case "Unsupported":
      return `${reason.needed} is needed; this client offers ${reason.ours}, the broker ${reason.theirs}`
    case "UnknownTopic":
      return `there is no topic "${reason.topic}"`
    case "InvalidTopic":
      return `"${reason.topic}" is not a legal topic name`
    case "GroupRefused":
      return `group "${reason.group}": ${reason.name}: ${reason.message}`
    case "BufferFull":
      return `the producer's buffer is full: ${reason.records} records, ${reason.bytes} bytes`
    case "NotDelivered":
      return `not delivered (${reason.persistence === "not" ? "not persisted" : "possibly persisted"}): ${reason.cause}`
    case "RecordTooLarge":
      return `a record of ${reason.bytes} bytes is over the limit of ${reason.limit}`
    case "Encode":
      return `the ${reason.part} does not fit the topic's Schema: ${reason.issue}`
    case "Decode":
      return `the ${reason.part} at offset ${reason.offset} does not fit the topic's Schema: ${reason.issue}`
    case "Corrupt":
      return `${reason.what}${reason.path === undefined ? "" : `, ${reason.path}`}${reason.position === undefined ? "" : ` at byte ${reason.position}`}: ${reason.problem}`
    case "DataLoss":
      return explainLoss(reason)
    case "Fenced":
      return `this ${reason.what} was fenced: ${reason.by}`
    case "NotOwned":
      return `the partition is not this consumer's any more`
    case "NoCommit":
      return `group "${reason.group}" has no committed offset here, and nothing else to start from was chosen`
    case "Misuse":
      return reason.message
    case "Server":
      return `${reason.name} (${reason.code}): ${reason.message}`
  }
}

const explainLoss = ({ from, kind, to, topicIds }: DataLoss): string => {
  if (kind === "recreated")
    return `offset ${from} is of a topic that was deleted (${topicIds?.was}); another of its name is there (${topicIds?.is})`
  if (kind === "truncated") return `the log was truncated below offset ${from}${to === undefined ? "" : `, to ${to}`}`
  return `offset ${from} no longer exists${to === undefined ? "" : `, the nearest is ${to}`}`
}

const place = (where: Where): string => {
  const parts: Array<string> = []
  if (where.api !== undefined) parts.push(where.version === undefined ? where.api : `${where.api} v${where.version}`)
  if (where.topic !== undefined)
    parts.push(where.partition === undefined ? where.topic : `${where.topic}-${where.partition}`)
  if (where.group !== undefined) parts.push(`group ${where.group}`)
  if (where.broker !== undefined) parts.push(`broker ${where.broker}`)
  return parts.length === 0 ? "" : ` [${parts.join(", ")}]`
}

/** The one error of the library. */
export class KafkaError extends Data.TaggedError("KafkaError")<{
  readonly reason: Reason
  readonly cause?: unknown
}> {
  override get message(): string {
    return `${this.reason._tag}: ${explain(this.reason)}${place(this.reason)}`
  }
  /** Whether the same request may succeed later, without any change. */
  get isRetryable(): boolean {
    const reason = this.reason
    return reason._tag === "Unreachable" || reason._tag === "TimedOut" || (reason._tag === "Server" && reason.retriable)
  }
}

/** Makes an error of a reason. */
export const make = (reason: Reason, cause?: unknown): KafkaError =>
  new KafkaError(cause === undefined ? { reason } : { reason, cause })

/** The error of a broker's code: `Unauthorized`, `UnknownTopic`, … where one is named for it, else `Server`. */
export const fromCode = (code: number, where: Where = {}): KafkaError => make(reasonOf(code, where))

const reasonOf = (code: number, where: Where): Reason => {
  switch (code) {
    case 17: // INVALID_TOPIC_EXCEPTION
      return { ...where, _tag: "InvalidTopic", topic: where.topic ?? "" }
    case 29: // TOPIC_AUTHORIZATION_FAILED
      return { ...where, _tag: "Unauthorized", resource: `topic ${where.topic ?? ""}`, code }
    case 30: // GROUP_AUTHORIZATION_FAILED
      return { ...where, _tag: "Unauthorized", resource: `group ${where.group ?? ""}`, code }
    case 31: // CLUSTER_AUTHORIZATION_FAILED
      return { ...where, _tag: "Unauthorized", resource: "the cluster", code }
    case 53: // TRANSACTIONAL_ID_AUTHORIZATION_FAILED
      return { ...where, _tag: "Unauthorized", resource: "the transactional id", code }
    case 82: // FENCED_INSTANCE_ID
      return { ...where, _tag: "Fenced", what: "instance", by: ErrorCode.get(code).message }
    case 90: // PRODUCER_FENCED
      return { ...where, _tag: "Fenced", what: "producer", by: ErrorCode.get(code).message }
  }
  const { name, message, retriable } = ErrorCode.get(code)
  return { ...where, _tag: "Server", code, name, message, retriable }
}
