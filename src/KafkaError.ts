/**
 * The one error of the library, with reasons named for what the user can do about them. Pure.
 *
 * It is a Schema, and so are its reasons: it crosses RPC, a cluster of one's own, or a log as JSON, and comes out as it
 * was. A long file, since it is a table: every reason and its text.
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
 *
 * @since 0.1.0
 */
import * as Schema from "effect/Schema"
import * as ErrorCode from "./ErrorCode.ts"
import { listed } from "./Listed.ts"

/**
 * What is known of where it happened.
 *
 * @since 0.1.0
 * @category models
 */
export interface Where {
  readonly broker?: string | undefined
  readonly api?: string | undefined
  readonly version?: number | undefined
  readonly topic?: string | undefined
  readonly partition?: number | undefined
  readonly group?: string | undefined
  readonly transactionalId?: string | undefined
}

const whereFields = {
  broker: Schema.optional(Schema.String),
  api: Schema.optional(Schema.String),
  version: Schema.optional(Schema.Number),
  topic: Schema.optional(Schema.String),
  partition: Schema.optional(Schema.Number),
  group: Schema.optional(Schema.String),
  transactionalId: Schema.optional(Schema.String)
}

/**
 * No broker, or no server of ZooKeeper, could be reached, or the connection was lost: every address that was tried, and its
 * cause.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unreachable extends Schema.TaggedClass<Unreachable>("samsa/KafkaError/Unreachable")("Unreachable", {
  ...whereFields,
  attempts: Schema.Array(Schema.Struct({ address: Schema.String, cause: Schema.String })),
  /** What was looked for; left out for brokers. */
  what: Schema.optional(Schema.Literal("ZooKeeper"))
}) {}

/**
 * What was used is closed: the Scope of the client, producer, consumer or connection has ended. Trying again does not help.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Closed extends Schema.TaggedClass<Closed>("samsa/KafkaError/Closed")("Closed", {
  ...whereFields,
  what: Schema.Literals(["client", "producer", "consumer", "connection"])
}) {}

/**
 * A budget was spent.
 *
 * @since 0.1.0
 * @category reasons
 */
export class TimedOut extends Schema.TaggedClass<TimedOut>("samsa/KafkaError/TimedOut")("TimedOut", {
  ...whereFields,
  /** The setting that bounded the wait, such as `requestTimeout`. */
  budget: Schema.String,
  /** How long it was waited for, in milliseconds. */
  millis: Schema.Number,
  waitingFor: Schema.String
}) {}

/**
 * What answered does not speak Kafka as configured: TLS against plaintext, HTTP, garbage.
 *
 * @since 0.1.0
 * @category reasons
 */
export class WrongProtocol extends Schema.TaggedClass<WrongProtocol>("samsa/KafkaError/WrongProtocol")(
  "WrongProtocol",
  {
    ...whereFields,
    seen: Schema.String,
    hint: Schema.String
  }
) {}

/**
 * The broker refused who we are.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unauthenticated extends Schema.TaggedClass<Unauthenticated>("samsa/KafkaError/Unauthenticated")(
  "Unauthenticated",
  {
    ...whereFields,
    mechanism: Schema.String,
    message: Schema.String
  }
) {}

/**
 * The broker refused what we asked.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unauthorized extends Schema.TaggedClass<Unauthorized>("samsa/KafkaError/Unauthorized")("Unauthorized", {
  ...whereFields,
  resource: Schema.String,
  code: Schema.Number
}) {}

/**
 * Settings that contradict each other or are out of range: all mistakes at once.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Misconfigured extends Schema.TaggedClass<Misconfigured>("samsa/KafkaError/Misconfigured")(
  "Misconfigured",
  {
    ...whereFields,
    mistakes: Schema.Array(Schema.String)
  }
) {}

/**
 * An API, a version or a feature that one side lacks.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Unsupported extends Schema.TaggedClass<Unsupported>("samsa/KafkaError/Unsupported")("Unsupported", {
  ...whereFields,
  needed: Schema.String,
  ours: Schema.String,
  theirs: Schema.String
}) {}

/**
 * There is no such topic.
 *
 * @since 0.1.0
 * @category reasons
 */
