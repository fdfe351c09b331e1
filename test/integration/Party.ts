/** Members of ours in one group on a real broker: what they handle, and what they hold from when to when. */
import { type Duration, Effect, Exit, Fiber, Scope, Stream } from "effect"
import { Membership, type Assignor, type Kafka, type Topic } from "samsa"
import * as Consumer from "samsa/Consumer"
import { seen } from "./Client.ts"

/** A partition in a member's hands; times are milliseconds since 1970. */
export interface Held {
  readonly member: string
  readonly partition: number
  readonly from: number
  to: number | undefined
}

export interface Handled {
  readonly member: string
  readonly value: string
}

export interface Options {
  readonly group: string
  readonly topic: Topic.Any
  /** Of classic groups. */
  readonly assignors?: ReadonlyArray<Assignor.Assignor>
  /** Default: the consumer's. */
  readonly commitInterval?: Duration.Input
  /** Other settings of the membership. */
  readonly membership?: Membership.ClassicOptions
  /** The membership itself, in their place. */
  readonly as?: (member: string) => Membership.Membership
}

/** The members of ours, and what they did. */
export const make = ({ as, assignors, commitInterval, group, membership, topic }: Options) => {
  const classic = () => Membership.classic({ assignors, heartbeatInterval: "300 millis", ...membership })
  const handled = seen<Handled>()
  const held = seen<Held>()
  let lost = 0
  const owned = (member: string) => held.all.filter((one) => one.member === member && one.to === undefined)
  const join = (member: string): Effect.Effect<Effect.Effect<void>, never, Kafka.Kafka | Scope.Scope> =>
    Effect.gen(function* () {
      const scope = yield* Scope.fork(yield* Effect.scope)
      const consumer = yield* Scope.provide(
        Effect.orDie(
          Consumer.subscribe({
            group,
            topics: [topic as Topic.Bytes<string>],
            from: "earliest",
            commitInterval,
            membership: as?.(member) ?? classic()
          })
        ),
        scope
      )
      yield* consumer.events.pipe(
        Stream.runForEach((event) =>
          Effect.sync(() => {
            if (!("partitions" in event)) return
            for (const { partition } of event.partitions) {
              if (event._tag === "Assigned") held.add({ member, partition, from: Date.now(), to: undefined })
              if (event._tag !== "Revoked" && event._tag !== "Lost") continue
              if (event._tag === "Lost") lost++
              const one = owned(member).find((each) => each.partition === partition)
              if (one !== undefined) {
                one.to = Date.now()
                held.changed()
              }
            }
          })
        ),
        Effect.forkDetach({ startImmediately: true })
      )
      const running = yield* consumer
        .run(({ value }) => Effect.sync(() => handled.add({ member, value: String(value) })))
        .pipe(Effect.orDie, Effect.forkDetach)
      return Effect.andThen(Scope.close(scope, Exit.void), Fiber.await(running)).pipe(Effect.asVoid)
    })
  /** Waits until these members hold so many partitions together, none of them without any. */
  const hold = (count: number, ...members: ReadonlyArray<string>) =>
    held.until(
      `${members.join()} hold ${count}`,
      () =>
        members.every((member) => owned(member).length > 0) &&
        members.reduce((sum, member) => sum + owned(member).length, 0) === count
    )
  /** How many partitions were lost, by all of them. */
  return {
    handled,
    held,
    join,
    hold,
    lost: () => lost,
    owned: (member: string) => owned(member).map((one) => one.partition)
  }
}

/** The partitions that were in two hands at a time. */
export const overlaps = (all: ReadonlyArray<Held>): ReadonlyArray<string> =>
  all.flatMap((one, i) =>
    all.slice(i + 1).flatMap((other) => {
      const apart =
        one.partition !== other.partition ||
        one.member === other.member ||
        (one.to ?? Infinity) <= other.from ||
        (other.to ?? Infinity) <= one.from
      return apart
        ? []
        : [`${one.partition} of ${one.member} ${one.from}–${one.to} and ${other.member} ${other.from}–${other.to}`]
    })
  )
