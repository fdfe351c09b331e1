/**
 * Kafka's gap at a conversion (docs/groups.md). Where the first member of the consumer protocol comes to a classic group,
 * brokers go by the last assignment alone: what that gives to nobody is free, also while a cooperative member drains it.
 * Two members then have it, until that one is done. What the oracle finds there is Kafka's; nothing else is.
 */
import { Effect, type Scope } from "effect"
import { EmbeddedKafka, type Fault, type Oracle } from "samsa/testing"
import { decodeAssignment } from "../../src/group/ConsumerProtocol.ts"
import { key } from "../../src/TopicPartition.ts"
import type { Run } from "./Walk.ts"

/** A classic group has become one of the consumer protocol. */
export interface Conversion {
  /** Virtual milliseconds. */
  readonly at: number
  /** What its classic members had by the last assignment, as `topic-partition`. */
  readonly assigned: ReadonlySet<string>
}

const apis: ReadonlyArray<Fault.Api> = ["ConsumerGroupHeartbeat", "JoinGroup", "SyncGroup", "Heartbeat"]

/** Notes the conversions of a group from now on, until the Scope closes: where it was a classic one at the request before. */
const watch = (
  broker: EmbeddedKafka.Service,
  group: string
): Effect.Effect<ReadonlyArray<Conversion>, never, Scope.Scope> =>
  Effect.gen(function* () {
    const conversions: Array<Conversion> = []
    let classic: ReadonlySet<string> = new Set()
    const request = Effect.raceAll(apis.map((api) => broker.awaitRequest(api)))
    const look = Effect.gen(function* () {
      const { at } = yield* request
      // By then it has been served.
      yield* Effect.yieldNow
      const { kind, members = [] } = (yield* broker.group(group)) ?? {}
      const former = members.filter(({ memberId }) => classic.has(memberId))
      if (kind === "consumer" && former.length > 0) {
        const partitions = former.flatMap(({ assignment }) => decodeAssignment(assignment).partitions)
        conversions.push({ at, assigned: new Set(partitions.map(key)) })
      }
      classic = new Set(kind === "classic" ? members.map(({ memberId }) => memberId) : [])
    })
    yield* Effect.forkScoped(Effect.forever(look), { startImmediately: true })
    return conversions
  })

/** What the oracle says of two members that have a partition at a time: the names of both. */
const ofTwo = [
  /^(?<other>.+) was given the partition before (?<holder>.+) had given it back$/,
  /^(?<other>.+) was given again what (?<holder>.+) had done and given back$/,
  /^(?<other>.+) began to handle \d+ while (?<holder>.+) was still at work$/,
  /^(?<holder>.+) began to handle \d+ while (?<other>.+) was still at work$/
]

/** What it says of their commits. */
const wentBack = /^the commit went back from \d+ to \d+$/
const givenAgain = /^(?<other>.+) was given \d+ again, although (?<committed>\d+) was committed$/

/** Whether a violation is of this gap: `other` was given what `holder` drained when the group was converted. */
export const isKnown =
  (conversions: ReadonlyArray<Conversion>, history: ReadonlyArray<Oracle.Event>) =>
  ({ group, invariant, message, partition, topic }: Oracle.Violation): boolean => {
    if (topic === undefined || partition === undefined) return false
    const name = key({ topic, partition })
    const owned = history.flatMap((event) =>
      (event._tag === "Assigned" || event._tag === "Revoked" || event._tag === "Lost") &&
      event.group === group &&
      key(event) === name
        ? [event]
        : []
    )
    const free = conversions.filter(({ assigned }) => !assigned.has(name))
    /** Each time that `other` was given it in the hands of `holder` was after a conversion that found it free there. */
    const areOf = (other: string, holder: string): boolean => {
      let since: number | undefined
      let beside = 0
      for (const { _tag, at = NaN, member } of owned) {
        if (member === holder) since = _tag === "Assigned" ? at : undefined
        if (member !== other || _tag !== "Assigned" || since === undefined) continue
        const from = since
        if (!free.some((one) => from <= one.at && one.at <= at)) return false
        beside++
      }
      return beside > 0
    }
    const members = [...new Set(owned.map(({ member }) => member))]
    const isBeside = (other: string) => members.some((holder) => areOf(other, holder))
    /** Where `other` begins was found before that was committed. */
    const isCommittedSince = (other: string, offset: number): boolean => {
      let isAssigned = false
      let isSince = false
      for (const event of history) {
        if (event._tag !== "Assigned" && event._tag !== "Committed") continue
        if (event.group !== group || key(event) !== name) continue
        if (event._tag === "Committed") isSince ||= isAssigned && event.offset === offset
        else if (event.member === other) [isAssigned, isSince] = [true, false]
      }
      return isSince
    }
    // Who drains it commits what he has done, behind what the other has.
    if (invariant === "I5") return wentBack.test(message) && members.some(isBeside)
    if (invariant !== "I6") return false
    const again = givenAgain.exec(message)?.groups
    if (again !== undefined) return isBeside(again.other!) && isCommittedSince(again.other!, Number(again.committed))
    return ofTwo.some((pattern) => {
      const { holder, other } = pattern.exec(message)?.groups ?? {}
      return holder !== undefined && other !== undefined && areOf(other, holder)
    })
  }

/** The gap of one walk: `watch` its group as it begins, and leave out of its run what the gap has brought about. */
export const make = (group: string) => {
  let conversions: ReadonlyArray<Conversion> = []
  return {
    watch: Effect.map(
      Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) => watch(broker, group)),
      (all) => void (conversions = all)
    ),
    without: (run: Run): Run => {
      const isOfGap = isKnown(conversions, run.history)
      return { ...run, violations: run.violations.filter((one) => !isOfGap(one)) }
    }
  }
}
