/** A membership that is watched: it tells who has which partitions, in the order in which it happens. */
import * as Effect from "effect/Effect"
import * as Membership from "../../Memberships.ts"
import type { TopicPartition } from "../../TopicPartition.ts"
import { type Event } from "./History.ts"

/** How members' times with partitions have ended, by `topic-partition`. */
export type Ends = Map<string, "Revoked" | "Lost">

/** A membership that tells who has which partitions, in the order in which it happens. */
export const watch = <R>(
  record: (event: Event) => void,
  now: () => number,
  group: string,
  member: string,
  ends: Ends,
  self: Membership.Membership<R>
): Membership.Membership<R> => ({
  ...self,
  join: (join) => {
    const held = new Map<string, TopicPartition>()
    const tell = (_tag: "Assigned" | "Revoked" | "Lost", list: ReadonlyArray<TopicPartition>) => {
      for (const { partition, topic } of list) {
        const key = `${topic}-${partition}`
        if (_tag === "Assigned") {
          held.set(key, { topic, partition })
          ends.delete(key)
        } else if (held.delete(key)) ends.set(key, _tag)
        else continue
        record({ _tag, group, member, topic, partition, at: now() })
      }
    }
    const { owner } = join
    record({ _tag: "Entered", group, member })
    return Effect.map(
      self.join({
        ...join,
        owner: {
          assigned: (list) =>
            Effect.andThen(
              Effect.sync(() => tell("Assigned", list)),
              owner.assigned(list)
            ),
          revoke: (list, within) =>
            Effect.andThen(
              owner.revoke(list, within),
              Effect.sync(() => tell("Revoked", list))
            ),
          lost: Effect.andThen(
            Effect.sync(() => tell("Lost", [...held.values()])),
            owner.lost
          ),
          failed: owner.failed,
          died: owner.died,
          waits: owner.waits,
          cured: owner.cured
        }
      }),
      (own): Membership.Member => ({
        identity: () => own.identity(),
        isAlive: own.isAlive,
        fetchesAsMember: own.fetchesAsMember,
        topicsChanged: own.topicsChanged,
        commitRefused: (as, code) => own.commitRefused(as, code),
        goesOn: own.goesOn,
        stopping: own.stopping,
        closing: own.closing,
        // Everything was given back by now.
        leave: Effect.andThen(
          Effect.sync(() => {
            tell("Revoked", [...held.values()])
            record({ _tag: "Departed", group, member })
          }),
          own.leave
        )
      })
    )
  }
})
