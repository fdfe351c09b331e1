/** Pure. The error of a code with which a group's coordinator turns a member away for good, and what can be done about it. */
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"

const code = ErrorCode.codes

/** What is refused for good with a word of the group's own. */
const groupRefuses: ReadonlySet<number> = new Set([
  code.INCONSISTENT_GROUP_PROTOCOL,
  code.INVALID_GROUP_ID,
  code.INVALID_SESSION_TIMEOUT,
  code.GROUP_MAX_SIZE_REACHED,
  code.GROUP_ID_NOT_FOUND,
  code.UNSUPPORTED_ASSIGNOR,
  code.UNRELEASED_INSTANCE_ID,
  code.INVALID_REGULAR_EXPRESSION,
  code.INVALID_REQUEST
])

const classic: ReadonlyMap<number, string> = new Map([
  [
    code.INCONSISTENT_GROUP_PROTOCOL,
    "All members must offer one assignor that is the same; here they are set by Membership.classic({ assignors }). A group that has members of the consumer protocol takes those of the classic one only where group.consumer.migration.policy of the brokers allows it."
  ]
])

const consumer: ReadonlyMap<number, string> = new Map([
  [
    code.GROUP_ID_NOT_FOUND,
    "It has members of another protocol, and the brokers do not convert it while they are there: stop them, join by Membership.classic(), or allow it by group.consumer.migration.policy."
  ],
  [
    code.UNSUPPORTED_ASSIGNOR,
    "Membership.consumer({ assignor }) names it; group.consumer.assignors of the brokers are those that there are."
  ],
  [code.GROUP_MAX_SIZE_REACHED, "How many members it may have is group.consumer.max.size of the brokers."],
  [code.UNRELEASED_INSTANCE_ID, "Each member needs an instanceId of its own, and another that lives has this one."]
])

/** `said`: the coordinator's own words, where it has any. */
export const of = (group: string, api: ErrorCode.Api, errorCode: number, said?: string): KafkaError.KafkaError => {
  const where = { api, group }
  if (!groupRefuses.has(errorCode)) return KafkaError.fromCode(errorCode, where)
  const { message, name } = ErrorCode.get(errorCode)
  const remedy = (api === "ConsumerGroupHeartbeat" ? consumer : classic).get(errorCode)
  const text = [said ?? message, ...(remedy === undefined ? [] : [remedy])].join(" ")
  return KafkaError.make({ ...where, _tag: "GroupRefused", code: errorCode, name, message: text })
}
