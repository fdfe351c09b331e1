import { Effect, Latch } from "effect"
import type { Membership } from "samsa"

/** Whoever has the partitions of a member, and notes what he is told: what was lost has not ended until `ended` is open. */
export const make = Effect.map(Latch.make(), (ended) => {
  const told: Array<string> = []
  const tell = (what: string) => Effect.sync(() => void told.push(what))
  const owner: Membership.Owner = {
    assigned: (list) => (list.length === 0 ? Effect.void : tell(`assigned ${list.length}`)),
    revoke: (list) => tell(`revoke ${list.length}`),
    lost: Effect.andThen(tell("lost"), ended.await),
    failed: () => tell("failed"),
    died: () => tell("died")
  }
  return { ended, owner, told }
})
