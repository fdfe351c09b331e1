/** Consumers that are watched: they do what they do, and tell what they are given, deliver, mark and commit. */
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import * as Consumer from "../../Consumer.ts"
import { type AnyRecord } from "../../consume/ConsumerRecord.ts"
import * as KafkaError from "../../KafkaError.ts"
import * as Membership from "../../Memberships.ts"
import type { Event } from "./History.ts"
import * as WatchedDelivery from "./WatchedDelivery.ts"
import * as WatchedMembership from "./WatchedMembership.ts"

/** Watches consumers, telling `record` what happens, and when it is by `now`, in milliseconds. */
export const make = (record: (event: Event) => void, now: () => number) => {
  const { delivered, seek, seeksOf } = WatchedDelivery.make(record)
  let members = 0
  /** What was not given back in peace excuses what comes again. */
  const watchEvents = (group: string, member: string, ends: WatchedMembership.Ends, consumer: Consumer.Consumer<any>) =>
    Stream.runForEach(consumer.events, (event) =>
      Effect.sync(() => {
        if (event._tag !== "RevokeTimedOut" && event._tag !== "Lost") return
        const _tag = event._tag === "Lost" ? "RevokeTooLate" : event._tag
        for (const { partition, topic } of event.partitions) {
          // A loss that the membership told of is noted already.
          if (event._tag === "Lost" && ends.get(`${topic}-${partition}`) === "Lost") continue
          record({ _tag, group, member, topic, partition })
        }
      })
    )

  const watch = (
    group: string,
    member: string,
    isCommitted: boolean,
    consumer: Consumer.Consumer<AnyRecord>
  ): Consumer.Consumer<AnyRecord> => {
    const seen = (array: any) => {
      delivered(group, member, isCommitted, true, array)
      return array
    }
    return {
      ...consumer,
      stream: Stream.mapArray(consumer.stream, seen),
      partitions: Stream.map(consumer.partitions, (assigned) => ({
        ...assigned,
        records: Stream.mapArray(assigned.records, seen)
      })),
      eachPartition: (pipeline) =>
        consumer.eachPartition((assigned) =>
          pipeline({ ...assigned, records: Stream.mapArray(assigned.records, seen) })
        ),
      run: <E, R, E2, R2>(
        handler: (record: AnyRecord) => Effect.Effect<unknown, E, R>,
        policy?:
          | Consumer.RunPolicy<E, E2, R2>
          | Consumer.DeadLetterPolicy<E, E2, R2>
          | Consumer.SomeDeadLettersPolicy<E, E2, R2>
      ) => {
        const ordered = policy?.order === undefined || policy.order === "partition"
        const begun = new WeakSet<AnyRecord>()
        const watching = (one: AnyRecord) => {
          // A retry is no delivery.
          if (!begun.has(one)) delivered(group, member, isCommitted, ordered, [one])
          begun.add(one)
          return handler(one)
        }
        // Which of the three it is is the caller's to know.
        return consumer.run(watching, policy as Consumer.DeadLetterPolicy<E, E2, R2>)
      },
      // Its tracker tells, but before the first delivery nobody hears it.
      seek: (place, to) =>
        Effect.suspend(() => {
          const before = seeksOf(member, place)
          const { partition, topic } = place
          return Effect.tap(consumer.seek(place, to), () =>
            seeksOf(member, place) > before
              ? Effect.void
              : Effect.ignore(
                  Effect.map(consumer.position(place), (offset) =>
                    seek({ _tag: "Seek", group, member, topic, partition, offset })
                  )
                )
          )
        }),
      commit: (offsets?: Iterable<Consumer.OffsetCommit>) => {
        if (offsets === undefined) return consumer.commit()
        const list = [...offsets]
        return Effect.suspend(() => {
          for (const { offset, partition, topic } of list)
            record({ _tag: "CommitByHand", group, member, topic, partition, offset })
          return consumer.commit(list)
        })
      }
    }
  }

  const watched = (
    group: string,
    options: { readonly isolation?: "committed" | "uncommitted" | undefined },
    member: string,
    ends: WatchedMembership.Ends,
    make: Effect.Effect<Consumer.Consumer<any>, KafkaError.KafkaError, any>
  ): Effect.Effect<any, any, any> =>
    Effect.gen(function* () {
      const consumer = yield* make
      // The events end when the consumer is closed, after the last of them.
      yield* Effect.forkDetach(watchEvents(group, member, ends, consumer), { startImmediately: true })
      return watch(group, member, options.isolation !== "uncommitted", consumer)
    })
  const nextMember = () => `member ${members++}`

  /** A member of a group, which joins by a watched membership. */
  const joined = (
    options: Pick<Consumer.SubscribeOptions<any, any, any>, "group" | "isolation" | "membership">,
    make: (membership: Membership.Membership<any>) => Effect.Effect<Consumer.Consumer<any>, KafkaError.KafkaError, any>
  ) =>
    Effect.suspend(() => {
      const member = nextMember()
      const ends = new Map<string, "Revoked" | "Lost">()
      const given = options.membership ?? Membership.classic()
      const membership = WatchedMembership.watch(record, now, options.group, member, ends, given)
      return watched(options.group, options, member, ends, make(membership))
    })

  const subscribe = ((options: Consumer.SubscribeOptions<any, any, any>) =>
    joined(options, (membership) => Consumer.subscribe({ ...options, membership }))) as typeof Consumer.subscribe

  const subscribePattern = ((options: Consumer.SubscribePatternOptions<any, any>) =>
    joined(options, (membership) =>
      Consumer.subscribePattern({ ...options, membership })
    )) as typeof Consumer.subscribePattern

  const assign = ((options: Consumer.AssignOptions<any>) =>
    Effect.suspend(() => {
      const member = nextMember()
      return watched(options.group ?? `of ${member} alone`, options, member, new Map(), Consumer.assign(options))
    })) as typeof Consumer.assign

  return { subscribe, subscribePattern, assign }
}