export class UnknownTopic extends Schema.TaggedClass<UnknownTopic>("samsa/KafkaError/UnknownTopic")("UnknownTopic", {
  ...whereFields,
  topic: Schema.String
}) {}

/**
 * A topic may not have this name.
 *
 * @since 0.1.0
 * @category reasons
 */
export class InvalidTopic extends Schema.TaggedClass<InvalidTopic>("samsa/KafkaError/InvalidTopic")("InvalidTopic", {
  ...whereFields,
  topic: Schema.String,
  /** What the broker says of it, where it says anything. */
  message: Schema.optional(Schema.String)
}) {}

/**
 * The group coordinator refused the member or its settings.
 *
 * @since 0.1.0
 * @category reasons
 */
export class GroupRefused extends Schema.TaggedClass<GroupRefused>("samsa/KafkaError/GroupRefused")("GroupRefused", {
  ...whereFields,
  group: Schema.String,
  code: Schema.Number,
  name: Schema.String,
  message: Schema.String,
  /** An earlier try of the same call, whose answer was lost, may have done what this one was refused. */
  perhapsDone: Schema.optional(Schema.Boolean),
  /** What the group is (`share`, `streams`, …), where it is of a kind that this cannot be done with. */
  groupType: Schema.optional(Schema.String)
}) {}

/**
 * The producer's buffer is full, with `whenFull: "fail"`.
 *
 * @since 0.1.0
 * @category reasons
 */
export class BufferFull extends Schema.TaggedClass<BufferFull>("samsa/KafkaError/BufferFull")("BufferFull", {
  ...whereFields,
  records: Schema.Number,
  bytes: Schema.Number
}) {}

/**
 * A record was not acknowledged. `persistence` says whether the broker may hold it all the same.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotDelivered extends Schema.TaggedClass<NotDelivered>("samsa/KafkaError/NotDelivered")("NotDelivered", {
  ...whereFields,
  topic: Schema.String,
  partition: Schema.Number,
  persistence: Schema.Literals(["not", "possibly"]),
  /** The last failure of an attempt. */
  cause: Schema.String,
  /** The broker's error code, where it gave one. */
  code: Schema.optional(Schema.Number)
}) {}

/**
 * A record is over the producer's `maxRequestBytes`. Nothing of it was sent.
 *
 * @since 0.1.0
 * @category reasons
 */
export class RecordTooLarge extends Schema.TaggedClass<RecordTooLarge>("samsa/KafkaError/RecordTooLarge")(
  "RecordTooLarge",
  {
    ...whereFields,
    topic: Schema.String,
    bytes: Schema.Number,
    limit: Schema.Number
  }
) {}

/**
 * A record's key, value or headers do not fit the topic's Schema, or are text with half of a surrogate pair, which has
 * no UTF-8. Nothing of it was sent.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Encode extends Schema.TaggedClass<Encode>("samsa/KafkaError/Encode")("Encode", {
  ...whereFields,
  topic: Schema.String,
  part: Schema.Literals(["key", "value", "headers"]),
  issue: Schema.String
}) {}

/**
 * A record that was read does not fit the topic's Schema.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Decode extends Schema.TaggedClass<Decode>("samsa/KafkaError/Decode")("Decode", {
  ...whereFields,
  topic: Schema.String,
  partition: Schema.Number,
  offset: Schema.Number,
  part: Schema.Literals(["key", "value", "headers"]),
  key: Schema.NullOr(Schema.Uint8Array),
  value: Schema.NullOr(Schema.Uint8Array),
  issue: Schema.String
}) {}

/**
 * Bytes that do not follow the protocol: CRC, truncation, counts beyond the frame, a codec that cannot read them.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Corrupt extends Schema.TaggedClass<Corrupt>("samsa/KafkaError/Corrupt")("Corrupt", {
  ...whereFields,
  /** The message or batch, such as `MetadataResponse v12`. */
  what: Schema.String,
  /** The field, such as `topics[3].name`, where known. */
  path: Schema.optional(Schema.String),
  /** The byte position, where known. */
  position: Schema.optional(Schema.Number),
  problem: Schema.String,
  offset: Schema.optional(Schema.Number),
  /** Where it is not damage but size: the bound that compressed bytes went over. */
  limit: Schema.optional(Schema.Number)
}) {}

