/**
 * Pure. The member of a group in ZooKeeper, as a state machine: `(state, event, now) → [state, commands]`. It reads no
 * clock, does no I/O and holds no fiber; whoever drives it carries the commands out, feeds the answers back as events,
 * and wakes it at `deadline`.
 *
 * A balance is: look (register where that is missing, ask for metadata, read who is there and who claims what), give
 * back what goes to others, remove the claims on it, claim what comes, take what was claimed.
 *
 * What it holds to:
 * - A claim is the permission to fetch. Nothing is given (`Give`) before its claim stands in the session that lives, and
 *   no claim is removed (`Free`) before what it permitted was given back (`Revoke`, answered by `Released`).
 * - Claims that others hold are waited for, as long each time as `claimDelay` says; whoever frees one wakes us. Where it
 *   has ended, the member fails, typed. Whoever changes the group begins another balance.
 * - A session that is lost takes everything with it: `Lose` at once, nothing is committed, and the next session begins
 *   from what ZooKeeper says by then.
 * - Whoever reads nothing any more keeps what it holds until the group changes, gives it back then, and leaves.
 * - A leader that moves changes the name of a claim, not whose it is: the new name is claimed besides the old one. Of a
 *   partition that another claims besides us, under a name that only it knows, we give way: one of PyKafka does not look.
 */
import * as KafkaError from "../KafkaError.ts"
import { key as keyOf, type TopicPartition } from "../TopicPartition.ts"
import type { Subject } from "./BalancedAssignor.ts"
import { nameOf } from "./BalancedState.ts"
import type { Claim, Command, Event, Settings, State, Taken, View } from "./BalancedState.ts"

export type { Claim, Command, Event, Settings, State, Taken, View } from "./BalancedState.ts"
export { initial, waitsFor } from "./BalancedState.ts"

type Step = readonly [State, ReadonlyArray<Command>]

/** When `Tick` is due, in milliseconds on the clock of `now`. */
export const deadline = (state: State): number | undefined =>
  (state.phase === "waiting" || state.phase === "balanced") && !state.closing ? state.wakeAt : undefined

const place = ({ partition, topic }: TopicPartition): TopicPartition => ({ topic, partition })
const nothing = (state: State): Step => [state, []]

const look = (state: State, namesOnly = false): Step => {
  const round = state.round + 1
  return [{ ...state, phase: "looking", round, stale: "no", namesOnly }, [{ _tag: "Look", round }]]
}

const notWaiting = { wakeAt: undefined, wait: 0 } as const
/** Of a balance that has only begun. */
const fresh = { ...notWaiting, attempt: 0, waited: 0, told: false } as const

/**
 * In the balance that there is, since something may have changed: it begins anew where the look shows that (`looked`).
 * Who waits goes on waiting where not, or two that wait for each other, and say so, would do it for ever.
 */
const lookAgain = (state: State): Step => (state.stopping ? retire(state) : look(state))

/** A balance from the beginning. */
const begin = (state: State): Step => lookAgain({ ...state, ...fresh })

/** What goes to us by a view. */
export const share = ({ assignor, layout }: Settings, view: View): ReadonlyMap<string, TopicPartition> => {
  const subjects: ReadonlyArray<Subject> = view.topics.map((topic) => ({
    topic,
    participants: layout.participants(view.members, topic),
    partitions: layout.order(topic, view.partitions.get(topic) ?? [])
  }))
  const isMixed = assignor.assignMixed !== undefined && layout.isMixed(view.members, view.topics)
  const shares = isMixed ? assignor.assignMixed!(subjects) : assignor.assign(subjects)
  const ours = new Map<string, TopicPartition>()
  for (const { partitions, topic } of subjects) {
    const claimant = layout.claimant(topic)
    shares.get(topic)?.forEach((to, i) => {
      const one = partitions[i]
      if (to === claimant && one !== undefined) ours.set(keyOf({ topic, ...one }), { topic, partition: one.partition })
    })
  }
  return ours
}

const differ = <A>(before: ReadonlyMap<string, A>, now: ReadonlyMap<string, A>, what: (one: A) => unknown): boolean =>
  before.size !== now.size ||
  [...now].some(([key, one]) => {
    const other = before.get(key)
    return other === undefined || what(other) !== what(one)
  })

/** Whether there is something else to share out, or others to share it with, than by the view before. */
const isOther = (before: View | undefined, view: View): boolean =>
  before === undefined ||
  differ(before.members, view.members, (said) => said) ||
  differ(before.partitions, view.partitions, (partitions) => partitions.length)

