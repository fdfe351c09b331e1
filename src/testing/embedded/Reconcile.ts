/**
 * Pure. One step of a member towards its target: first it gives up what it shall not have, at its old epoch; then it is
 * at the target's epoch and has what nobody else owns any more; the rest comes as others give it up.
 */
import { type Member, nothingOwned, type Owned, type Progress } from "./ConsumerGroupData.ts"
import type { Partitions } from "./ServerAssignor.ts"

interface Step {
  readonly targetEpoch: number
  readonly target: Partitions
  /** Whether somebody owns the partition, the member itself included. */
  readonly isOwned: (topicId: string, partition: number) => boolean
  /** What the member says that it owns; null where it says nothing. */
  readonly says: Partitions | null
  /** The topics that it is subscribed to; undefined where that does not count (before 4.1). */
  readonly subscribed: ReadonlySet<string> | undefined
  /** Its subscription has changed, or a topic of its own is gone: what is not subscribed is given up at once. */
  readonly enforce: boolean
}

/** Whether a member says nothing, or says that it owns some of what it was to give up. */
const holdsOn = (says: Partitions | null, revoking: Owned): boolean => {
  if (says === null) return true
  for (const [topicId, partitions] of says) {
    const given = revoking.get(topicId)
    if (given !== undefined) for (const p of partitions) if (given.has(p)) return true
  }
  return false
}

export const isReconciled = (member: Member, targetEpoch: number): boolean =>
  member.progress === "stable" && member.epoch === targetEpoch

/** The member after the step; the same one where there is none to take. */
export const reconcile = (member: Member, step: Step): Member => {
  switch (member.progress) {
    case "stable":
      if (member.epoch !== step.targetEpoch) return next(member, step, member.epoch)
      return step.enforce ? unsubscribe(member, step) : member
    case "unrevoked":
      if (holdsOn(step.says, member.revoking)) return step.enforce ? unsubscribe(member, step) : member
      // before 4.1 a member that gave something up was one epoch further on
      return next(member, step, step.subscribed === undefined ? member.epoch + 1 : member.epoch)
    case "unreleased":
      return next(member, step, member.epoch)
  }
}

const at = (
  member: Member,
  epoch: number,
  progress: Progress,
  assigned: Owned,
  revoking: Owned = nothingOwned
): Member => ({ ...member, epoch, previousEpoch: member.epoch, progress, assigned, revoking })

const next = (member: Member, step: Step, epoch: number): Member => {
  const { says, subscribed, target, targetEpoch } = step
  const kept = new Map<string, Map<number, number>>()
  const revoking = new Map<string, Map<number, number>>()
  const given: Array<readonly [topicId: string, partition: number]> = []
  let unreleased = false
  const put = (to: Map<string, Map<number, number>>, topicId: string, partition: number, epoch: number) => {
    const known = to.get(topicId)
    if (known === undefined) to.set(topicId, new Map([[partition, epoch]]))
    else known.set(partition, epoch)
  }
  const isTarget = (topicId: string, partition: number) =>
    target.get(topicId)?.has(partition) === true && (subscribed === undefined || subscribed.has(topicId))

  for (const [topicId, partitions] of member.assigned)
    for (const [p, since] of partitions) put(isTarget(topicId, p) ? kept : revoking, topicId, p, since)
  for (const [topicId, partitions] of target) {
    if (subscribed !== undefined && !subscribed.has(topicId)) continue
    for (const p of partitions) {
      if (kept.get(topicId)?.has(p) === true) continue
      const own = subscribed !== undefined && member.revoking.get(topicId)?.has(p) === true
      if (step.isOwned(topicId, p) && !own) unreleased = true
      else given.push([topicId, p])
    }
  }
  if (revoking.size > 0 && holdsOn(says, revoking)) return at(member, epoch, "unrevoked", kept, revoking)
  for (const [topicId, p] of given) put(kept, topicId, p, targetEpoch)
  return at(member, targetEpoch, unreleased ? "unreleased" : "stable", kept)
}

/** Takes what it is not subscribed to away, and leaves the rest as it is. */
const unsubscribe = (member: Member, { says, subscribed }: Step): Member => {
  const gone = Array.from(member.assigned).filter(([topicId]) => subscribed?.has(topicId) === false)
  if (gone.length === 0) return member
  const assigned = new Map(member.assigned)
  const revoking = new Map(member.revoking)
  for (const [topicId, partitions] of gone) {
    assigned.delete(topicId)
    revoking.set(topicId, new Map([...(revoking.get(topicId) ?? []), ...partitions]))
  }
  return holdsOn(says, revoking)
    ? at(member, member.epoch, "unrevoked", assigned, revoking)
    : { ...member, previousEpoch: member.epoch, assigned }
}
