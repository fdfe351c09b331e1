/**
 * A member as PyKafka's BalancedConsumer has it, in memory: what it does to ZooKeeper and in which order, with the one
 * fault less that it stops reading before it removes a claim. It can be made to die between releasing and claiming.
 */
import { Effect, Exit, Scope, Stream } from "effect"
import { Cluster } from "../../src/Cluster.ts"
import * as BalancedAssignor from "../../src/balance/BalancedAssignor.ts"
import * as Layout from "../../src/balance/Layout.ts"
import type { Names, Sessions } from "./Harness.ts"

const decode = (data: Uint8Array | undefined) => new TextDecoder().decode(data)
const encode = (text: string) => new TextEncoder().encode(text)

let made = 0

export const join = Effect.fnUntraced(function* (
  memory: Sessions & { readonly cut: (session: string) => Effect.Effect<void> },
  { group, topic }: Names
) {
  const cluster = yield* Cluster
  const scope = yield* Scope.make()
  const zooKeeper = yield* Scope.provide(memory.connect(), scope)
  const layout = Layout.make("pykafka", group, { hostname: "py", uuid: () => `${++made}`, time: 0 })
  const me = layout.claimant(topic)
  const claimed = new Set<number>()
  let session = yield* zooKeeper.session
  let dies = false
  let isDead = false

  const die = Effect.suspend(() => {
    isDead = true
    return Effect.andThen(memory.cut(session.id), Effect.never)
  })
  /** One attempt; false where another holds what goes to us. */
  const attempt = Effect.gen(function* () {
    session = yield* zooKeeper.session
    const members = new Map<string, string>()
    for (const id of (yield* session.children(layout.ids)) ?? []) {
      const node = yield* session.read(`${layout.ids}/${id}`)
      if (node !== undefined) members.set(id, decode(node.data))
    }
    if (!members.has(me)) {
      yield* session.create(`${layout.ids}/${me}`, encode(topic), { ephemeral: true })
      members.set(me, topic)
    }
    const info = yield* cluster.topic(topic)
    const partitions = layout.order(topic, info.partitions)
    const shares = BalancedAssignor.range
      .assign([{ topic, participants: layout.participants(members, topic), partitions }])
      .get(topic)!
    const wanted = new Map(
      partitions
        .filter((_, i) => shares[i] === me)
        .map((one) => [one.partition, layout.claim(one.partition, one.leader)!])
    )
    yield* session.ensure(layout.owners(topic))
    const held = new Map<number, string>()
    for (const name of (yield* session.children(layout.owners(topic))) ?? []) {
      const node = yield* session.read(`${layout.owners(topic)}/${name}`)
      if (node !== undefined && decode(node.data) === me) held.set(layout.partitionOf(name)!, name)
    }
    for (const partition of Array.from(claimed))
      if (!wanted.has(partition) || !held.has(partition)) claimed.delete(partition)
    for (const [partition, name] of held)
      if (!wanted.has(partition)) yield* session.remove(`${layout.owners(topic)}/${name}`, { owner: session.id })
    if (dies) yield* die
    for (const [partition, name] of wanted) {
      if (!held.has(partition)) {
        const path = `${layout.owners(topic)}/${name}`
        const isMade = yield* Effect.match(session.create(path, encode(me), { ephemeral: true }), {
          onFailure: () => false,
          onSuccess: () => true
        })
        if (!isMade) return false
      }
      claimed.add(partition)
    }
    return true
  })
  const rebalance = Effect.gen(function* () {
    for (let i = 0; i < 10; i++) {
      const isDone = yield* Effect.orElseSucceed(attempt, () => false)
      if (isDone) return
      yield* Effect.sleep(Math.max(i * 500, 100))
    }
  })
  yield* zooKeeper.ensure(layout.ids)
  yield* rebalance
  yield* Effect.forkIn(
    Stream.runForEach(zooKeeper.watchChildren(layout.ids), () => rebalance),
    scope
  )

  const nothing: ReadonlySet<number> = new Set()
  return {
    get session() {
      return session.id
    },
    /** What it reads. */
    get owned() {
      return isDead || !session.isLive() ? nothing : claimed
    },
    get places() {
      return new Set([...this.owned].map((partition) => `${topic}-${partition}`))
    },
    failures: [],
    balances: () => 0,
    /** It is gone, without a word, where it has released at the next rebalance, and has claimed nothing yet. */
    dies: Effect.sync(() => {
      dies = true
    }),
    leave: Effect.suspend(() => {
      isDead = true
      return Scope.close(scope, Exit.void)
    })
  }
})
