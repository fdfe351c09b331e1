/**
 * Pure. How membership of a group of the consumer protocol ends, by time or by force, and what members may commit and read
 * while it lasts.
 */
import * as Code from "./Code.ts"
import { type Deadlines, type Member, GroupRefusal, type View } from "./ConsumerGroupData.ts"
import { metadataOf, type State } from "./ConsumerGroupState.ts"

/** The member of an id; refused where there is none. */
export const memberOf = (state: State, memberId: string): Member => {
  const member = state.members.get(memberId)
  if (member === undefined)
    throw new GroupRefusal(Code.unknownMemberId, `Member ${memberId} is not a member of group ${state.id}.`)
  return member
}

// ── leaving

/**
 * Takes members out. True where those who are left all speak the classic protocol, and the group may become a classic one;
 * its epoch is then as it was.
 */
export const fence = (state: State, memberIds: ReadonlyArray<string>, view: View): boolean => {
  const spoke = memberIds.some((id) => state.members.get(id)?.classic === undefined)
  for (const id of memberIds) state.remove(id)
  if (spoke && mayDowngrade(state)) return true
  state.metadata = metadataOf(state, view)
  state.epoch++
  if (state.settings.modern && state.members.size === 0) {
    // nobody is left to assign to: that is the assignment, and the next one waits for nothing
    state.assignmentEpoch = state.epoch
    state.assignedAt = 0
  }
  return false
}

export const mayDowngrade = (state: State): boolean => {
  const { classicMaxSize, migration } = state.settings
  return (
    state.members.size > 0 &&
    state.members.size <= classicMaxSize &&
    (migration === "bidirectional" || migration === "downgrade") &&
    Array.from(state.members.values()).every((member) => member.classic !== undefined)
  )
}

const dueOf = ({ join, rebalance, session, sync }: Deadlines): number =>
  Math.min(session, rebalance ?? Infinity, join ?? Infinity, sync ?? Infinity)

/** When something is due next; `Infinity` where nothing is. */
export const nextDeadline = (state: State): number => {
  let next = Infinity
  for (const deadlines of state.deadlines.values()) next = Math.min(next, dueOf(deadlines))
  return next
}

/** Takes out whose time is up; true as `fence`. */
export const expire = (state: State, view: View): boolean => {
  const late = Array.from(state.deadlines)
    .filter(([, deadlines]) => dueOf(deadlines) <= view.now)
    .sort(([, a], [, b]) => dueOf(a) - dueOf(b))
  for (const [id] of late) if (fence(state, [id], view)) return true
  return false
}

// ── commits

/** Whether a commit may be stored: refused where not; else what is to be asked of each partition. */
export const commits = (
  state: State,
  memberId: string,
  instanceId: string | null,
  epoch: number,
  version: number,
  transactional: boolean
): ((topicId: string, partition: number) => number) => {
  const stored = () => Code.none
  if (epoch < 0 && state.members.size === 0) return stored
  if (state.settings.modern && transactional && epoch === -1 && memberId === "" && instanceId === null) return stored
  const member = memberOf(state, memberId)
  if (!transactional && member.classic === undefined && version < 9)
    throw new GroupRefusal(Code.unsupportedVersion, "OffsetCommit version 9 or above must be used")
  const stale = member.classic === undefined ? Code.staleMemberEpoch : Code.illegalGeneration
  if (epoch === member.epoch) return stored
  if (!state.settings.modern || epoch > member.epoch)
    throw new GroupRefusal(
      stale,
      `The received member epoch ${epoch} does not match the expected member epoch ${member.epoch}.`
    )
  return (topicId, partition) => {
    const since = member.assigned.get(topicId)?.get(partition) ?? member.revoking.get(topicId)?.get(partition)
    return since === undefined || epoch < since ? stale : Code.none
  }
}

/** Whether a member may read commits: refused where its epoch is stale. */
export const reads = (state: State, memberId: string | null, epoch: number): void => {
  if (memberId === null && epoch < 0) return
  const member = memberOf(state, memberId ?? "")
  if (member.epoch !== epoch)
    throw new GroupRefusal(
      member.classic === undefined ? Code.staleMemberEpoch : Code.illegalGeneration,
      `The received member epoch ${epoch} does not match the expected member epoch ${member.epoch}.`
    )
}
