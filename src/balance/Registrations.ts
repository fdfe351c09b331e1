/**
 * A member's requests to ZooKeeper: its own id nodes, who else is there, who claims what, and its claims. All of it in one
 * session, which whatever was created hangs on.
 *
 * One function because its requests are all of the one session that it remembers; each is a short function within.
 */
import * as Effect from "effect/Effect"
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import type { Node, Session } from "../ZooKeeper.ts"
import type { Claim, Taken } from "./BalancedMember.ts"
import { compare, type Layout } from "./Layout.ts"

type Removal = { readonly owner: string; readonly data?: Uint8Array }
type Failing<A> = Effect.Effect<A, KafkaError.KafkaError>

export interface Registrations {
  readonly session: Session
  /** Sees to it that the member is there for these topics; who is there, and what they say of themselves. */
  readonly members: (topics: ReadonlyArray<string>) => Failing<ReadonlyMap<string, string>>
  /** The names of a topic's claims, and those of them that are ours. */
  readonly claims: (topic: string) => Failing<readonly [ReadonlyArray<string>, ReadonlySet<string>]>
  /** What may stand of ours on other topics than these. */
  readonly left: (topics: ReadonlyArray<string>) => ReadonlyArray<Claim>
  readonly claim: (
    claims: ReadonlyArray<Claim>,
    taken: ReadonlyArray<TopicPartition>,
    asks: boolean
  ) => Failing<{ readonly ours: ReadonlyArray<Claim>; readonly taken: ReadonlyArray<Taken> }>
  readonly free: (claims: ReadonlyArray<Claim>) => Failing<void>
  /** Asks members to look again. */
  readonly nudge: (claimants: ReadonlyArray<string>) => Effect.Effect<void>
  /** Removes everything of ours; what cannot be removed now, in the background while the session lives. */
  readonly leave: Effect.Effect<void>
}

const encode = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (data: Uint8Array): string => new TextDecoder().decode(data)
const unbounded = { concurrency: "unbounded" } as const
const isExisting = (error: KafkaError.KafkaError): boolean =>
  error.reason._tag === "ZooKeeperRefused" && error.reason.name === "NODE_EXISTS"

