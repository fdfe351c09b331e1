/** Groups of every kind: listed, described, deleted. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import { listed } from "../Listed.ts"
import * as DeleteGroups from "../protocol/messages/DeleteGroups.ts"
import * as DescribeGroups from "../protocol/messages/DescribeGroups.ts"
import * as ListGroups from "../protocol/messages/ListGroups.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import * as GroupKinds from "./GroupKinds.ts"
import type { GroupDescription, GroupState, GroupType, MemberDescription } from "./GroupKinds.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A group as the list has it. */
export interface GroupListing {
  readonly group: string
  readonly type: GroupType
  readonly state: GroupState
  /** `consumer` for consumers, `connect` for Kafka Connect; empty where only offsets were committed. */
  readonly protocolType: string
  /** Broker id. */
  readonly coordinator: number
}

export interface ListGroupsOptions extends Ask.Bounds {
  /** Only groups in one of these. Default: all. */
  readonly states?: ReadonlyArray<GroupState> | undefined
  /** Only groups of one of these. Default: all. */
  readonly types?: ReadonlyArray<GroupType> | undefined
}

export interface DescribeGroupsOptions extends Ask.Bounds {
  /** Ask what this client may do with them. Default false. */
  readonly operations?: boolean | undefined
}

const typeOf = (text: string): GroupType => {
  const type = text.toLowerCase()
  return type === "consumer" || type === "share" || type === "streams" ? type : "classic"
}

/** The groups of one broker; where it does not tell their states, they are asked for. */
const ofBroker = (broker: Broker, { states, types }: ListGroupsOptions) =>
  Effect.gen(function* () {
    let spoken = 0
    const response = yield* broker.send(ListGroups, (version) => {
      spoken = version
      return {
        ...(version >= 4 && states !== undefined ? { statesFilter: states } : {}),
        ...(version >= 5 && types !== undefined ? { typesFilter: types } : {})
      }
    })
    if (response.errorCode !== code.NONE) return yield* Failure.of(response.errorCode, null, { api: "ListGroups" })
    const told = new Map<string, string>()
    if (spoken < 4 && response.groups.length > 0) {
      const described = yield* broker.send(DescribeGroups, () => ({
        groups: response.groups.map(({ groupId }) => groupId)
      }))
      for (const { groupId, groupState } of described.groups) told.set(groupId, groupState)
    }
    return response.groups
      .map(({ groupId, groupState, groupType, protocolType }): GroupListing => ({
        group: groupId,
        type: typeOf(groupType),
        state: spoken < 4 ? (told.get(groupId) ?? "Dead") : groupState,
        protocolType,
        coordinator: broker.id
      }))
      .filter(
        ({ state, type }) =>
          (states === undefined || states.length === 0 || states.includes(state)) &&
          (types === undefined || types.length === 0 || types.includes(type))
      )
  })

export const list = (
  parts: Ask.Parts,
  options: ListGroupsOptions = {}
): Effect.Effect<ReadonlyArray<GroupListing>, KafkaError.KafkaError> => {
  const [noOptions] = Check.object("the options", options)
  const wrong =
    noOptions === undefined
      ? [
          ...Check.each("states", options.states ?? [], (state) => Check.text("a state", state)),
          ...Check.each("types", options.types ?? [], (type) => Check.text("a type", type))
        ]
      : [noOptions]
  if (wrong.length > 0) return Effect.fail(Failure.mistakes(wrong))
  return Effect.map(
    Ask.everyBroker(parts, "ListGroups", (broker) => ofBroker(broker, options), options),
    (all) => {
      // A coordinator that is moving may be told by both.
      const byName = new Map(all.flat().map((one) => [one.group, one]))
      return [...byName.values()].sort((a, b) => (a.group < b.group ? -1 : 1))
    }
  )
}

export const describeAll = (
  parts: Ask.Parts,
  groups: ReadonlyArray<string>,
  options: DescribeGroupsOptions = {}
): Ask.Answers<GroupDescription> =>
  Ask.items(
    parts,
    {
      api: "DescribeGroups",
      route: (group) => Plan.coordinator("group", group),
      key: (group) => group,
      check: (group) => Check.text("group", group),
      most: 200,
      ask: (broker, batch) => GroupKinds.describe(parts, broker, batch, options.operations === true)
    },
    groups,
    options
  )

/** The same, about groups' offsets: a broker that describes none (0.8.2) has no members, only offsets. */
export const describeMembers = (
  parts: Ask.Parts,
  groups: ReadonlyArray<string>,
  bounds: Ask.Bounds
): Ask.Answers<GroupDescription> =>
  Effect.map(describeAll(parts, groups, bounds), (answers) =>
    answers.map((answer, i) =>
      Result.isFailure(answer) && answer.failure.reason._tag === "Unsupported"
        ? Result.fail(Failure.of(code.GROUP_ID_NOT_FOUND, null, { api: "DescribeGroups", group: groups[i]! }))
        : answer
    )
  )

/** Members in words: who they are, and where. */
const inWords = (members: ReadonlyArray<MemberDescription>): string =>
  listed(
    members.map(
      ({ clientId, host, instanceId, memberId }) => `${instanceId ?? memberId} (client "${clientId}" at ${host})`
    ),
    5
  )