/** The claims that stand, or may stand, by a view. */
const standing = ({ layout }: Settings, view: View): Map<string, Array<Claim>> => {
  const held = new Map<string, Array<Claim>>()
  const stands = (claim: Claim): void => {
    const claims = held.get(keyOf(claim))
    if (claims === undefined) held.set(keyOf(claim), [claim])
    else claims.push(claim)
  }
  for (const [topic, nodes] of view.ours)
    for (const node of nodes) {
      const partition = layout.partitionOf(node)
      if (partition !== undefined) stands({ topic, partition, node })
    }
  for (const claim of view.left) stands(claim)
  return held
}

const without = (state: State, claims: ReadonlyArray<Claim>): ReadonlyMap<string, ReadonlyArray<Claim>> => {
  const gone = new Set(claims.map((claim) => `${claim.topic}/${claim.node}`))
  const held = new Map<string, ReadonlyArray<Claim>>()
  for (const [key, list] of state.held) {
    const left = list.filter((claim) => !gone.has(`${claim.topic}/${claim.node}`))
    if (left.length > 0) held.set(key, left)
  }
  return held
}

/** Everything is gone with the session, or with a claim that another has in our place. */
const lose = (state: State): Step => {
  const round = state.round + 1
  const lost: State = {
    ...state,
    ...fresh,
    phase: "losing",
    round,
    held: new Map(),
    owned: new Map(),
    wanted: new Map(),
    contested: new Set(),
    asked: [],
    view: undefined
  }
  return state.owned.size > 0
    ? [lost, [{ _tag: "Lose", round }]]
    : [{ ...lost, phase: state.session === undefined ? "away" : "losing" }, []]
}

const looked = (settings: Settings, last: State, view: View, now: number): Step => {
  const held = standing(settings, view)
  // A group that is another than the last view showed begins another balance, whatever was looked for: nobody who
  // compares with this view sees that anything has changed. So does what goes to us, where leaders make it another.
  const isAnother = isOther(last.view, view)
  const before: State = isAnother ? { ...last, namesOnly: false } : last
  let wanted = before.wanted
  try {
    if (!before.namesOnly) wanted = share(settings, view)
  } catch (defect) {
    // The application's own: what is held is given back, as with every failure.
    const why = { _tag: "Misuse", message: `the assignor failed: ${String(defect)}`, group: settings.group } as const
    return retire({ ...before, view, held }, KafkaError.make(why, defect))
  }
  const theirs = new Set<string>()
  for (const [topic, nodes] of view.claims)
    for (const node of nodes)
      if (view.ours.get(topic)?.has(node) !== true) theirs.add(`${topic}-${settings.layout.partitionOf(node)}`)
  const contested = new Set([...held.keys()].filter((key) => theirs.has(key)))
  const begun = isAnother || differ(before.wanted, wanted, keyOf) ? fresh : {}
  const state: State = { ...before, ...begun, view, held, wanted, contested, asked: [] }
  // What we read without a claim, and another claims, is not ours any more.
  if ([...state.owned.keys()].some((key) => !held.has(key) && theirs.has(key))) return lose(state)
  const leaving = [...state.owned].filter(([key]) => !stays(state, key)).map(([, one]) => place(one))
  if (leaving.length === 0) return free(settings, state, now)
  return [{ ...state, phase: "revoking" }, [{ _tag: "Revoke", round: state.round, partitions: leaving }]]
}

/** Whether we may keep what we hold. */
const stays = ({ contested, wanted }: State, key: string): boolean => wanted.has(key) && !contested.has(key)

/** The claims on what does not stay ours. */
const leftOver = (state: State): ReadonlyArray<Claim> =>
  [...state.held].filter(([key]) => !stays(state, key)).flatMap(([, list]) => list)

/** Removes them. */
const free = (settings: Settings, state: State, now: number): Step => {
  const claims = leftOver(state)
  if (claims.length === 0) return claim(settings, state, now)
  return [{ ...state, phase: "freeing" }, [{ _tag: "Free", round: state.round, claims }]]
}

/** Claims what is ours by the balance, and the new names of what we hold; what others hold is not asked for. */
const claim = (settings: Settings, state: State, now: number): Step => {
  if (state.closing) return nothing({ ...state, phase: "balanced" })
  const view = state.view!
  const taken: Array<TopicPartition> = []
  const claims: Array<Claim> = []
  for (const [key, { partition, topic }] of state.wanted) {
    const node = nameOf(settings.layout, view, { partition, topic })
    const mine = state.held.get(key)
    // A partition without a leader has no name.
    if (node === undefined || mine?.some((one) => one.node === node)) continue
    const theirs = (view.claims.get(topic) ?? []).some(
      (name) => settings.layout.partitionOf(name) === partition && !mine?.some((one) => one.node === name)
    )
    if (theirs && mine === undefined) taken.push({ topic, partition })
    else claims.push({ topic, partition, node })
  }
  return claims.length === 0 && taken.length === 0
    ? claimed(settings, state, [], [], now)
    : [
        { ...state, phase: "claiming", asked: claims },
        [{ _tag: "Claim", round: state.round, claims, taken, asks: state.attempt > 0 }]
      ]
}

