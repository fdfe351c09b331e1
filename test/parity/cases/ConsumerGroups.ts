/** Groups of the consumer protocol (KIP-848): ConsumerGroupHeartbeat and ConsumerGroupDescribe. */
import { Effect, type Scope } from "effect"
import * as ConsumerGroupDescribe from "../../../src/protocol/messages/ConsumerGroupDescribe.ts"
import * as ConsumerGroupHeartbeat from "../../../src/protocol/messages/ConsumerGroupHeartbeat.ts"
import * as CreatePartitions from "../../../src/protocol/messages/CreatePartitions.ts"
import * as DeleteGroups from "../../../src/protocol/messages/DeleteGroups.ts"
import * as DescribeGroups from "../../../src/protocol/messages/DescribeGroups.ts"
import * as ListGroups from "../../../src/protocol/messages/ListGroups.ts"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import * as OffsetDelete from "../../../src/protocol/messages/OffsetDelete.ts"
import * as OffsetFetch from "../../../src/protocol/messages/OffsetFetch.ts"
import type { Client } from "../Client.ts"
import { type Ask, type Case, type Failure, type Topic, until } from "../Lab.ts"

type Request = (typeof ConsumerGroupHeartbeat.Request.schema)["~type.make.in"]
export type Answer = (typeof ConsumerGroupHeartbeat.Response.schema)["Type"]
type Owned = ReadonlyArray<{ readonly topicId: string; readonly partitions: ReadonlyArray<number> }>

/** The releases that have them, and those that have patterns too. */
export const modern = ["3.9.2", "4.0.2", "4.4.0"] as const
export const patterns = ["4.0.2", "4.4.0"] as const

/** The partitions of an answer by topic, in order; null where it has none. */
const toldOf = (names: ReadonlyMap<string, string>) => (answer: Answer) => ({
  ...answer,
  assignment:
    answer.assignment === null
      ? null
      : Array.from(answer.assignment.topicPartitions, ({ partitions, topicId }) => ({
          topic: names.get(topicId) ?? topicId,
          partitions: Array.from(partitions).sort((a, b) => a - b)
        })).sort((a, b) => (a.topic < b.topic ? -1 : 1))
})
type Told = ReturnType<ReturnType<typeof toldOf>>

const byName = (assignment: { readonly topicPartitions: ReadonlyArray<{ readonly topicName: string }> }) =>
  Array.from(assignment.topicPartitions).sort((a, b) => (a.topicName < b.topicName ? -1 : 1))

export interface Group {
  readonly client: Client
  readonly topic: Topic
  /** Another topic of one partition, or of as many as are said. */
  readonly another: (suffix: string, partitions?: number) => Effect.Effect<Topic, Failure, Scope.Scope>
  readonly told: (answer: Answer) => Told
  readonly raw: (request: Partial<Request>, version?: number) => Effect.Effect<Answer, Failure>
  /** A heartbeat of this member in this epoch. */
  readonly beat: (memberId: string, memberEpoch: number, more?: Partial<Request>) => Effect.Effect<Told, Failure>
  readonly join: (memberId: string, more?: Partial<Request>) => Effect.Effect<Told, Failure>
  /** Says that the member owns these of the topic. */
  readonly owning: (
    memberId: string,
    memberEpoch: number,
    partitions: ReadonlyArray<number>
  ) => Effect.Effect<Told, Failure>
  /** The group, members in order of their ids. */
  readonly describe: (version?: number) => Effect.Effect<unknown, Failure, Scope.Scope>
}