/** Why nothing is done with a group that has members: who they are. */
export const hasMembers = (
  group: string,
  { members, state }: Pick<GroupDescription, "members" | "state">,
  api?: string
): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "GroupRefused",
    ...(api === undefined ? {} : { api }),
    group,
    code: code.NON_EMPTY_GROUP,
    name: "NON_EMPTY_GROUP",
    message:
      members.length === 0
        ? `it is not empty (${state}): stop its members first`
        : `it has members, which have to be stopped first: ${inWords(members)}`
  })

/** Codes by which a broker says that a group has members: they may have come after it was done. */
export const activeCodes: ReadonlyArray<number> = [
  code.NON_EMPTY_GROUP,
  code.UNKNOWN_MEMBER_ID,
  code.ILLEGAL_GENERATION,
  code.REBALANCE_IN_PROGRESS,
  code.STALE_MEMBER_EPOCH,
  code.FENCED_MEMBER_EPOCH
]

/** Why a share group is refused: what is asked of it are offsets that groups of consumers commit. */
export const commitsNothing = (group: string, api?: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "GroupRefused",
    ...(api === undefined ? {} : { api }),
    group,
    code: code.GROUP_ID_NOT_FOUND,
    name: "GROUP_ID_NOT_FOUND",
    message: "it is a share group, which commits no offsets: where it goes on is kept by record",
    groupType: "share"
  })

const saysActive = ({ reason }: KafkaError.KafkaError): boolean =>
  (reason._tag === "Server" || reason._tag === "GroupRefused") && activeCodes.includes(reason.code)

/** What was asked, by its API, how its items and their groups are called, and what their refusals are told as. */
interface Asked<I> {
  readonly api: string
  readonly key: (item: I) => string
  readonly group: (item: I) => string
  /** Whether a refusal may have to do with what the group is. */
  readonly about: (refusal: KafkaError.KafkaError) => boolean
  /** What such a refusal is told as, where its group is described; undefined: as it is. */
  readonly tell: (
    refusal: KafkaError.KafkaError,
    description: GroupDescription,
    item: I
  ) => KafkaError.KafkaError | undefined
}

/** Answers in which refusals that may have to do with what their groups are say what those are. */
export const telling = <I, A>(
  parts: Ask.Parts,
  items: ReadonlyArray<I>,
  asked: Ask.Answers<A>,
  what: Asked<I>,
  bounds: Ask.Bounds
): Ask.Answers<A> =>
  Effect.gen(function* () {
    const { about, tell } = what
    const left = yield* Ask.spending(parts, bounds)
    const answers = yield* asked
    const refused = items.filter((_, i) => {
      const answer = answers[i]!
      return Result.isFailure(answer) && about(answer.failure)
    })
    const groups = [...new Set(refused.map(what.group))]
    if (groups.length === 0) return answers
    const described = yield* Ask.leaving(describeAll(parts, groups, left()), what, items, answers)
    return answers.map((answer, i) => {
      if (Result.isSuccess(answer) || !about(answer.failure)) return answer
      const item = items[i]!
      const found = described[groups.indexOf(what.group(item))]!
      const told = Result.isFailure(found) ? undefined : tell(answer.failure, found.success, item)
      return told === undefined ? answer : Result.fail(told)
    })
  })

const tellMembers = (refusal: KafkaError.KafkaError, found: GroupDescription): KafkaError.KafkaError | undefined => {
  if (found.members.length === 0) return undefined
  const named = hasMembers(found.group, found, refusal.reason.api)
  return Failure.isDoubted(refusal) ? Failure.doubted(named) : named
}

/** Answers about offsets: who the members of a group are that is refused since it is active, and what a share group is. */
export const tellingOfOffsets = <I extends TopicPartition.TopicPartition, A>(
  parts: Ask.Parts,
  items: ReadonlyArray<I>,
  asked: Ask.Answers<A>,
  api: string,
  group: string,
  bounds: Ask.Bounds
): Ask.Answers<A> =>
  telling(
    parts,
    items,
    asked,
    {
      api,
      key: TopicPartition.key,
      group: () => group,
      about: (refusal) => saysActive(refusal) || isMissing(refusal),
      tell: (refusal, found) =>
        found.type === "share"
          ? commitsNothing(group, refusal.reason.api)
          : saysActive(refusal)
            ? tellMembers(refusal, found)
            : undefined
    },
    bounds
  )

export const deleteAll = (
  parts: Ask.Parts,
  groups: ReadonlyArray<string>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  telling(
    parts,
    groups,
    Ask.items(
      parts,
      {
        api: "DeleteGroups",
        route: (group) => Plan.coordinator("group", group),
        key: (group) => group,
        check: (group) => Check.text("group", group),
        doubtful: [code.GROUP_ID_NOT_FOUND, ...activeCodes],
        ask: (broker, groupsNames) =>
          Effect.map(
            broker.send(DeleteGroups, () => ({ groupsNames })),
            ({ results }) =>
              new Map(
                results.map(({ errorCode, errorMessage, groupId }) => [
                  groupId,
                  errorCode === code.NONE
                    ? Result.void
                    : Result.fail(Failure.of(errorCode, errorMessage, { api: "DeleteGroups", group: groupId }))
                ])
              )
          )
      },
      groups,
      options
    ),
    {
      api: "DeleteGroups",
      key: (group) => group,
      group: (group) => group,
      about: saysActive,
      tell: tellMembers
    },
    options
  )

/** Whether a group was refused since there is none. */
export const isMissing = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "GroupRefused" && reason.code === code.GROUP_ID_NOT_FOUND && reason.groupType === undefined