/**
 * Records that should have been there are gone: truncation, retention past the position, or a topic that was made again.
 *
 * @since 0.1.0
 * @category reasons
 */
export class DataLoss extends Schema.TaggedClass<DataLoss>("samsa/KafkaError/DataLoss")("DataLoss", {
  ...whereFields,
  topic: Schema.String,
  partition: Schema.Number,
  /**
   * `outOfRange`: the position is outside of the log. `truncated`: the log was cut below the position and written anew
   * (KIP-320). `recreated`: the topic was deleted and made again.
   */
  kind: Schema.optional(Schema.Literals(["outOfRange", "truncated", "recreated"])),
  /** The position that no longer exists. */
  from: Schema.Number,
  /** The nearest that does, where known. `truncated`: where the logs part, so nothing from there on was read. */
  to: Schema.optional(Schema.Number),
  /** `recreated`: the ids of the topic whose position it was, and of the one that is there. */
  topicIds: Schema.optional(Schema.Struct({ was: Schema.String, is: Schema.String }))
}) {}

/**
 * A newer producer, member or instance has taken our place.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Fenced extends Schema.TaggedClass<Fenced>("samsa/KafkaError/Fenced")("Fenced", {
  ...whereFields,
  what: Schema.Literals(["producer", "member", "instance"]),
  by: Schema.String
}) {}

/**
 * The commit of a transaction was sent, and no answer has come: it may be committed, or aborted. It is one of the two, as
 * a whole. Whoever runs it again may do its work twice, unless the group's offsets are part of it: these tell which.
 *
 * @since 0.1.0
 * @category reasons
 */
export class InDoubt extends Schema.TaggedClass<InDoubt>("samsa/KafkaError/InDoubt")("InDoubt", {
  ...whereFields,
  transactionalId: Schema.String,
  /** Why there was no answer. */
  cause: Schema.String
}) {}

/**
 * A commit for a partition that is no longer ours.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NotOwned extends Schema.TaggedClass<NotOwned>("samsa/KafkaError/NotOwned")("NotOwned", {
  ...whereFields,
  topic: Schema.String,
  partition: Schema.Number
}) {}

/**
 * The group has no committed offset for a partition, with `from: "committed"`.
 *
 * @since 0.1.0
 * @category reasons
 */
export class NoCommit extends Schema.TaggedClass<NoCommit>("samsa/KafkaError/NoCommit")("NoCommit", {
  ...whereFields,
  topic: Schema.String,
  partition: Schema.Number,
  group: Schema.String
}) {}

/**
 * ZooKeeper refused a request: its code (`NODE_EXISTS`, `NO_NODE`, `SESSION_EXPIRED`, …), and the node that it is about.
 * `CONNECTION_LOSS`: its answer was lost, and nobody can tell whether it was done.
 *
 * @since 0.1.0
 * @category reasons
 */
export class ZooKeeperRefused extends Schema.TaggedClass<ZooKeeperRefused>("samsa/KafkaError/ZooKeeperRefused")(
  "ZooKeeperRefused",
  {
    ...whereFields,
    path: Schema.String,
    code: Schema.Number,
    name: Schema.String
  }
) {}

/**
 * The library was used against its contract, such as a consumer read twice.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Misuse extends Schema.TaggedClass<Misuse>("samsa/KafkaError/Misuse")("Misuse", {
  ...whereFields,
  message: Schema.String
}) {}

/**
 * Any other error code of a broker.
 *
 * @since 0.1.0
 * @category reasons
 */
export class Server extends Schema.TaggedClass<Server>("samsa/KafkaError/Server")("Server", {
  ...whereFields,
  code: Schema.Number,
  name: Schema.String,
  message: Schema.String,
  /** Whether Java's client would ask again. */
  retriable: Schema.Boolean,
  /** An earlier try of the same call, whose answer was lost, may have done what this one was refused. */
  perhapsDone: Schema.optional(Schema.Boolean)
}) {}