const claimed = (
  settings: Settings,
  before: State,
  ours: ReadonlyArray<Claim>,
  all: ReadonlyArray<Taken>,
  now: number
): Step => {
  const held = new Map(before.held)
  for (const one of ours) held.set(keyOf(one), [...(held.get(keyOf(one)) ?? []), one])
  const gained = [...before.wanted]
    .filter(([key]) => held.has(key) && !before.owned.has(key))
    .map(([, one]) => place(one))
  const owned = new Map(before.owned)
  for (const one of gained) owned.set(keyOf(one), one)
  // A new name of what we hold may be another's: whoever looks sees that we hold the old one.
  const taken = all.filter((one) => !held.has(keyOf(one)))
  // Its claim had vanished, and another was there first.
  if (taken.some((one) => before.owned.has(keyOf(one)))) return lose(before)
  const give: ReadonlyArray<Command> = gained.length > 0 || !before.told ? [{ _tag: "Give", partitions: gained }] : []
  const state: State = { ...before, held, owned, asked: [], told: true }
  if (state.stale !== "no") {
    const [next, commands] = state.stale === "all" ? lookAgain(state) : look(state, true)
    return [next, [...give, ...commands]]
  }
  if (taken.length === 0) {
    // What has no leader could not be claimed. Nobody tells when it has one: it is looked at again.
    const isWhole = [...state.wanted.keys()].every((key) => held.has(key))
    return [{ ...state, phase: "balanced", attempt: 0, wakeAt: isWhole ? undefined : now + settings.backoff }, give]
  }
  // It was looked in between.
  if (state.wakeAt !== undefined) return [{ ...state, phase: "waiting" }, give]
  const attempt = state.attempt + 1
  const why = () => isTaken(settings, state, taken)
  const wait = settings.claimDelay(attempt, why)
  if (wait === undefined) {
    const [next, commands] = retire(state, why())
    return [next, [...give, ...commands]]
  }
  const claimants = [...new Set(taken.map((one) => one.by).filter((by) => by !== ""))]
  const nudge: ReadonlyArray<Command> = state.attempt > 0 && claimants.length > 0 ? [{ _tag: "Nudge", claimants }] : []
  return [{ ...state, phase: "waiting", attempt, wait, wakeAt: now + Math.max(1, wait) }, [...give, ...nudge]]
}

const isTaken = (settings: Settings, state: State, taken: ReadonlyArray<Taken>): KafkaError.KafkaError => {
  const first = taken[0]!
  const by = first.by === "" ? "" : `, the first of them by ${first.by}`
  return KafkaError.make({
    _tag: "TimedOut",
    budget: settings.claimSetting,
    millis: state.waited,
    waitingFor: `${taken.length} partition(s) that others claim, tried ${state.attempt + 1} times${by}`,
    group: settings.group,
    ...place(first)
  })
}

/** Gives back what it has, and leaves; fails then, where there is why. */
const retire = (state: State, failure?: KafkaError.KafkaError): Step => {
  const round = state.round + 1
  const retiring: State = { ...state, round, closing: true, retires: true, wakeAt: undefined, failure }
  return state.owned.size === 0
    ? retired(retiring)
    : [
        { ...retiring, phase: "revoking" },
        [{ _tag: "Revoke", round, partitions: [...state.owned.values()].map(place) }]
      ]
}

const retired = (state: State): Step => {
  const failure: ReadonlyArray<Command> = state.failure === undefined ? [] : [{ _tag: "Fail", error: state.failure }]
  return [{ ...state, phase: "leaving", round: state.round + 1, owned: new Map() }, [...failure, leave(state)]]
}

const leave = (state: State): Command => ({
  _tag: "Leave",
  claims: [...[...state.held.values()].flat(), ...state.asked]
})