/** A group of the case, without members, and a topic of four partitions. */
export const group = (
  ask: Ask,
  options: { readonly partitions?: number; readonly suffix?: string } = {}
): Effect.Effect<Group, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    const { partitions = 4, suffix = "" } = options
    const groupId = `${ask.id}${suffix}`
    const names = new Map<string, string>()
    const another: Group["another"] = (suffix, partitions = 1) =>
      Effect.map(ask.topic(suffix, { replicas: Array.from({ length: partitions }, () => [1]) }), (topic) => {
        names.set(topic.id, topic.name)
        return topic
      })
    const told = toldOf(names)
    const topic = yield* another(suffix, partitions)
    const client = yield* ask.coordinator(groupId)
    yield* until(
      "the coordinator is there",
      client.send(ConsumerGroupDescribe, 0, { groupIds: [groupId] }),
      ({ groups }) => groups[0]!.errorCode < 14 || groups[0]!.errorCode > 16
    )
    const newest = ask.newest(ConsumerGroupHeartbeat)
    const raw: Group["raw"] = (request, version = newest) =>
      client.send(ConsumerGroupHeartbeat, version, {
        groupId,
        memberId: "a",
        memberEpoch: 0,
        ...request
      } as Request)
    const beat: Group["beat"] = (memberId, memberEpoch, more = {}) =>
      Effect.map(raw({ memberId, memberEpoch, ...more }), told)
    return {
      client,
      topic,
      another,
      told,
      raw,
      beat,
      join: (memberId, more = {}) =>
        beat(memberId, 0, {
          rebalanceTimeoutMs: 60_000,
          subscribedTopicNames: [topic.name],
          topicPartitions: [],
          ...more
        }),
      owning: (memberId, memberEpoch, owned) =>
        beat(memberId, memberEpoch, {
          topicPartitions: owned.length === 0 ? [] : [{ topicId: topic.id, partitions: owned }]
        }),
      describe: (version = ask.newest(ConsumerGroupDescribe)) =>
        Effect.map(
          client.send(ConsumerGroupDescribe, version, { groupIds: [groupId], includeAuthorizedOperations: true }),
          ({ groups }) => ({
            ...groups[0]!,
            members: Array.from(groups[0]!.members)
              .sort((a, b) => (a.memberId < b.memberId ? -1 : 1))
              .map((member) => ({
                ...member,
                clientHost: member.clientHost !== "",
                assignment: byName(member.assignment),
                targetAssignment: byName(member.targetAssignment)
              }))
          })
        )
    }
  })

/** Asks again and again, until the group has been given an assignment that holds. */
const awaitBeat = (
  group: Group,
  memberId: string,
  memberEpoch: number,
  holds: (answer: Told) => boolean,
  more: Partial<Request> = {}
) => until(`a heartbeat of ${memberId}`, group.beat(memberId, memberEpoch, more), holds)

/** Waits until the coordinator, which reads of topics in the background, has all of them to assign. */
const awaitKnown = (group: Group, ask: Ask, topics: ReadonlyArray<Topic>) =>
  Effect.gen(function* () {
    const beat = (memberEpoch: number) =>
      group.raw({
        groupId: `${ask.id}-looking`,
        memberEpoch,
        rebalanceTimeoutMs: 60_000,
        subscribedTopicNames: topics.map(({ name }) => name),
        topicPartitions: []
      })
    const all = ({ assignment }: Answer) => assignment?.topicPartitions.length === topics.length
    yield* until("the coordinator knows the topics", beat(0), all)
    yield* beat(-1)
  })

const commit = (group: Group, groupId: string, version: number, memberId: string, epoch: number, partition = 0) =>
  Effect.map(
    group.client.send(OffsetCommit, version, {
      groupId,
      memberId,
      generationIdOrMemberEpoch: epoch,
      topics: [
        {
          ...(version >= 10 ? { topicId: group.topic.id } : { name: group.topic.name }),
          partitions: [{ partitionIndex: partition, committedOffset: 0, committedMetadata: "" }]
        }
      ]
    }),
    ({ topics }) => topics[0]!.partitions[0]!.errorCode
  )

const fetch = (group: Group, groupId: string, version: number, memberId: string | null, memberEpoch: number) =>
  Effect.map(
    group.client.send(OffsetFetch, version, {
      groups: [
        {
          groupId,
          ...(version >= 9 ? { memberId, memberEpoch } : {}),
          topics: [
            {
              ...(version >= 10 ? { topicId: group.topic.id } : { name: group.topic.name }),
              partitionIndexes: [0]
            }
          ]
        }
      ]
    }),
    ({ groups }) => groups[0]!.errorCode
  )