const reasons = [
  Unreachable,
  Closed,
  TimedOut,
  WrongProtocol,
  Unauthenticated,
  Unauthorized,
  Misconfigured,
  Unsupported,
  UnknownTopic,
  InvalidTopic,
  GroupRefused,
  BufferFull,
  NotDelivered,
  RecordTooLarge,
  Encode,
  Decode,
  Corrupt,
  DataLoss,
  Fenced,
  InDoubt,
  NotOwned,
  NoCommit,
  ZooKeeperRefused,
  Misuse,
  Server
] as const

const byTag = Object.fromEntries(reasons.map((reason) => [reason.fields._tag.schema.literal, reason])) as {
  readonly [tag: string]: new (fields: Reason) => Reason
}

/**
 * Why it failed.
 *
 * @since 0.1.0
 * @category models
 */
export type Reason = InstanceType<(typeof reasons)[number]>

/**
 * The Schema of a reason.
 *
 * @since 0.1.0
 * @category schemas
 */
export const Reason: Schema.Union<typeof reasons> = Schema.Union(reasons)

/** What a Schema says, a line for each issue and one for its path, as a message of one line. */
const inOneLine = (issue: string): string => issue.replace(/\n\s+/g, " ").replaceAll("\n", "; ")

/** Of hundreds of brokers that cannot be reached few are shown: the reason has all of them. */
const shownAttempts = 10

/** What the system's words for it ask for. */
const hintOf = ({ attempts, what }: Unreachable): string => {
  const causes = attempts.map(({ cause }) => cause).join()
  const where = what === "ZooKeeper" ? "connect" : "bootstrap, or advertised.listeners of the cluster"
  const address = `the address right (that in ${where})?`
  if (/ENOTFOUND|EAI_AGAIN/.test(causes)) return `; no such host is known here: is ${address}`
  if (/ECONNREFUSED/.test(causes)) return `; nothing listens there: is ${what ?? "the broker"} up, and ${address}`
  return ""
}

/** Legal names are refused, too, and not all brokers say why. */
const illegal = ({ message, topic }: InvalidTopic): string => {
  if (message !== undefined) return `the name "${topic}" is refused: ${message}`
  return /^(?!\.{1,2}$)[a-zA-Z0-9._-]{1,249}$/.test(topic)
    ? `the name "${topic}" is refused: another topic has it but for "." and "_", or it is one of Kafka's own`
    : `"${topic}" is not a legal topic name: 1 to 249 letters, digits, ".", "_" and "-"`
}

const doubtOf = ({ perhapsDone }: GroupRefused | Server): string =>
  perhapsDone === true ? "; an earlier try of this call, whose answer was lost, may have done it" : ""

