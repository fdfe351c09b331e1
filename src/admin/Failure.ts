/** Pure. What a broker's refusal of an item is told as, and whether asking again may help. */
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"

const code = ErrorCode.codes

/** Codes about a group, of which its name has to be told. */
const ofGroup: ReadonlySet<number> = new Set([
  code.NON_EMPTY_GROUP,
  code.GROUP_ID_NOT_FOUND,
  code.GROUP_SUBSCRIBED_TO_TOPIC,
  code.INVALID_GROUP_ID,
  code.GROUP_DELETION_FAILED,
  code.UNKNOWN_MEMBER_ID
])

/** The error of a code, with what the broker said of it, where it said anything. */
export const of = (
  errorCode: number,
  said: string | null | undefined,
  where: KafkaError.Where
): KafkaError.KafkaError => {
  if (errorCode === code.UNKNOWN_TOPIC_OR_PARTITION && where.topic !== undefined && where.partition === undefined)
    return KafkaError.make({ ...where, _tag: "UnknownTopic", topic: where.topic })
  const { message, name } = ErrorCode.get(errorCode)
  const isSaid = said !== null && said !== undefined && said !== ""
  const words = isSaid ? said : message
  if (ofGroup.has(errorCode) && where.group !== undefined)
    return KafkaError.make({
      ...where,
      _tag: "GroupRefused",
      group: where.group,
      code: errorCode,
      name,
      message: words
    })
  const error = KafkaError.fromCode(errorCode, where)
  const { reason } = error
  return reason._tag === "Server" || (reason._tag === "InvalidTopic" && isSaid)
    ? KafkaError.make({ ...reason, message: words })
    : error
}

/** Codes after which the same request may succeed in a moment, wherever it then belongs. */
const transient: ReadonlySet<number> = new Set([
  code.LEADER_NOT_AVAILABLE,
  code.REQUEST_TIMED_OUT,
  code.BROKER_NOT_AVAILABLE,
  code.NETWORK_EXCEPTION,
  code.COORDINATOR_LOAD_IN_PROGRESS,
  code.COORDINATOR_NOT_AVAILABLE,
  code.NOT_COORDINATOR,
  code.NOT_CONTROLLER,
  // Of the quorum as well: brokers that have not heard of its new leader ask the one before (3.9.2).
  code.NOT_LEADER_OR_FOLLOWER,
  code.CONCURRENT_TRANSACTIONS,
  code.UNSTABLE_OFFSET_COMMIT,
  code.THROTTLING_QUOTA_EXCEEDED
])

/** … and where the leader of a partition was asked, that metadata has just named. */
const ofLeader: ReadonlySet<number> = new Set([
  code.UNKNOWN_TOPIC_OR_PARTITION,
  code.REPLICA_NOT_AVAILABLE,
  code.KAFKA_STORAGE_ERROR,
  code.FENCED_LEADER_EPOCH,
  code.UNKNOWN_LEADER_EPOCH,
  code.OFFSET_NOT_AVAILABLE,
  code.UNKNOWN_TOPIC_ID
])

/** Whether asking again may help. */
export const isTransient = ({ reason }: KafkaError.KafkaError, leader = false): boolean =>
  reason._tag === "Unreachable" ||
  reason._tag === "TimedOut" ||
  (reason._tag === "Server" && (transient.has(reason.code) || (leader && ofLeader.has(reason.code))))

/** Whether this client has refused to send it: it cannot be written, or not in a version that the broker has. */
export const isOurs = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "Misuse" || reason._tag === "Unsupported" || reason._tag === "Misconfigured"

/**
 * Whether a controller has refused a request as a whole, for what it comes to: more than 10 000 new partitions, or records
 * of its log (KRaft, in these words).
 */
export const isTooLarge = (answer: Result.Result<unknown, KafkaError.KafkaError>): boolean => {
  if (Result.isSuccess(answer)) return false
  const { reason } = answer.failure
  return reason._tag === "Server" && reason.code === code.POLICY_VIOLATION && /excessively large/i.test(reason.message)
}

/** Codes of a broker that may have done it: 4.4.0 answers so to what its coordinator had begun to write as it was lost. */
const unsaid: ReadonlySet<number> = new Set([
  code.REQUEST_TIMED_OUT,
  code.COORDINATOR_NOT_AVAILABLE,
  code.NOT_COORDINATOR
])

/** What the quorum's leader had begun to write as it was deposed is answered NOT_LEADER_OR_FOLLOWER, and may stand. */
const ofQuorum: ReadonlySet<string | undefined> = new Set(["AddRaftVoter", "RemoveRaftVoter"])

/** Whether the broker may have done what was asked, though it did not say so. */
export const isDoubtful = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "Unreachable" ||
  reason._tag === "TimedOut" ||
  (reason._tag === "Server" &&
    (unsaid.has(reason.code) || (reason.code === code.NOT_LEADER_OR_FOLLOWER && ofQuorum.has(reason.api))))

/** Whether an API changes anything; else no try of it may have done what was asked. */
export const changes = (api: string): boolean => !/^(Describe|List|Metadata$|OffsetFetch$|ApiVersions$)/.test(api)

/** A refusal that an earlier try of the same call may be the cause of, whose answer was lost. */
export const doubted = (error: KafkaError.KafkaError): KafkaError.KafkaError => {
  const { reason } = error
  if (reason._tag === "Server" || reason._tag === "GroupRefused")
    return KafkaError.make({ ...reason, perhapsDone: true })
  return reason._tag === "UnknownTopic"
    ? KafkaError.make({
        ...reason,
        _tag: "Server",
        code: code.UNKNOWN_TOPIC_OR_PARTITION,
        name: "UNKNOWN_TOPIC_OR_PARTITION",
        message: `there is no topic "${reason.topic}"`,
        retriable: false,
        perhapsDone: true
      })
    : error
}

/** Whether a refusal says so. */
export const isDoubted = ({ reason }: KafkaError.KafkaError): boolean =>
  (reason._tag === "Server" || reason._tag === "GroupRefused") && reason.perhapsDone === true

/**
 * Why what is not settled when the time is over has failed: with what failed last, unless that says that it was not done,
 * and a try that is under way, or one before it, may have done it.
 */
export const unsettled = (
  api: string,
  millis: number,
  state: { readonly last: KafkaError.KafkaError | undefined; readonly sent: boolean; readonly doubt: boolean }
): KafkaError.KafkaError => {
  const { doubt, last, sent } = state
  if (last !== undefined && (!sent || isDoubtful(last))) return doubt && !isDoubtful(last) ? doubted(last) : last
  const waitingFor = `the answer to ${api}`
  return KafkaError.make({ _tag: "TimedOut", budget: "timeout", millis, waitingFor, api }, last)
}

/** An answer that says nothing of what was asked. */
export const leftOut = (api: string, what: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Corrupt", what: `${api}Response`, problem: `it says nothing of ${what}`, api })

/** Values that cannot be sent. */
export const mistakes = (found: ReadonlyArray<string>): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Misconfigured", mistakes: found })
