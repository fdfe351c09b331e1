/** Groups with members of both protocols, and groups that are converted (KIP-848). */
import { Effect, Fiber, type Scope } from "effect"
import * as DescribeGroups from "../../../src/protocol/messages/DescribeGroups.ts"
import * as LeaveGroup from "../../../src/protocol/messages/LeaveGroup.ts"
import * as ListGroups from "../../../src/protocol/messages/ListGroups.ts"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import * as SyncGroup from "../../../src/protocol/messages/SyncGroup.ts"
import * as Subscriptions from "../../../src/testing/embedded/Subscriptions.ts"
import { type Ask, type Case, type Failure, until } from "../Lab.ts"
import * as Members from "../Members.ts"
import { group, type Group, patterns } from "./ConsumerGroups.ts"

const rebalanceInProgress = 27

const partitionsOf = (assignment: Uint8Array) =>
  (Subscriptions.decodeAssignment(assignment) ?? []).map(({ partitions, topic }) => ({
    topic,
    partitions: Array.from(partitions).sort((a, b) => a - b)
  }))

/** A member that speaks the classic protocol. */
const classic = (ask: Ask, made: Group, instanceId?: string) =>
  Effect.map(Members.make(ask, ask.id), (member) => {
    const own = instanceId === undefined ? {} : { instanceId }
    const join = () =>
      member.join({
        ...own,
        session: 30_000,
        rebalance: 30_000,
        protocols: [["range", `topics:${made.topic.name}`]],
        version: 9
      })
    return {
      ...member,
      join,
      /** Syncs; who leads gives itself these. */
      sync: (partitions?: ReadonlyArray<number>) =>
        Effect.map(
          member.client.send(SyncGroup, 5, {
            groupId: ask.id,
            generationId: member.generation(),
            memberId: member.id(),
            groupInstanceId: instanceId ?? null,
            protocolType: "consumer",
            protocolName: "range",
            assignments:
              partitions === undefined
                ? []
                : [
                    {
                      memberId: member.id(),
                      assignment: Subscriptions.encodeAssignment([{ topic: made.topic.name, partitions }])
                    }
                  ]
          }),
          (answer) => ({ ...answer, assignment: partitionsOf(answer.assignment) })
        ),
      beat: () => member.heartbeat(own)
    }
  })

/** A classic group of one member that has all. */
const stable = (ask: Ask, made: Group, instanceId?: string) =>
  Effect.gen(function* () {
    const member = yield* classic(ask, made, instanceId)
    yield* member.join()
    yield* member.sync([0, 1, 2, 3])
    return member
  })

/** The same, and another member, which has joined beside it: the first is to say who has what. */
const completing = (ask: Ask, made: Group) =>
  Effect.gen(function* () {
    const old = yield* stable(ask, made)
    const other = yield* classic(ask, made)
    const joining = yield* Effect.forkChild(other.join(), { startImmediately: true })
    yield* until("the group forms", old.beat(), (code) => code === rebalanceInProgress)
    yield* old.join()
    yield* Fiber.join(joining)
    return { old, other }
  })

/** A member of the consumer protocol comes: its epoch, and whether it is given something at once. Of what, ids decide. */
const given = (made: Group) =>
  Effect.map(made.join("new"), ({ assignment, memberEpoch }) => [memberEpoch, (assignment ?? []).length > 0])

const listed = (made: Group, ask: Ask): Effect.Effect<unknown, Failure, Scope.Scope> =>
  Effect.map(made.client.send(ListGroups, 5, {}), ({ groups }) =>
    groups.filter(({ groupId }) => groupId === ask.id).map((each) => ({ ...each }))
  )

/** What DescribeGroups tells of the group, which has been written down. */
const described = (made: Group, ask: Ask, state: string) =>
  Effect.map(
    until(
      `the group is ${state}`,
      made.client.send(DescribeGroups, 5, { groups: [ask.id] }),
      ({ groups }) => groups[0]!.groupState === state
    ),
    ({ groups }) => [groups[0]!.errorCode, groups[0]!.groupState, groups[0]!.members.length]
  )

