/** `Membership.auto()` where the cluster has changed its mind since the client was connected: in both directions. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Cluster, GroupOffsets, Membership } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { committed, layer, orders, Party, produce, until } from "./Party.ts"

const auto = () => ({ membership: Membership.auto() })
/** What a broker answers to a heartbeat where `group.version` is 0. */
const takenBack = Fault.on("ConsumerGroupHeartbeat").error(35)

/** One that has read what there is. */
const reading = Effect.gen(function* () {
  const party = new Party()
  const broker = yield* EmbeddedKafka.EmbeddedKafka
  yield* produce(6)
  const a = yield* party.join("a", auto())
  yield* party.all(6)
  const hasLost = until(
    "it has lost them",
    Effect.sync(() => party.events.includes("a Lost 0 1 2 3 4 5"))
  )
  return { a, broker, hasLost, party }
})

describe("Membership.auto()", () => {
  it.effect("goes on in a classic group when the cluster takes the consumer protocol back", () =>
    Effect.gen(function* () {
      const { a, broker, hasLost, party } = yield* reading
      yield* until(
        "all is committed",
        Effect.map(committed, (sum) => sum === 6)
      )
      yield* broker.inject(takenBack)
      yield* hasLost
      yield* produce(6)
      yield* party.all(12)
      assert.strictEqual(party.duplicates, 0)
      yield* a.leave
      assert.strictEqual(yield* committed, 12)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("joins a classic group where the protocol is taken back before it has joined", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(takenBack)
      yield* produce(6)
      const a = yield* party.join("a", auto())
      yield* party.all(6)
      assert.strictEqual((yield* broker.group("g"))?.kind, "classic")
      yield* a.leave
      assert.strictEqual((yield* broker.group("g"))?.members.length, 0)
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  for (const when of ["before", "after"] as const) {
    it.effect(`joins nothing more when it is closed ${when} it hears that the protocol is taken back`, () =>
      Effect.gen(function* () {
        const { a, broker, hasLost } = yield* reading
        yield* broker.inject(takenBack)
        if (when === "after") yield* hasLost
        yield* a.leave
        assert.strictEqual((yield* broker.group("g"))?.members.filter(({ clientId }) => clientId !== "samsa").length, 0)
        assert.deepStrictEqual(yield* broker.misuses, [])
      }).pipe(Effect.scoped, Effect.provide(layer))
    )
  }

  // Whoever asked it whether the protocol is on asked the same broker for ever.
  it.effect("joins where the coordinator that the client knows has gone", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const { id } = yield* cluster.coordinator("group", "g")
      yield* broker.stop(id)
      const a = yield* party.join("a", auto())
      yield* until(
        "it has joined",
        Effect.map(broker.group("g"), (group) => group?.members.length === 1)
      )
      assert.strictEqual((yield* broker.group("g"))?.kind, "consumer")
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  // Whoever asked it whether the protocol is on waited for requestTimeout, 30 s, and said nothing of that.
  it.effect("joins where the coordinator that the client is connected to stands still", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const offsets = yield* GroupOffsets.GroupOffsets
      const cluster = yield* Cluster.Cluster
      yield* offsets.fetch("g", [{ topic: orders.name, partition: 0 }])
      const { id } = yield* cluster.coordinator("group", "g")
      yield* broker.inject(Fault.on("*", { broker: id }).withhold)
      yield* broker.moveCoordinator("g")
      const a = yield* party.join("a", auto())
      yield* until(
        "it has joined",
        Effect.map(broker.group("g"), (group) => group?.members.length === 1),
        20
      )
      assert.strictEqual((yield* broker.group("g"))?.kind, "consumer")
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )

  it.effect("joins by the protocol that is switched on since the client was connected", () =>
    Effect.gen(function* () {
      const party = new Party()
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const cluster = yield* Cluster.Cluster
      const connectedBefore = Cluster.Cluster.of({
        ...cluster,
        coordinator: (...asked) =>
          Effect.map(cluster.coordinator(...asked), (one) => ({
            ...one,
            offer: (options) => Effect.map(one.offer(options), (offer) => ({ ...offer, finalizedFeatures: new Map() }))
          }))
      })
      yield* produce(6)
      const a = yield* Effect.provideService(party.join("a", auto()), Cluster.Cluster, connectedBefore)
      yield* party.all(6)
      assert.strictEqual((yield* broker.group("g"))?.kind, "consumer")
      yield* a.leave
    }).pipe(Effect.scoped, Effect.provide(layer))
  )
})