const explain = (reason: Reason): string => {
  switch (reason._tag) {
    case "Unreachable":
      return `${reason.what ?? "no broker"} could ${reason.what === undefined ? "" : "not "}be reached: ${listed(
        reason.attempts.map((a) => `${a.address} (${a.cause})`),
        shownAttempts
      )}${hintOf(reason)}`
    case "Closed":
      return `this ${reason.what} is closed: its Scope has ended${reason.what === "consumer" ? ", or its run was interrupted or has failed" : ""}; use it within the Scope that made it, or make another`
    case "TimedOut":
      return `${reason.budget}: ${reason.millis} ms were spent waiting for ${reason.waitingFor}`
    case "WrongProtocol":
      return `${reason.seen}; ${reason.hint}`
    case "Unauthenticated":
      return `${reason.mechanism}: ${reason.message}`
    case "Unauthorized":
      return `not allowed: ${reason.resource} (${ErrorCode.get(reason.code).name}); an ACL of the cluster has to allow it`
    case "Misconfigured":
      return reason.mistakes.join("; ")
    case "Unsupported":
      return `${reason.needed} is needed; this client offers ${reason.ours}, the broker ${reason.theirs}`
    case "UnknownTopic":
      return reason.partition === undefined
        ? `there is no topic "${reason.topic}"; create it (Admin.createTopics), or set allowAutoTopicCreation where brokers create what is asked for`
        : `topic "${reason.topic}" has no partition ${reason.partition}, or is not there any more`
    case "InvalidTopic":
      return illegal(reason)
    case "GroupRefused":
      return `group "${reason.group}": ${reason.name}: ${reason.message}${doubtOf(reason)}`
    case "BufferFull":
      return `the producer's buffer is full: ${reason.records} records, ${reason.bytes} bytes; send more slowly, raise bufferBytes and bufferRecords, or have whenFull: "block" wait`
    case "NotDelivered":
      return `not delivered (${reason.persistence === "not" ? "not persisted" : "possibly persisted"}): ${reason.cause}`
    case "RecordTooLarge":
      return `a record of ${reason.bytes} bytes is over the limit of ${reason.limit}: a producer's maxMessageBytes (raise maxRequestBytes and the topic's max.message.bytes with it), a consumer's fetch.maxBytes`
    case "Encode":
      return `the ${reason.part} does not fit the topic's Schema: ${inOneLine(reason.issue)}`
    case "Decode":
      return `the ${reason.part} at offset ${reason.offset} does not fit the topic's Schema: ${inOneLine(reason.issue)}; a Schema that fits, onUndecodable, or deadLetter of run goes on past it`
    case "Corrupt":
      return `${reason.what}${reason.path === undefined ? "" : `, ${reason.path}`}${reason.position === undefined ? "" : ` at byte ${reason.position}`}: ${reason.problem}`
    case "DataLoss":
      return explainLoss(reason)
    case "Fenced":
      return `this ${reason.what} was fenced: ${reason.by}`
    case "InDoubt":
      return `the transaction may be committed or aborted, since its commit was not answered: ${reason.cause}`
    case "NotOwned":
      return `the partition is not this consumer's, or not any more`
    case "NoCommit":
      return `group "${reason.group}" has no committed offset here, and nothing else to start from was chosen`
    case "ZooKeeperRefused":
      return reason.name === "CONNECTION_LOSS"
        ? `ZooKeeper's answer about ${reason.path} was lost: it was perhaps done`
        : `ZooKeeper answers ${reason.name} about ${reason.path}`
    case "Misuse":
      return reason.message
    case "Server":
      return `${reason.name} (${reason.code}): ${reason.message}${doubtOf(reason)}`
  }
}

const explainLoss = ({ from, kind, to, topicIds }: DataLoss): string => {
  if (kind === "recreated")
    return `offset ${from} is of a topic that was deleted (${topicIds?.was}); another of its name is there (${topicIds?.is})`
  if (kind === "truncated") return `the log was truncated below offset ${from}${to === undefined ? "" : `, to ${to}`}`
  return `offset ${from} no longer exists${to === undefined ? "" : `, the nearest is ${to}`}; onOutOfRange chooses where to go on`
}

