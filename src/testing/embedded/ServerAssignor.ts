/**
 * Pure. The assignors that a coordinator has (KIP-848): `uniform`, which evens out the whole and moves as little as it
 * can, and `range`, which gives each member the same span of every topic. Neither looks at racks, as in Kafka 4.
 */

/** Partitions by topic id. */
export type Partitions = ReadonlyMap<string, ReadonlySet<number>>

interface AssignedMember {
  readonly instanceId: string | null
  /** The ids of the topics that it is subscribed to and that exist. */
  readonly topics: ReadonlySet<string>
  /** What it was to have by the last assignment. */
  readonly target: Partitions
}

export interface Spec {
  readonly members: ReadonlyMap<string, AssignedMember>
  readonly partitionsOf: (topicId: string) => number
  /** From 4.0 on what is over goes first to those who have as much already. */
  readonly keepsExtras: boolean
}

export type Assignor = (spec: Spec) => ReadonlyMap<string, Partitions>

type Draft = Map<string, Set<number>>

const add = (draft: Draft, topicId: string, partition: number): void => {
  const known = draft.get(topicId)
  if (known === undefined) draft.set(topicId, new Set([partition]))
  else known.add(partition)
}

const sameTopics = (a: ReadonlySet<string>, b: ReadonlySet<string>): boolean => {
  if (a.size !== b.size) return false
  for (const each of a) if (!b.has(each)) return false
  return true
}

const isHomogeneous = ({ members }: Spec): boolean => {
  let first: ReadonlySet<string> | undefined
  for (const { topics } of members.values()) {
    if (first === undefined) first = topics
    else if (!sameTopics(first, topics)) return false
  }
  return true
}

// ── range

/** Static members come first, by instance id, then the others by member id, so that who comes back has the same span. */
const inOrder = (spec: Spec): ReadonlyArray<readonly [memberId: string, member: AssignedMember]> =>
  Array.from(spec.members).sort(([a, { instanceId: i }], [b, { instanceId: j }]) => {
    if (i !== null && j !== null) return i < j ? -1 : i > j ? 1 : 0
    if (i !== null) return -1
    if (j !== null) return 1
    return a < b ? -1 : 1
  })

/** `range`: of each topic, a span to each subscriber; the first ones have one more where it does not divide. */
export const range: Assignor = (spec) => {
  const members = inOrder(spec)
  const subscribers = new Map<string, number>()
  for (const [, { topics }] of members) for (const id of topics) subscribers.set(id, (subscribers.get(id) ?? 0) + 1)
  const given = new Map<string, { next: number; more: number }>()
  return new Map(
    members.map(([memberId, { topics }]) => {
      const own: Draft = new Map()
      for (const topicId of topics) {
        const partitions = spec.partitionsOf(topicId)
        const shares = subscribers.get(topicId)!
        let state = given.get(topicId)
        if (state === undefined) given.set(topicId, (state = { next: 0, more: partitions % shares }))
        let end = state.next + Math.floor(partitions / shares)
        if (state.more > 0) {
          state.more--
          end++
        }
        for (let p = state.next; p < end; p++) add(own, topicId, p)
        state.next = end
      }
      return [memberId, own]
    })
  )
}

// ── uniform

/** All members want the same topics: each has its quota, keeps what fits into it, and is filled up with what is free. */
const uniformOfOneSubscription = (spec: Spec): ReadonlyMap<string, Partitions> => {
  const topics = spec.members.values().next().value!.topics
  const drafts = new Map<string, Draft>()
  if (topics.size === 0) return drafts
  const taken = new Map<string, Set<number>>()
  for (const { target } of spec.members.values())
    for (const [topicId, partitions] of target) for (const p of partitions) add(taken, topicId, p)
  const free: Array<readonly [topicId: string, partition: number]> = []
  let total = 0
  for (const topicId of topics) {
    const count = spec.partitionsOf(topicId)
    total += count
    const owned = taken.get(topicId)
    for (let p = 0; p < count; p++) if (owned?.has(p) !== true) free.push([topicId, p])
  }
  const least = Math.floor(total / spec.members.size)
  let more = total % spec.members.size
  const hungry: Array<readonly [draft: Draft, quota: number]> = []
  for (const [index, [memberId, { target }]] of Array.from(spec.members).entries()) {
    let extra = more > 0
    let quota = least + (extra ? 1 : 0)
    const own: Draft = new Map()
    for (const [topicId, partitions] of target) {
      if (!topics.has(topicId)) continue
      const count = spec.partitionsOf(topicId)
      // the lowest are kept, as Java's sets of numbers go up
      for (const p of Array.from(partitions).sort((a, b) => a - b)) {
        if (p >= count) continue
        if (quota > 0) {
          quota--
          add(own, topicId, p)
        } else free.push([topicId, p])
      }
    }
    // one more than the others goes to who has as much already, if there are enough behind that might
    if (quota > 0 && extra && spec.keepsExtras && spec.members.size - index > more) {
      extra = false
      quota--
    }
    if (extra) more--
    drafts.set(memberId, own)
    if (quota > 0) hungry.push([own, quota])
  }
  let next = 0
  for (const [own, quota] of hungry) for (let i = 0; i < quota && next < free.length; i++) add(own, ...free[next++]!)
  return drafts
}

