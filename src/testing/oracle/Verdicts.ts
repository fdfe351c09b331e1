/** The invariants, as pure functions of a history and of the logs at its end. */

interface At {
  readonly topic: string
  readonly partition: number
}

export type Event =
  | { readonly _tag: "Submitted"; readonly sender: string; readonly topic: string; readonly id: string }
  | (At & { readonly _tag: "Acknowledged"; readonly sender: string; readonly id: string; readonly offset: number })
  | (At & { readonly _tag: "Assigned"; readonly group: string; readonly member: string })
  | (At & { readonly _tag: "Delivered"; readonly group: string; readonly member: string; readonly offset: number })
  | (At & { readonly _tag: "Finished"; readonly group: string; readonly member: string; readonly offset: number })
  | (At & {
      readonly _tag: "Released"
      readonly group: string
      readonly member: string
      readonly how: "revoked" | "lost"
    })
  | (At & { readonly _tag: "Sought"; readonly group: string; readonly offset: number })
  | (At & { readonly _tag: "Committed"; readonly group: string; readonly offset: number })
  | { readonly _tag: "Began"; readonly name: string; readonly id: number }
  | { readonly _tag: "Ended"; readonly id: number }
  | { readonly _tag: "Used"; readonly what: string; readonly amount: number; readonly limit: number }

export type Invariant = "I1" | "I2" | "I3" | "I4" | "I5" | "I6" | "I8" | "I9"

export interface Violation {
  readonly invariant: Invariant
  readonly message: string
}

/** The records that can be read at the end, by `topic-partition`, in the order of their offsets. */
export type Logs = ReadonlyMap<string, ReadonlyArray<{ readonly offset: number; readonly id: string }>>

const keyOf = ({ partition, topic }: At): string => `${topic}-${partition}`

/** Everything that does not hold. */
export const check = (events: ReadonlyArray<Event>, logs: Logs): ReadonlyArray<Violation> => [
  ...produced(events, logs),
  ...consumed(events, logs),
  ...ended(events)
]

/** I1, I2, I3. */
const produced = (events: ReadonlyArray<Event>, logs: Logs): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const submitted = new Map<string, number>()
  const lastOf = new Map<string, { readonly order: number; readonly id: string }>()
  const acknowledged: Array<Event & { readonly _tag: "Acknowledged" }> = []
  for (const [order, event] of events.entries()) {
    if (event._tag === "Submitted") submitted.set(event.id, order)
    else if (event._tag === "Acknowledged") acknowledged.push(event)
  }
  const at = new Map<string, string>()
  const places = new Map<string, Array<string>>()
  for (const [partition, records] of logs)
    for (const { id, offset } of records) {
      at.set(`${partition}@${offset}`, id)
      if (submitted.has(id)) places.set(id, [...(places.get(id) ?? []), `${partition}@${offset}`])
    }
  for (const event of acknowledged) {
    const place = `${keyOf(event)}@${event.offset}`
    const there = at.get(place)
    if (there !== event.id)
      found.push({
        invariant: "I1",
        message: `"${event.id}" was acknowledged at ${place}, where ${there === undefined ? "nothing" : `"${there}"`} is`
      })
  }
  for (const [id, all] of places)
    if (all.length > 1)
      found.push({ invariant: "I3", message: `"${id}" is there ${all.length} times: ${all.join(", ")}` })
  const inOrder = acknowledged
    .filter((event) => submitted.has(event.id))
    .sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : keyOf(a) > keyOf(b) ? 1 : a.offset - b.offset))
  for (const event of inOrder) {
    const stream = `${event.sender} ${keyOf(event)}`
    const order = submitted.get(event.id)!
    const last = lastOf.get(stream)
    if (last !== undefined && last.order > order)
      found.push({
        invariant: "I2",
        message: `${event.sender} sent "${event.id}" before "${last.id}", which lies before it in ${keyOf(event)}`
      })
    lastOf.set(stream, { order, id: event.id })
  }
  return found
}

/** What a group does with one partition. */
interface Share {
  owner: string | undefined
  /** The last offset that was given out in the present ownership. */
  last: number | undefined
  /** The next may be anything: after a seek, or where nothing was committed. */
  free: boolean
  committed: number | undefined
  /** How far the commits of the present and former owners may go: the offsets that are not finished. */
  readonly unfinished: Set<number>
  highest: number
  /** Given out once, and by whom that owner lost the partition. */
  readonly given: Map<number, "held" | "revoked" | "lost">
  /** The commit at the present assignment. */
  since: number | undefined
}