/** Much of a message is a broker's words: what would move a terminal's cursor, or forge a line of a log, is shown as escapes. */
const printable = (text: string): string =>
  text.replace(
    // eslint-disable-next-line no-control-regex
    /[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`
  )

const place = (where: Where): string => {
  const parts: Array<string> = []
  if (where.api !== undefined) parts.push(where.version === undefined ? where.api : `${where.api} v${where.version}`)
  if (where.topic !== undefined)
    parts.push(where.partition === undefined ? where.topic : `${where.topic}-${where.partition}`)
  if (where.group !== undefined) parts.push(`group ${where.group}`)
  if (where.transactionalId !== undefined) parts.push(`transactional id ${where.transactionalId}`)
  if (where.broker !== undefined) parts.push(`broker ${where.broker}`)
  return parts.length === 0 ? "" : ` [${parts.join(", ")}]`
}

/**
 * The one error of the library.
 *
 * @since 0.1.0
 * @category errors
 */
export class KafkaError extends Schema.TaggedError<KafkaError>("samsa/KafkaError")("KafkaError", {
  reason: Reason,
  /** What led to it, where it was something else's error. */
  cause: Schema.optional(Schema.Defect())
}) {
  override get name(): string {
    return "KafkaError"
  }
  override get message(): string {
    return printable(`${this.reason._tag}: ${explain(this.reason)}${place(this.reason)}`)
  }
  /** Whether the same request may succeed later, without any change. */
  get isRetryable(): boolean {
    const reason = this.reason
    return reason._tag === "Unreachable" || reason._tag === "TimedOut" || (reason._tag === "Server" && reason.retriable)
  }
  /** For logs: what its Schema reads again, with the message. */
  override toJSON(): unknown {
    const { cause, message } = this
    return {
      _tag: "KafkaError",
      message,
      reason: inJson(this.reason),
      ...(cause === undefined ? {} : { cause: plain(cause) })
    }
  }
  /** How `console.log` shows it: message, stack, reason and cause. */
  [Symbol.for("nodejs.util.inspect.custom")](
    _depth: number,
    options: object,
    inspect: (value: unknown, options: object) => string
  ): string {
    const { cause, reason } = this
    const more = { reason: { ...reason }, ...(cause === undefined ? {} : { cause }) }
    return `${this.stack ?? String(this)} ${inspect(more, options)}`
  }
}

let encode: ((reason: Reason) => unknown) | undefined

/** A reason, as JSON can carry it: bytes, and what is no finite number, as its Schema writes them. */
const inJson = (reason: Reason): unknown => {
  encode ??= Schema.encodeUnknownSync(Schema.toCodecJson(Reason))
  try {
    return encode(reason)
  } catch {
    return reason
  }
}

/** A cause, as JSON can carry it. */
const plain = (cause: unknown): unknown => {
  if (cause instanceof KafkaError) return cause.toJSON()
  try {
    return cause instanceof Error ? { name: String(cause.name), message: String(cause.message) } : String(cause)
  } catch {
    // No prototype, or a getter that throws: whoever logs an error is not to die of it.
    return "a cause without a text"
  }
}

/**
 * Whether a value is a `KafkaError`.
 *
 * @since 0.1.0
 * @category guards
 */
export const isKafkaError = (u: unknown): u is KafkaError => u instanceof KafkaError

/**
 * Makes an error of a reason, whose fields may be given plainly.
 *
 * ```ts
 * import { KafkaError } from "samsa"
 *
 * KafkaError.make({ _tag: "UnknownTopic", topic: "orders" })
 * ```
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (reason: Reason, cause?: unknown): KafkaError => {
  const of = byTag[reason._tag]!
  const made = reason instanceof of ? reason : new of(reason)
  return new KafkaError(cause === undefined ? { reason: made } : { reason: made, cause })
}

/**
 * The error of a broker's code: `Unauthorized`, `InvalidTopic`, `Fenced` where one is named for it, else `Server`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCode = (code: number, where: Where = {}): KafkaError => make(reasonOf(code, where))

const { codes } = ErrorCode

const reasonOf = (code: number, where: Where): Reason => {
  const { name, message, retriable } = ErrorCode.get(code)
  switch (code) {
    case codes.INVALID_TOPIC_EXCEPTION:
      return { ...where, _tag: "InvalidTopic", topic: where.topic ?? "" }
    case codes.TOPIC_AUTHORIZATION_FAILED:
      return { ...where, _tag: "Unauthorized", resource: `topic ${where.topic ?? ""}`, code }
    case codes.GROUP_AUTHORIZATION_FAILED:
      return { ...where, _tag: "Unauthorized", resource: `group ${where.group ?? ""}`, code }
    case codes.CLUSTER_AUTHORIZATION_FAILED:
      return { ...where, _tag: "Unauthorized", resource: "the cluster", code }
    case codes.TRANSACTIONAL_ID_AUTHORIZATION_FAILED:
      return { ...where, _tag: "Unauthorized", resource: "the transactional id", code }
    case codes.FENCED_INSTANCE_ID:
      return { ...where, _tag: "Fenced", what: "instance", by: message }
    case codes.PRODUCER_FENCED:
      return { ...where, _tag: "Fenced", what: "producer", by: message }
    default:
      return { ...where, _tag: "Server", code, name, message, retriable }
  }
}