/** How often the topics are gone through to even out members whose subscriptions overlap. */
const rounds = 16

/**
 * Members want different topics. What is free goes to the subscriber with the least; then, topic by topic, partitions go
 * from the subscriber with the most to the one with the least, as long as that evens them out.
 */
const uniformOfSeveral = (spec: Spec): ReadonlyMap<string, Partitions> => {
  const ids = Array.from(spec.members.keys())
  const drafts = ids.map((): Draft => new Map())
  const sizes = ids.map(() => 0)
  const subscribers = new Map<string, Array<number>>()
  const owners = new Map<string, Array<number>>()
  for (const [index, { topics }] of Array.from(spec.members.values()).entries())
    for (const topicId of topics) {
      const known = subscribers.get(topicId)
      if (known === undefined) {
        subscribers.set(topicId, [index])
        owners.set(
          topicId,
          Array.from({ length: spec.partitionsOf(topicId) }, () => -1)
        )
      } else known.push(index)
    }
  const give = (topicId: string, partition: number, index: number): void => {
    const owner = owners.get(topicId)!
    const former = owner[partition]!
    if (former >= 0) {
      drafts[former]!.get(topicId)!.delete(partition)
      sizes[former]!--
    }
    owner[partition] = index
    add(drafts[index]!, topicId, partition)
    sizes[index]!++
  }
  for (const [index, { target, topics }] of Array.from(spec.members.values()).entries())
    for (const [topicId, partitions] of target) {
      if (!topics.has(topicId)) continue
      for (const p of partitions) if (p < owners.get(topicId)!.length) give(topicId, p, index)
    }

  /** The topics with the most partitions a subscriber come first: they leave the least choice. */
  const sorted = Array.from(subscribers.keys()).sort((a, b) => {
    const [m, n] = [subscribers.get(a)!.length, subscribers.get(b)!.length]
    return spec.partitionsOf(b) / n - spec.partitionsOf(a) / m || m - n || (a < b ? -1 : 1)
  })
  const extreme = (of: ReadonlyArray<number>, better: (a: number, b: number) => boolean): number =>
    of.reduce((best, each) => (better(sizes[each]!, sizes[best]!) ? each : best))
  const fewest = (of: ReadonlyArray<number>) => extreme(of, (a, b) => a < b)
  const most = (of: ReadonlyArray<number>) => extreme(of, (a, b) => a > b)

  for (const topicId of sorted)
    for (const [p, owner] of owners.get(topicId)!.entries())
      if (owner < 0) give(topicId, p, fewest(subscribers.get(topicId)!))

  const evenOut = (topicId: string): boolean => {
    const all = subscribers.get(topicId)!
    let moved = false
    for (;;) {
      const owning = all.filter((index) => (drafts[index]!.get(topicId)?.size ?? 0) > 0)
      if (owning.length === 0) return moved
      const from = most(owning)
      const to = fewest(all)
      if (sizes[from]! - sizes[to]! <= 1) return moved
      give(topicId, Math.max(...drafts[from]!.get(topicId)!), to)
      moved = true
    }
  }
  for (let round = 0; round < rounds; round++) {
    const moved = sorted.map(evenOut)
    if (!moved.includes(true)) break
  }
  for (const draft of drafts) for (const [id, each] of Array.from(draft)) if (each.size === 0) draft.delete(id)
  return new Map(ids.map((id, index) => [id, drafts[index]!]))
}

/** `uniform`, the default. */
export const uniform: Assignor = (spec) =>
  spec.members.size === 0 ? new Map() : isHomogeneous(spec) ? uniformOfOneSubscription(spec) : uniformOfSeveral(spec)

/** By name; the first is taken where no member asks for one (`group.consumer.assignors`). */
export const assignors: ReadonlyMap<string, Assignor> = new Map([
  ["uniform", uniform],
  ["range", range]
])