export const cases: ReadonlyArray<Case> = [
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "converts a classic group, whose members join again until they have their share, and back",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const old = yield* stable(ask, made)
        const answers: Array<unknown> = [yield* listed(made, ask)]
        const first = yield* made.join("new")
        answers.push(first, yield* listed(made, ask), yield* made.describe())
        answers.push(yield* old.beat(), yield* old.sync(), yield* old.join(), yield* old.sync())
        answers.push(yield* old.beat(), yield* old.join(), yield* old.sync(), yield* old.beat())
        answers.push(yield* made.beat("new", first.memberEpoch), yield* made.describe())
        answers.push(yield* described(made, ask, "Dead"))
        answers.push(yield* made.beat("new", -1))
        answers.push(yield* described(made, ask, "PreparingRebalance"), yield* old.beat())
        const alone = yield* old.join()
        answers.push(alone, yield* old.sync([0, 1, 2, 3]), yield* old.beat(), yield* listed(made, ask))
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour:
      "converts a classic group whose member has yet to give up what its last assignment does not have: it is free",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const { old, other } = yield* completing(ask, made)
        const answers: Array<unknown> = [yield* old.sync([0, 1]), yield* other.sync()]
        answers.push(yield* given(made), yield* old.beat(), yield* old.join(), yield* old.sync())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "converts a classic group that forms once more before its assignment was told: all is free",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const { old } = yield* completing(ask, made)
        const third = yield* classic(ask, made)
        const joining = yield* Effect.forkChild(third.join(), { startImmediately: true })
        yield* until("the group forms", old.beat(), (code) => code === rebalanceInProgress)
        const answers: Array<unknown> = [yield* given(made)]
        answers.push((yield* Fiber.join(joining)).errorCode, yield* old.beat())
        return answers
      })
  },
  {
    api: "JoinGroup",
    behaviour: "into a group of the consumer protocol",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const epoch = (yield* made.join("new")).memberEpoch
        const old = yield* classic(ask, made)
        const answers: Array<unknown> = []
        // other protocols than the consumers', and bytes that are no subscription
        answers.push((yield* old.ask({ protocolType: "connect", protocols: [["v1", "m"]], version: 9 })).errorCode)
        answers.push((yield* old.ask({ version: 3, protocols: [], session: 30_000 })).errorCode)
        answers.push(yield* old.join(), yield* old.sync(), yield* old.beat())
        answers.push(yield* old.heartbeat({ generation: 77 }), yield* old.heartbeat({ memberId: "new" }))
        answers.push((yield* old.ask({ version: 3, protocols: [["other", "m"]], session: 30_000 })).errorCode)
        const commit = (generation: number) =>
          Effect.map(
            made.client.send(OffsetCommit, 8, {
              groupId: ask.id,
              memberId: old.id(),
              generationIdOrMemberEpoch: generation,
              topics: [
                {
                  name: made.topic.name,
                  partitions: [{ partitionIndex: 0, committedOffset: 0, committedMetadata: "" }]
                }
              ]
            }),
            ({ topics }) => topics[0]!.partitions[0]!.errorCode
          )
        answers.push(yield* commit(old.generation()), yield* commit(old.generation() + 1))
        answers.push(yield* made.beat("new", epoch), yield* old.beat())
        answers.push(yield* made.owning("new", epoch, [0, 1]), yield* old.beat(), yield* old.join(), yield* old.sync())
        // each leaves as the other does
        const leave = (memberId: string) =>
          Effect.map(
            made.client.send(LeaveGroup, 5, { groupId: ask.id, members: [{ memberId, groupInstanceId: null }] }),
            ({ errorCode, members }) => [errorCode, members.map((each) => each.errorCode)]
          )
        answers.push(yield* leave("nobody"), yield* leave(old.id()), yield* made.describe())
        answers.push(yield* leave("new"), yield* made.describe())
        return answers
      })
  },
  {
    api: "JoinGroup",
    behaviour: "a static member takes its own place in a group of the other protocol",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const old = yield* stable(ask, made, "i")
        const answers: Array<unknown> = []
        const first = yield* made.join("new", { instanceId: "i" })
        answers.push(first, yield* made.describe(), yield* old.beat())
        const again = yield* classic(ask, made, "i")
        const joined = yield* again.join()
        answers.push([joined.errorCode, joined.generationId], yield* listed(made, ask))
        answers.push(yield* made.beat("new", first.memberEpoch, { instanceId: "i" }))
        answers.push(yield* again.beat(), yield* again.sync())
        return answers
      })
  },
  {
    api: "JoinGroup",
    behaviour: "of the last member of the consumer protocol, a static one, while partitions move: nobody hears of it",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const own = { instanceId: "i" }
        const epoch = (yield* made.join("new", own)).memberEpoch
        const old = yield* classic(ask, made)
        const answers: Array<unknown> = [yield* old.join(), yield* old.sync()]
        answers.push(yield* made.beat("new", epoch, own))
        const topicPartitions = [{ topicId: made.topic.id, partitions: [0, 1] }]
        answers.push(yield* made.beat("new", epoch, { ...own, topicPartitions }))
        // what was given up is free, and the classic member has not heard so
        const again = yield* classic(ask, made, "i")
        const joined = yield* again.join()
        answers.push([joined.errorCode, joined.generationId], yield* listed(made, ask))
        answers.push(yield* again.sync(), yield* again.beat(), yield* old.beat())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "does not convert a group of other members than consumers; an empty one is anybody's",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const other = yield* Members.stable(ask, ask.id, { protocolType: "connect", protocols: [["v1", "m"]] })
        const answers: Array<unknown> = [yield* made.join("new")]
        yield* other.leave()
        yield* Members.awaitState(ask, ask.id, "Empty")
        answers.push(yield* made.join("new"), yield* listed(made, ask))
        yield* made.beat("new", -1)
        const old = yield* stable(ask, made)
        answers.push(yield* old.beat(), yield* listed(made, ask))
        return answers
      })
  }
]