/** Those of a session. `known` keeps what members said of themselves over sessions: most layouts never change it. */
export const make = (layout: Layout, session: Session, known: Map<string, string>): Registrations => {
  const registered = new Map<string, string>()
  /** Every id node that may be there. */
  const askedIds = new Set<string>()
  /** Every claim that may stand, by its path. */
  const asked = new Map<string, Claim>()
  const idPath = (id: string): string => `${layout.ids}/${id}`
  const pathOf = ({ node, topic }: Pick<Claim, "topic" | "node">): string => `${layout.owners(topic)}/${node}`

  const register = (id: string, data: string): Failing<void> =>
    Effect.suspend(() => {
      askedIds.add(id)
      return registerOnce(id, data)
    })
  const registerOnce = (id: string, data: string): Failing<void> =>
    Effect.catchIf(Effect.asVoid(session.create(idPath(id), encode(data), { ephemeral: true })), isExisting, () =>
      Effect.gen(function* () {
        const node = yield* session.read(idPath(id))
        if (node?.stat.owner === session.id && decode(node.data) === data) return
        // What a session of ours before this one has left: the id is nobody else's.
        if (node !== undefined) yield* session.remove(idPath(id), { owner: node.stat.owner })
        return yield* register(id, data)
      })
    ).pipe(Effect.tap(() => Effect.sync(() => registered.set(id, data))))

  const members: Registrations["members"] = (topics) =>
    Effect.gen(function* () {
      const ours = layout.registration(topics)
      for (const id of Array.from(askedIds)) {
        if (ours.has(id)) continue
        yield* session.remove(idPath(id), { owner: session.id })
        registered.delete(id)
        askedIds.delete(id)
      }
      for (let again = true; again;) {
        for (const [id, data] of ours) {
          if (registered.get(id) === data) continue
          if (registered.has(id)) yield* session.remove(idPath(id), { owner: session.id })
          yield* register(id, data)
        }
        again = false
        const ids = (yield* session.children(layout.ids)) ?? []
        // Somebody has removed it.
        for (const id of ours.keys()) if (!ids.includes(id)) again = registered.delete(id) || again
        if (again) continue
        yield* Effect.forEach(
          ids.filter((id) => (layout.idsChange ? !ours.has(id) : !known.has(id))),
          (id) =>
            Effect.map(session.read(idPath(id)), (node) => {
              if (node !== undefined) known.set(id, decode(node.data))
            }),
          unbounded
        )
        const there = new Set(ids)
        for (const id of Array.from(known.keys())) if (!there.has(id)) known.delete(id)
        for (const [id, data] of ours) known.set(id, data)
      }
      return new Map(known)
    })

  const isOf = (node: Node | undefined, topic: string): boolean =>
    node !== undefined && node.stat.owner === session.id && decode(node.data) === layout.claimant(topic)
  const isOurs = (claim: Claim) => Effect.map(session.read(pathOf(claim)), (node) => isOf(node, claim.topic))

  const claims: Registrations["claims"] = (topic) =>
    Effect.gen(function* () {
      const names = (yield* session.children(layout.owners(topic))) ?? []
      const there = new Set(names)
      const ours = new Set<string>()
      yield* Effect.forEach(
        [...asked.values()].filter((claim) => claim.topic === topic && there.has(claim.node)),
        (claim) =>
          Effect.map(isOurs(claim), (is) => {
            if (is) ours.add(claim.node)
          }),
        unbounded
      )
      return [names, ours] as const
    })

  const left: Registrations["left"] = (topics) => {
    const read = new Set(topics)
    return [...asked.values()].filter((claim) => !read.has(claim.topic))
  }

  const holderOf = (claim: Pick<Claim, "topic" | "node">) =>
    Effect.map(session.read(pathOf(claim)), (node) => (node === undefined ? "" : decode(node.data)))

  /** Of a session that another consumer has too: only while it is the claim of this one. */
  const ofOurs = ({ topic }: Claim): Removal => ({ owner: session.id, data: encode(layout.claimant(topic)) })
  const remove = (claim: Claim): Failing<void> =>
    Effect.map(session.remove(pathOf(claim), ofOurs(claim)), () => {
      asked.delete(pathOf(claim))
    })

  const put = (claim: Claim): Failing<Taken | undefined> =>
    Effect.suspend(() => {
      asked.set(pathOf(claim), claim)
      return Effect.catchIf(
        Effect.as(session.create(pathOf(claim), encode(layout.claimant(claim.topic)), { ephemeral: true }), undefined),
        isExisting,
        () =>
          Effect.gen(function* () {
            if (yield* isOurs(claim)) return undefined
            asked.delete(pathOf(claim))
            return { topic: claim.topic, partition: claim.partition, by: yield* holderOf(claim) }
          })
      )
    })

  /**
   * Of a partition that is claimed under the names of two leaders, by two that knew another one each, the oldest claim
   * stands: both look after they have claimed, and at least the later one sees the other. What ZooKeeper says decides
   * whose a node is: what was asked for may never have been made, or late. Another name of what is ours is as old as that.
   */
  const yieldToOlder = (made: ReadonlyArray<Claim>): Failing<ReadonlyArray<Taken>> =>
    Effect.gen(function* () {
      const lost: Array<Taken> = []
      for (const topic of new Set(made.map((claim) => claim.topic))) {
        const names = (yield* session.children(layout.owners(topic))) ?? []
        for (const claim of made.filter((one) => one.topic === topic)) {
          const { partition } = claim
          const all = names.filter((node) => layout.partitionOf(node) === partition)
          if (all.every((node) => node === claim.node)) continue
          const nodes = yield* Effect.forEach(all, (node) => session.read(pathOf({ topic, node })), unbounded)
          const [oldest] = nodes
            .filter((node) => node !== undefined)
            .sort((a, b) => compare(a.stat.created, b.stat.created))
          if (oldest === undefined || isOf(oldest, topic)) continue
          yield* remove(claim)
          lost.push({ topic, partition, by: decode(oldest.data) })
        }
      }
      return lost
    })

  const claim: Registrations["claim"] = (wanted, taken, asks) =>
    Effect.gen(function* () {
      const outcomes = yield* Effect.forEach(wanted, put, unbounded)
      let ours = wanted.filter((_, i) => outcomes[i] === undefined)
      const theirs: Array<Taken> = outcomes.filter((one) => one !== undefined)
      if (layout.hasLeaders && ours.length > 0) {
        const lost = yield* yieldToOlder(ours)
        ours = ours.filter((one) => !lost.some((o) => o.topic === one.topic && o.partition === one.partition))
        theirs.push(...lost)
      }
      for (const { partition, topic } of taken) {
        const names = asks ? ((yield* session.children(layout.owners(topic))) ?? []) : []
        const node = names.find((name) => layout.partitionOf(name) === partition)
        theirs.push({ topic, partition, by: node === undefined ? "" : yield* holderOf({ topic, node }) })
      }
      return { ours, taken: theirs }
    })

  const leave = Effect.suspend(() => {
    const claims = [...asked].map(([path, claim]) => [path, ofOurs(claim)] as const)
    const ids = [...askedIds].map((id) => [idPath(id), { owner: session.id }] as const)
    const left: Map<string, Removal> = new Map([...claims, ...ids])
    const discard = (path: string) => session.discard(path, left.get(path)?.data)
    const removed = (list: typeof claims | typeof ids) =>
      Effect.forEach(
        list,
        ([path, removal]) =>
          Effect.tap(
            Effect.catch(session.remove(path, removal), () => discard(path)),
            () => Effect.sync(() => left.delete(path))
          ),
        { ...unbounded, discard: true }
      )
    // Claims first: whoever sees us go finds them free. Where there is no time for it, all that is left goes by itself.
    return Effect.onInterrupt(Effect.andThen(removed(claims), removed(ids)), () =>
      Effect.forEach(left.keys(), discard, { discard: true })
    )
  })

  return {
    session,
    members,
    claims,
    left,
    claim,
    free: (list) => Effect.forEach(list, remove, { ...unbounded, discard: true }),
    nudge: (claimants) =>
      Effect.forEach(
        claimants.map(layout.memberOf).filter((id) => !registered.has(id)),
        (id) =>
          Effect.gen(function* () {
            const path = idPath(id)
            const node = yield* session.read(path)
            // The same again: nobody but who watches its own node is told.
            if (node !== undefined) yield* session.set(path, node.data, node.stat.version)
          }).pipe(Effect.ignore),
        { ...unbounded, discard: true }
      ),
    leave
  }
}
