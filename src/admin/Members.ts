/** Members taken out of groups (KIP-345). */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LeaveGroup from "../protocol/messages/LeaveGroup.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import type { GroupDescription, MemberDescription } from "./GroupKinds.ts"
import * as Groups from "./Groups.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A member, by its id, or a static one by its instance (from 2.4 on). */
export type MemberRef = { readonly memberId: string } | { readonly instanceId: string }

/** A member as `describeGroups` tells of it has an instance that is undefined, where it is no static one. */
const instanceOf = (member: MemberRef): string | undefined =>
  "instanceId" in member ? (member.instanceId ?? undefined) : undefined

const idOf = (member: MemberRef): string => ("memberId" in member ? member.memberId : "")

const keyOf = (member: MemberRef): string => {
  const instance = instanceOf(member)
  return instance === undefined ? `member ${idOf(member)}` : `instance ${instance}`
}

const isUnknown = ({ reason }: KafkaError.KafkaError): boolean =>
  reason._tag === "GroupRefused" && (reason.code === code.UNKNOWN_MEMBER_ID || reason.code === code.GROUP_ID_NOT_FOUND)

const isIn = (member: MemberRef, { instanceId, memberId }: MemberDescription): boolean =>
  instanceOf(member) === undefined ? memberId === idOf(member) : instanceId === instanceOf(member)

/**
 * A member that is there, where the broker says that it knows none such: who speaks another protocol leaves by itself
 * alone.
 */
const staying = (
  { reason }: KafkaError.KafkaError,
  { group, members, type }: GroupDescription,
  member: MemberRef
): KafkaError.KafkaError | undefined =>
  reason._tag === "GroupRefused" && type !== "classic" && members.some((one) => isIn(member, one))
    ? KafkaError.make({
        ...reason,
        group,
        message: `it is a member of a ${type} group, and is taken out by none but itself: stop it`,
        groupType: type
      })
    : undefined

export const remove = (
  parts: Ask.Parts,
  group: string,
  members: ReadonlyArray<MemberRef>,
  bounds: Ask.Bounds = {}
): Ask.Answers<void> =>
  Groups.telling(
    parts,
    members,
    asked(parts, group, members, bounds),
    { api: "LeaveGroup", key: keyOf, group: () => group, about: isUnknown, tell: staying },
    bounds
  )

const asked = (
  parts: Ask.Parts,
  group: string,
  members: ReadonlyArray<MemberRef>,
  bounds: Ask.Bounds
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "LeaveGroup",
      route: () => Plan.coordinator("group", group),
      key: keyOf,
      check: (member) => [
        ...Check.text("group", group),
        ...(instanceOf(member) === undefined
          ? Check.text("memberId", idOf(member))
          : Check.text("instanceId", instanceOf(member)))
      ],
      doubtful: [code.UNKNOWN_MEMBER_ID],
      ask: (broker, batch) =>
        Effect.gen(function* () {
          const where = { api: "LeaveGroup", group }
          const version = yield* broker.version(LeaveGroup, {
            minVersion: batch.some((one) => instanceOf(one) !== undefined) ? 3 : 0
          })
          const answer = (errorCode: number): Ask.Answer<void> =>
            errorCode === code.NONE ? Result.void : Result.fail(Failure.of(errorCode, null, where))
          if (version < 3) {
            const answers = new Map<string, Ask.Answer<void>>()
            for (const member of batch) {
              const { errorCode } = yield* broker.send(LeaveGroup, () => ({ groupId: group, memberId: idOf(member) }), {
                maxVersion: 2
              })
              answers.set(keyOf(member), answer(errorCode))
            }
            return answers
          }
          const response = yield* broker.send(
            LeaveGroup,
            (version) => ({
              groupId: group,
              members: batch.map((member) => ({
                ...(instanceOf(member) === undefined
                  ? { memberId: idOf(member) }
                  : { memberId: "", groupInstanceId: instanceOf(member)! }),
                ...(version >= 5 ? { reason: "it was removed by an admin" } : {})
              }))
            }),
            { minVersion: 3 }
          )
          if (response.errorCode !== code.NONE) return yield* Failure.of(response.errorCode, null, where)
          return new Map(
            response.members.map(({ errorCode, groupInstanceId, memberId }) => [
              keyOf(groupInstanceId === null ? { memberId } : { instanceId: groupInstanceId }),
              answer(errorCode)
            ])
          )
        })
    },
    members,
    bounds
  )