/** One step. */
export const step = (settings: Settings, state: State, event: Event, now: number): Step => {
  if (state.phase === "ended") return nothing(state)
  if ("round" in event && event.round !== state.round) return nothing(state)
  switch (event._tag) {
    case "Tick":
      if (deadline(state) === undefined || now < state.wakeAt!) return nothing(state)
      return look({ ...state, ...notWaiting, waited: state.waited + state.wait }, state.phase === "balanced")
    case "SessionBegan": {
      if (state.phase === "leaving") return nothing(state)
      if (state.phase === "losing") return nothing({ ...state, session: event.session })
      // Had it not been said that the one before was lost, it is known by now.
      if (state.session !== undefined) {
        const [lost, commands] = lose({ ...state, session: event.session })
        return commands.length > 0 || state.closing ? [lost, commands] : begin(lost)
      }
      const next: State = { ...state, session: event.session }
      return next.closing ? nothing(next) : begin(next)
    }
    case "SessionLost": {
      if (state.session === undefined) return nothing(state)
      const gone: State = { ...state, session: undefined }
      if (state.phase === "leaving") return nothing({ ...gone, held: new Map(), asked: [] })
      // What is being lost already has nothing more to lose.
      if (state.phase === "losing") return nothing({ ...gone, held: new Map() })
      return lose(gone)
    }
    case "Changed":
    case "LeadersMoved":
    case "ClaimsChanged": {
      if (state.closing || state.session === undefined) return nothing(state)
      if (state.stopping) return event._tag === "ClaimsChanged" ? nothing(state) : retire(state)
      const names = event._tag === "LeadersMoved" && [...state.wanted.keys()].every((key) => state.held.has(key))
      switch (state.phase) {
        case "balanced":
          return event._tag === "ClaimsChanged" ? nothing(state) : names ? look(state, true) : begin(state)
        case "waiting":
          if (event._tag === "Changed") return lookAgain(state)
          // What is freed makes no wait of ours a failed one.
          return look({ ...state, ...notWaiting, attempt: Math.max(0, state.attempt - 1) })
        case "looking":
        case "revoking":
        case "freeing":
        case "claiming":
          if (event._tag === "ClaimsChanged") return nothing(state)
          return nothing({ ...state, stale: names && state.stale !== "all" ? "names" : "all" })
        default:
          return nothing(state)
      }
    }
    case "Looked": {
      if (state.phase !== "looking") return nothing(state)
      if (state.closing) return nothing({ ...state, phase: "balanced", held: standing(settings, event.view) })
      return looked(settings, state, event.view, now)
    }
    case "Released":
      switch (state.phase) {
        case "revoking": {
          if (state.retires) return retired(state)
          const owned = new Map([...state.owned].filter(([key]) => stays(state, key)))
          return free(settings, { ...state, owned }, now)
        }
        case "losing": {
          // What it was to give back before it leaves is lost.
          if (state.retires) return retired(state)
          const away: State = { ...state, phase: "away" }
          if (state.stopping && !state.closing) return retire(away)
          return state.session === undefined || state.closing ? nothing(away) : begin(away)
        }
        default:
          return nothing(state)
      }
    case "Freed": {
      if (state.phase !== "freeing") return nothing(state)
      const next: State = { ...state, held: without(state, leftOver(state)) }
      return state.closing ? nothing({ ...next, phase: "balanced" }) : claim(settings, next, now)
    }
    case "Claimed": {
      if (state.phase !== "claiming") return nothing(state)
      if (!state.closing) return claimed(settings, state, event.ours, event.taken, now)
      const held = new Map(state.held)
      for (const one of event.ours) held.set(keyOf(one), [...(held.get(keyOf(one)) ?? []), one])
      return nothing({ ...state, phase: "balanced", held, asked: [] })
    }
    case "RoundFailed": {
      if (state.phase !== "looking" && state.phase !== "freeing" && state.phase !== "claiming") return nothing(state)
      if (state.closing) return nothing({ ...state, phase: "balanced" })
      if (!event.error.isRetryable) {
        // The session is over: that is told in its own time.
        if (event.error.reason._tag === "ZooKeeperRefused" && event.error.reason.name === "SESSION_EXPIRED") {
          return nothing({ ...state, phase: "waiting", wakeAt: now + settings.backoff })
        }
        return retire(state, event.error)
      }
      // ZooKeeper is away, or the cluster: what is ours stays ours as long as the session does.
      return nothing({ ...state, phase: "waiting", wakeAt: now + settings.backoff })
    }
    case "Refused":
      return state.closing ? nothing(state) : retire(state, event.error)
    case "Stopping": {
      const stopping: State = { ...state, stopping: true }
      if (state.closing || state.phase === "away" || state.phase === "losing") return nothing(stopping)
      // A balance that is on its way goes on without it; whoever holds nothing need not be waited for.
      if (state.phase !== "balanced" || state.owned.size === 0) return retire(stopping)
      return nothing({ ...stopping, wakeAt: undefined })
    }
    case "Closing":
      return nothing({ ...state, closing: true })
    case "Close":
      return state.phase === "leaving"
        ? nothing(state)
        : [
            { ...state, phase: "leaving", closing: true, wakeAt: undefined, round: state.round + 1, owned: new Map() },
            [leave(state)]
          ]
    case "Left":
      return state.phase === "leaving" ? nothing({ ...state, phase: "ended" }) : nothing(state)
  }
}