/** I4, I5, I6. */
const consumed = (events: ReadonlyArray<Event>, logs: Logs): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const shares = new Map<string, Share>()
  const shareOf = (group: string, at: At): Share => {
    const key = `${group} ${keyOf(at)}`
    let share = shares.get(key)
    if (share === undefined)
      shares.set(
        key,
        (share = {
          owner: undefined,
          last: undefined,
          free: true,
          committed: undefined,
          unfinished: new Set(),
          highest: -1,
          given: new Map(),
          since: undefined
        })
      )
    return share
  }
  const nextVisible = (at: At, from: number): number | undefined =>
    logs.get(keyOf(at))?.find((record) => record.offset >= from)?.offset

  for (const event of events) {
    if (!("group" in event)) continue
    const share = shareOf(event.group, event)
    const where = `${keyOf(event)} of group ${event.group}`
    switch (event._tag) {
      case "Assigned":
        if (share.owner !== undefined && share.owner !== event.member)
          found.push({ invariant: "I6", message: `${event.member} was given ${where}, which ${share.owner} still has` })
        share.owner = event.member
        share.last = undefined
        share.free = share.committed === undefined
        share.since = share.committed
        break
      case "Released":
        if (share.owner === event.member) share.owner = undefined
        for (const [offset, how] of share.given) if (how === "held") share.given.set(offset, event.how)
        share.unfinished.clear()
        share.last = undefined
        break
      case "Sought":
        share.free = true
        share.last = undefined
        share.committed = Math.min(share.committed ?? event.offset, event.offset)
        share.given.clear()
        break
      case "Delivered": {
        const { offset } = event
        if (share.owner !== undefined && share.owner !== event.member)
          found.push({
            invariant: "I6",
            message: `${event.member} was given ${where}@${offset}, which is ${share.owner}'s`
          })
        const expected =
          share.last !== undefined
            ? nextVisible(event, share.last + 1)
            : share.free
              ? offset
              : nextVisible(event, share.committed!)
        if (expected !== offset && !(expected === undefined && share.last === undefined))
          found.push({ invariant: "I4", message: `${where}@${offset} came where ${expected ?? "nothing"} was next` })
        const before = share.given.get(offset)
        if (before === "revoked")
          found.push({ invariant: "I6", message: `${where}@${offset} came again, after it was given up in order` })
        else if (before === "lost" && share.since !== undefined && offset < share.since)
          found.push({ invariant: "I6", message: `${where}@${offset} came again, before the commit ${share.since}` })
        else if (before === "held")
          found.push({ invariant: "I6", message: `${where}@${offset} came twice to its owner` })
        share.given.set(offset, "held")
        share.unfinished.add(offset)
        share.highest = Math.max(share.highest, offset)
        share.last = offset
        share.free = false
        break
      }
      case "Finished":
        share.unfinished.delete(event.offset)
        break
      case "Committed": {
        const lowest = share.unfinished.size === 0 ? undefined : Math.min(...share.unfinished)
        if (lowest !== undefined && event.offset > lowest)
          found.push({
            invariant: "I5",
            message: `${where}: ${event.offset} was committed while ${lowest} is not finished`
          })
        if (share.committed !== undefined && event.offset < share.committed)
          found.push({
            invariant: "I5",
            message: `${where}: the commit went back from ${share.committed} to ${event.offset}`
          })
        share.committed = event.offset
        // what was given up and is behind the commit may not come again; what is before it may, after a loss
        for (const [offset, how] of share.given)
          if (how === "revoked" && offset >= event.offset) share.given.delete(offset)
        break
      }
    }
  }
  return found
}

/** I8, I9. */
const ended = (events: ReadonlyArray<Event>): ReadonlyArray<Violation> => {
  const open = new Map<number, string>()
  const found: Array<Violation> = []
  for (const event of events) {
    if (event._tag === "Began") open.set(event.id, event.name)
    else if (event._tag === "Ended") open.delete(event.id)
    else if (event._tag === "Used" && event.amount > event.limit)
      found.push({
        invariant: "I9",
        message: `${event.what}: ${event.amount} were in use, the limit is ${event.limit}`
      })
  }
  for (const name of open.values()) found.push({ invariant: "I8", message: `${name} has not ended` })
  return found
}