export const cases: ReadonlyArray<Case> = [
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "refuses what no request may be, at each version",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { raw, topic } = yield* group(ask)
        const full = { rebalanceTimeoutMs: 60_000, subscribedTopicNames: [topic.name], topicPartitions: [] }
        const wrong: ReadonlyArray<Partial<Request>> = [
          { ...full, groupId: "" },
          { ...full, instanceId: "" },
          { ...full, rackId: "" },
          { ...full, rebalanceTimeoutMs: -1 },
          { ...full, topicPartitions: null },
          { ...full, topicPartitions: [{ topicId: topic.id, partitions: [0] }] },
          { ...full, subscribedTopicNames: null },
          { ...full, serverAssignor: "sticky" },
          { memberEpoch: -3 },
          { memberEpoch: -2 },
          { memberEpoch: -1, memberId: "" },
          { memberEpoch: 1, memberId: "" },
          { memberEpoch: 1 },
          { memberEpoch: -1 },
          { memberEpoch: -2, instanceId: "i" }
        ]
        return yield* ask.atEach(ConsumerGroupHeartbeat, (version) =>
          Effect.forEach(wrong, (request) => Effect.map(raw(request, version), (answer) => ({ ...answer })))
        )
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "one that joins has all; another gets its share once it was given up; who leaves gives it back",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { beat, describe, join, owning } = yield* group(ask)
        const answers: Array<unknown> = [yield* join("a"), yield* describe()]
        const first = (yield* beat("a", ask.release === "4.4.0" ? 2 : 1)).memberEpoch
        answers.push(yield* join("b"), yield* describe())
        answers.push(yield* beat("a", first), yield* describe())
        answers.push(yield* beat("a", first), yield* owning("a", first, [0, 1, 2, 3]))
        answers.push(yield* beat("b", first + 1))
        answers.push(yield* owning("a", first, [0, 1]), yield* beat("a", first + 1))
        answers.push(yield* beat("b", first + 1), yield* beat("b", first + 1), yield* describe())
        answers.push(yield* beat("b", -1), yield* describe())
        answers.push(yield* beat("b", first + 1), yield* beat("a", first + 1), yield* describe())
        answers.push(yield* beat("a", -1), yield* describe())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "in v0 gives an id to who has none",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { raw, told, topic } = yield* group(ask)
        const joined = yield* raw(
          { memberId: "", rebalanceTimeoutMs: 60_000, subscribedTopicNames: [topic.name], topicPartitions: [] },
          0
        )
        return [told(joined), told(yield* raw({ memberId: joined.memberId!, memberEpoch: joined.memberEpoch }, 0))]
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "of an epoch that is not the member's",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { beat, join, owning } = yield* group(ask)
        const epoch = (yield* join("a")).memberEpoch
        const answers: Array<unknown> = []
        answers.push(yield* beat("a", epoch + 1), yield* beat("nobody", epoch))
        // the answer to a join may have been lost: the epoch before is taken from who owns no more than it was given
        answers.push(yield* beat("a", epoch - 1), yield* owning("a", 0, []))
        yield* join("b")
        yield* beat("a", epoch)
        const given = yield* owning("a", epoch, [0, 1])
        answers.push(given, yield* owning("a", epoch, [0, 1]), yield* owning("a", epoch, [0, 1, 2]))
        answers.push(yield* beat("a", epoch))
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "a member joins once more",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { beat, describe, join, owning } = yield* group(ask)
        const epoch = (yield* join("a")).memberEpoch
        const answers: Array<unknown> = [yield* join("a")]
        yield* join("b")
        answers.push(yield* beat("a", epoch))
        // while it has something to give up, and after it
        answers.push(yield* join("a"), yield* owning("a", epoch, [0, 1]), yield* join("a"), yield* describe())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "answers with the assignment where it changed, or all was told",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { beat, join, topic } = yield* group(ask)
        const epoch = (yield* join("a")).memberEpoch
        const owned: Owned = [{ topicId: topic.id, partitions: [0, 1, 2, 3] }]
        const names = { subscribedTopicNames: [topic.name] }
        return [
          yield* beat("a", epoch),
          yield* beat("a", epoch, { topicPartitions: owned }),
          yield* beat("a", epoch, { topicPartitions: owned, ...names }),
          yield* beat("a", epoch, { topicPartitions: owned, ...names, rebalanceTimeoutMs: 50_000 }),
          yield* beat("a", epoch, { rackId: "r", serverAssignor: "uniform" }),
          yield* beat("a", epoch)
        ]
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "who gives nothing up in time is out",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const { beat, join } = made
        const epoch = (yield* join("a", { rebalanceTimeoutMs: 300 })).memberEpoch
        yield* join("b")
        const answers: Array<unknown> = [yield* beat("a", epoch)]
        answers.push(yield* awaitBeat(made, "a", epoch, ({ errorCode }) => errorCode !== 0))
        const all = ({ assignment }: Told) => assignment?.[0]?.partitions.length === 4
        answers.push(yield* awaitBeat(made, "b", epoch + 1, all))
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "a static member leaves for a while, comes back, and is not replaced before",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { beat, describe, join, owning } = yield* group(ask)
        const i = { instanceId: "i" }
        const epoch = (yield* join("a", i)).memberEpoch
        const answers: Array<unknown> = [yield* join("a2", i), yield* beat("b", epoch, i)]
        answers.push(yield* beat("a", epoch, { instanceId: "j" }))
        answers.push(yield* beat("b", -2, i), yield* beat("a", -2, i), yield* describe())
        answers.push(yield* beat("a", epoch, i), yield* beat("a", -2, i))
        answers.push(yield* join("a2", i), yield* describe())
        answers.push(yield* beat("a", epoch, i), yield* beat("a", epoch), yield* beat("a2", epoch, i))
        // while it has something to give up
        yield* join("b")
        answers.push(yield* beat("a2", epoch, i), yield* beat("a2", -2, i), yield* describe())
        answers.push(yield* join("a3", i), yield* owning("a3", epoch + 1, [0, 1]), yield* beat("b", epoch + 1))
        answers.push(yield* beat("a3", -1, i), yield* beat("a3", -1, i), yield* describe())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "by range: a span of each topic, static members first",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask, { partitions: 5 })
        const { another, beat, describe, join, topic } = made
        const other = yield* another("-other", 3)
        yield* awaitKnown(made, ask, [topic, other])
        const both = { subscribedTopicNames: [topic.name, other.name], serverAssignor: "range" }
        const answers: Array<unknown> = [yield* join("b", both)]
        answers.push(yield* join("a", both), yield* join("c", { ...both, instanceId: "i" }), yield* describe())
        // who wants less, and another assignor that fewer want
        answers.push(yield* join("d", { subscribedTopicNames: [other.name], serverAssignor: "uniform" }))
        answers.push(yield* describe(), yield* beat("d", -1), yield* describe())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "uniform: moves as little as it can",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask, { partitions: 7 })
        const { describe, join } = made
        const answers: Array<unknown> = []
        for (const id of ["a", "b", "c", "d"]) {
          yield* join(id)
          answers.push(yield* describe())
        }
        yield* made.beat("b", -1)
        // the next heartbeat of anybody is when it is assigned anew
        yield* join("e")
        answers.push(yield* describe())
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "a subscription changes, and topics grow, come and go",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask, { partitions: 2 })
        const { client, describe, join, topic } = made
        const later = `${ask.id}-later`
        const answers: Array<unknown> = [
          yield* join("a", { subscribedTopicNames: [topic.name, later, `${ask.id}-never`] })
        ]
        let epoch = ask.release === "4.4.0" ? 2 : 1
        const next = (holds: (answer: Told) => boolean, more: Partial<Request> = {}) =>
          Effect.map(awaitBeat(made, "a", epoch, holds, more), (answer) => {
            epoch = answer.memberEpoch
            return answer
          })
        const controller = yield* ask.broker(1)
        const grow = { topics: [{ name: topic.name, count: 3, assignments: null }], timeoutMs: 10_000 }
        for (const id of [1, 2]) yield* (yield* ask.broker(id)).send(CreatePartitions, 2, grow)
        answers.push(yield* next(({ assignment }) => assignment !== null))
        yield* made.another("-later")
        answers.push(yield* next(({ assignment }) => assignment !== null))
        // it wants less: what it has to give up first, and then the next epoch
        answers.push(yield* next(() => true, { subscribedTopicNames: [later] }), yield* describe())
        const rest = yield* until(
          "what it keeps",
          client.send(ConsumerGroupDescribe, 0, { groupIds: [ask.id] }),
          ({ groups }) => groups[0]!.members[0]!.targetAssignment.topicPartitions.length === 1
        )
        const kept = rest.groups[0]!.members[0]!.targetAssignment.topicPartitions
        answers.push(yield* next(() => true, { topicPartitions: kept }), yield* describe())
        return controller.isClosed() ? "closed" : answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "patterns are RE2's, matched against the whole name",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const { join } = yield* group(ask)
        const answers: { [pattern: string]: number } = {}
        const tried =
          String.raw`a ab|c a* a+? a{2,3} a{1001} a{2,1} a** a*+ ( ) [ ] [] []a] [^]a] [a-] [-a] [a-c-e] [z-a] [[:alpha:]] [[:wrong:]] [[:^digit:]x] {1} a{ a{,2} a{1 * +a ?a \d\D\w\W\s\S \b\B \A\z \Z \Q*\E \Qa \pL \p{Greek} \p{^Lu} \PN \p{Wrong} \pz (?i)a (?i:a)b (?s-m:.) (?U)a+ (?P<n>a) (?<n>a) (?P<n>a)(?P<n>b) (?=a) (?!a) (?<=a) (?<!a) (?>a) (?#a) \1 (a)\1 \x41 \x{41} \x{110000} \x4 \07 \0 \8 \k \_ \- \\ \ a| || (|) (?:) (?) (?i (?x)a ^a$ .* . \C \u0041 \cA \h [\d-z] [\w\-] [a\]] \.`.split(
            " "
          )
        for (const [index, pattern] of tried.entries()) {
          const answer = yield* join(`m${index}`, { subscribedTopicNames: null, subscribedTopicRegex: pattern })
          answers[pattern] = answer.errorCode
        }
        return answers
      })
  },
  {
    api: "ConsumerGroupHeartbeat",
    behaviour: "a pattern is looked up a moment later, beside names or alone, and again when topics come",
    only: patterns,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask, { partitions: 2 })
        const { describe, join, topic } = made
        // a pattern that is looked up between the two would find one of them, and raise the epoch twice
        yield* awaitKnown(made, ask, [yield* made.another("-one"), yield* made.another("-two")])
        const has = (count: number) => (answer: Told) => answer.assignment?.length === count
        const answers: Array<unknown> = []
        const first = yield* join("a", { subscribedTopicNames: null, subscribedTopicRegex: `${ask.id}-.*` })
        answers.push(first)
        const full = { rebalanceTimeoutMs: 60_000, topicPartitions: [], subscribedTopicNames: [] }
        const regex = { subscribedTopicRegex: `${ask.id}-.*` }
        const found = yield* awaitBeat(made, "a", first.memberEpoch, has(2))
        answers.push(found.errorCode, found.assignment, yield* describe())
        // one that has been looked up already; which topic it is to get is by chance
        answers.push(yield* join("b", { subscribedTopicNames: null, ...regex }))
        yield* made.beat("b", -1)
        const again = yield* made.beat("a", found.memberEpoch)
        answers.push(again)
        // the pattern goes, a name comes
        const named = { subscribedTopicNames: [topic.name], subscribedTopicRegex: "" }
        answers.push(yield* made.beat("a", again.memberEpoch, { ...full, ...named }), yield* describe())
        return answers
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "by members of the consumer protocol, at each version",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const epoch = (yield* made.join("a")).memberEpoch
        return yield* ask.atEach(
          OffsetCommit,
          (version) =>
            Effect.gen(function* () {
              const none = `${ask.id}-none-${version}`
              yield* ask.coordinatorOf(none)
              return {
                right: yield* commit(made, ask.id, version, "a", epoch),
                newer: yield* commit(made, ask.id, version, "a", epoch + 1),
                older: yield* commit(made, ask.id, version, "a", epoch - 1),
                nobody: yield* commit(made, ask.id, version, "b", epoch),
                outside: yield* commit(made, ask.id, version, "", -1),
                none: yield* commit(made, none, version, "a", epoch)
              }
            }),
          (version) => version >= 2
        )
      })
  },
  {
    api: "OffsetCommit",
    behaviour: "by an epoch that is older than the member's, of what it has kept and what it has given up",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const epoch = (yield* made.join("a")).memberEpoch
        yield* made.join("b")
        yield* made.beat("a", epoch)
        const answers: Array<unknown> = [
          yield* commit(made, ask.id, 9, "a", epoch),
          yield* commit(made, ask.id, 9, "a", epoch, 3),
          yield* commit(made, ask.id, 9, "b", epoch, 3)
        ]
        yield* made.owning("a", epoch, [0, 1])
        yield* made.beat("b", epoch + 1)
        for (const [memberId, at, partition] of [
          ["a", epoch, 0],
          ["a", epoch, 3],
          ["a", epoch + 1, 0],
          ["a", epoch + 1, 3],
          ["b", epoch, 3],
          ["b", epoch + 1, 3]
        ] as const)
          answers.push(yield* commit(made, ask.id, 9, memberId, at, partition))
        return answers
      })
  },
  {
    api: "OffsetFetch",
    behaviour: "by members of the consumer protocol, from v8 on",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const epoch = (yield* made.join("a")).memberEpoch
        return yield* ask.atEach(
          OffsetFetch,
          (version) =>
            Effect.gen(function* () {
              return {
                right: yield* fetch(made, ask.id, version, "a", epoch),
                newer: yield* fetch(made, ask.id, version, "a", epoch + 1),
                older: yield* fetch(made, ask.id, version, "a", epoch - 1),
                nobody: yield* fetch(made, ask.id, version, "b", epoch),
                outside: yield* fetch(made, ask.id, version, null, -1),
                unnamed: yield* fetch(made, ask.id, version, "", -1)
              }
            }),
          (version) => version >= 8
        )
      })
  },
  {
    api: "ConsumerGroupDescribe",
    behaviour: "at each version, and what is no such group",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const { client, describe, join } = yield* group(ask)
        yield* join("a", { instanceId: "i", rackId: "r" })
        return {
          there: yield* ask.atEach(ConsumerGroupDescribe, (version) => describe(version)),
          not: yield* ask.atEach(ConsumerGroupDescribe, (version) =>
            Effect.map(client.send(ConsumerGroupDescribe, version, { groupIds: ["", `${ask.id}-none`] }), (answer) => ({
              ...answer
            }))
          )
        }
      })
  },
  {
    api: "ListGroups",
    behaviour: "of the consumer protocol, by kind and state",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        yield* made.join("a")
        yield* made.join("b")
        const emptied = yield* group(ask, { suffix: "-empty" })
        yield* emptied.join("a")
        yield* emptied.beat("a", -1)
        const list = (version: number, filters: object) =>
          Effect.map(made.client.send(ListGroups, version, filters), ({ errorCode, groups }) => ({
            errorCode,
            groups: groups
              .filter(({ groupId }) => groupId.startsWith(ask.id))
              .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
              .map((each) => ({ ...each }))
          }))
        return {
          plain: yield* ask.atEach(ListGroups, (version) => list(version, {})),
          consumer: yield* list(5, { typesFilter: ["consumer"] }),
          classic: yield* list(5, { typesFilter: ["classic"] }),
          reconciling: yield* list(5, { statesFilter: ["Reconciling"], typesFilter: ["Consumer"] }),
          empty: yield* list(4, { statesFilter: ["empty"] }),
          described: yield* ask.atEach(DescribeGroups, (version) =>
            Effect.map(made.client.send(DescribeGroups, version, { groups: [ask.id] }), ({ groups }) => ({
              ...groups[0]!
            }))
          )
        }
      })
  },
  {
    api: "DeleteGroups",
    behaviour: "of the consumer protocol, with members and without; and OffsetDelete",
    only: modern,
    ask: (ask) =>
      Effect.gen(function* () {
        const made = yield* group(ask)
        const epoch = (yield* made.join("a")).memberEpoch
        yield* commit(made, ask.id, 9, "a", epoch)
        const remove = Effect.map(
          made.client.send(DeleteGroups, 2, { groupsNames: [ask.id] }),
          ({ results }) => results[0]!.errorCode
        )
        const forget = Effect.map(
          made.client.send(OffsetDelete, 0, {
            groupId: ask.id,
            topics: [{ name: made.topic.name, partitions: [{ partitionIndex: 0 }] }]
          }),
          ({ errorCode, topics }) => [errorCode, topics[0]?.partitions[0]?.errorCode]
        )
        const answers: Array<unknown> = [yield* remove, yield* forget]
        yield* made.beat("a", -1)
        answers.push(yield* forget, yield* remove, yield* remove, yield* made.describe())
        return answers
      })
  }
]
