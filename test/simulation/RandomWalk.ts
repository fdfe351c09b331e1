/**
 * A random walk: producers that send, members of a group that come and go, and a cluster that goes wrong around them,
 * all from one seed, on the embedded broker and under TestClock. The oracle watches.
 */
import { Effect, Exit, Fiber, Schema, Scope, Stream } from "effect"
import { Assignor, Consumer, Membership, Topic } from "samsa"
import { EmbeddedKafka, Fault, Oracle } from "samsa/testing"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import * as ConversionGap from "./ConversionGap.ts"
import * as Walk from "./Walk.ts"
import { kafkaOf, membershipOf, type Protocol } from "./World.ts"

export const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
const partitions = 4

/** Codes that a broker may answer at any time, and that a client retries. */
const notLeader = 6
const requestTimedOut = 7
const coordinatorLoading = 14
const notCoordinator = 16
const notEnoughReplicasAfterAppend = 20
const illegalGeneration = 22
const unknownMember = 25
const rebalanceInProgress = 27
const fencedMemberEpoch = 110
const staleMemberEpoch = 113

const faults = (choose: Choices, protocol: Protocol): Fault.Fault => {
  const on = (api: Fault.Api) => Fault.on(api, { probability: 0.2 + choose.below(9) / 10, seed: choose.below(1e6) })
  const once = (api: Fault.Api) => Fault.on(api, { times: 1 })
  const heartbeats = () => on("ConsumerGroupHeartbeat")
  const joining = [
    () => on("JoinGroup").error(choose.of([notCoordinator, coordinatorLoading])),
    () => on("JoinGroup").loseResponse,
    () => on("SyncGroup").loseResponse,
    () => on("SyncGroup").error(notCoordinator),
    () => on("Heartbeat").loseResponse,
    () => on("Heartbeat").error(notCoordinator),
    () => on("Heartbeat").withhold,
    () => on("Heartbeat").loseRequest,
    () => once("Heartbeat").error(choose.of([unknownMember, illegalGeneration, rebalanceInProgress])),
    () => once("SyncGroup").error(choose.of([unknownMember, rebalanceInProgress])),
    () => once("OffsetCommit").error(choose.of([unknownMember, illegalGeneration])),
    () => on("JoinGroup").withhold
  ]
  const beating = [
    () => heartbeats().loseResponse,
    () => heartbeats().loseResponse,
    () => heartbeats().loseRequest,
    () => heartbeats().withhold,
    () => heartbeats().delay(choose.between(1, 5_000)),
    () => heartbeats().error(choose.of([notCoordinator, coordinatorLoading])),
    () => heartbeats().errorAfter(choose.of([notCoordinator, coordinatorLoading])),
    () => once("ConsumerGroupHeartbeat").error(choose.of([unknownMember, fencedMemberEpoch])),
    () => once("ConsumerGroupHeartbeat").error(choose.of([unknownMember, fencedMemberEpoch])),
    () => once("OffsetCommit").error(choose.of([unknownMember, fencedMemberEpoch])),
    () => on("OffsetCommit").error(staleMemberEpoch),
    () => on("OffsetFetch").error(choose.of([staleMemberEpoch, unknownMember]))
  ]
  const ofGroups = { classic: joining, consumer: beating, mixed: [...joining, ...beating] }
  return choose.of([
    () => on("Produce").loseRequest,
    () => on("Produce").loseResponse,
    () => on("Produce").error(choose.of([notLeader, requestTimedOut])),
    () => on("Produce").errorAfter(notEnoughReplicasAfterAppend),
    () => on("Produce").delay(choose.between(1, 3000)),
    () => on("Produce").withhold,
    () => on("Fetch").error(notLeader),
    () => on("Fetch").withhold,
    () => once("Fetch").corruptCrc,
    () => on("Fetch").loseResponse,
    () => on("Fetch").truncate,
    () => on("Fetch").delay(choose.between(1, 2000)),
    () => on("Metadata").loseResponse,
    () => on("Metadata").staleMetadata,
    () => on("FindCoordinator").error(15),
    ...ofGroups[protocol],
    () => on("OffsetCommit").loseRequest,
    () => on("OffsetCommit").loseResponse,
    () => on("OffsetCommit").error(choose.of([notCoordinator, coordinatorLoading])),
    () => on("OffsetFetch").error(coordinatorLoading),
    () => on("OffsetFetch").loseResponse,
    () => on("ListOffsets").loseResponse,
    () => on("InitProducerId").loseResponse
  ])()
}

/** What goes wrong, one thing after the other, each for a while. */
const chaos = (broker: EmbeddedKafka.Service, choose: Choices, steps: number, protocol: Protocol) =>
  Effect.gen(function* () {
    for (let i = 0; i < steps; i++) {
      yield* Effect.sleep(choose.between(200, 3000))
      const wait = choose.chance(0.3) ? choose.between(8000, 20_000) : choose.between(500, 6000)
      yield* choose.of([
        () => Effect.scoped(Effect.andThen(broker.inject(faults(choose, protocol)), Effect.sleep(wait))),
        () => Effect.scoped(Effect.andThen(broker.inject(faults(choose, protocol)), Effect.sleep(wait))),
        () => Effect.scoped(Effect.andThen(broker.inject(faults(choose, protocol)), Effect.sleep(wait))),
        () => broker.moveLeader(orders, choose.below(partitions)),
        () => broker.addPartitions(orders, partitions + 2),
        () => broker.moveCoordinator("g"),
        () => {
          const id = 1 + choose.below(Walk.brokers)
          return broker.stop(id).pipe(Effect.andThen(Effect.sleep(wait)), Effect.andThen(broker.start(id)))
        }
      ])()
    }
  })

const sends = (oracle: Oracle.Service, name: string, choose: Choices, count: number) =>
  Effect.gen(function* () {
    const producer = yield* oracle.makeProducer({
      linger: choose.of([0, 5, 50]),
      bufferRecords: 50,
      requestTimeout: choose.of(["1 second", "3 seconds"]),
      deliveryTimeout: choose.of(["3 seconds", "3 seconds", "1 minute"])
    })
    for (let sent = 0; sent < count;) {
      const batch = choose.between(1, 8)
      const entries = Array.from({ length: batch }, (_, i) => ({
        key: choose.chance(0.5) ? `k${choose.below(9)}` : null,
        value: `${name}-${sent + i}`
      }))
      sent += batch
      const send = choose.chance(0.5)
        ? Effect.asVoid(producer.sendAll(orders, entries))
        : Effect.forEach(entries, (entry) => Effect.exit(producer.send(orders, entry)), { discard: true })
      yield* oracle.within(`${name}, up to ${sent}`, "3 minutes")(send)
      yield* Effect.sleep(choose.between(1, 2000))
    }
  }).pipe(Effect.scoped)

/** A member: reads for a while in one of three ways, and leaves. */
const reads = (
  oracle: Oracle.Service,
  choose: Choices,
  cooperative: boolean,
  life: number,
  protocol: "classic" | "consumer"
) =>
  Effect.gen(function* () {
    const slow = choose.of([0, 0, 20, 300, 8_000])
    const handle = slow === 0 ? Effect.void : Effect.suspend(() => Effect.sleep(choose.between(1, slow)))
    const way = choose.of(["stream", "partitions", "run", "keys"] as const)
    const scope = yield* Scope.make()
    const consumer = yield* Scope.provide(
      oracle.subscribe({
        group: "g",
        topics: [orders],
        from: "earliest",
        commitInterval: choose.of([200, 1000, 5000]),
        drainTimeout: choose.of(["2 seconds", "10 seconds"]),
        membership: membershipOf(protocol, cooperative ? Assignor.cooperativeSticky : choose.of([Assignor.range]))
      }),
      scope
    )
    const reading = yield* Effect.forkChild(
      way === "stream"
        ? Stream.runForEach(consumer.stream, (record) => Effect.andThen(handle, Consumer.done(record)))
        : way === "partitions"
          ? consumer.partitions.pipe(
              Stream.mapEffect(
                ({ records }) => Stream.runForEach(records, (r) => Effect.andThen(handle, Consumer.done(r))),
                { concurrency: "unbounded" }
              ),
              Stream.runDrain
            )
          : way === "run"
            ? consumer.run(() => handle)
            : consumer.run(() => handle, { order: "key", concurrency: 4 })
    )
    yield* Effect.sleep(life)
    yield* oracle.within("closing a consumer", "70 seconds")(Scope.close(scope, Exit.void))
    // What a stream had given to slow handlers is theirs to end; `run` ends by itself.
    if (way === "stream" || way === "partitions") yield* Fiber.interrupt(reading)
    yield* oracle.within("the end of a reader", "20 seconds")(Fiber.await(reading))
  })

/** The last one: reads what is left, until everything is committed. */
const readsTheRest = (oracle: Oracle.Service, broker: EmbeddedKafka.Service, protocol: Protocol) =>
  Effect.gen(function* () {
    const consumer = yield* oracle.subscribe({
      group: "g",
      topics: [orders],
      from: "earliest",
      commitInterval: "100 millis",
      drainTimeout: "10 seconds",
      membership:
        protocol === "classic"
          ? Membership.classic({ assignors: [Assignor.range, Assignor.cooperativeSticky] })
          : membershipOf("consumer", Assignor.range)
    })
    yield* Effect.forkChild(consumer.run(() => Effect.void))
    for (const { endOffset, partition } of (yield* broker.topic(orders))!)
      if (endOffset > 0) yield* broker.awaitCommitted("g", { topic: orders, partition, offset: endOffset })
  }).pipe(Effect.scoped)

const walk = (seed: number, protocol: Protocol) =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const oracle = yield* Oracle.Oracle
    const choose = choices(seed)
    const own = () => choices(choose.below(2 ** 31))
    const cooperative = choose.chance(0.5)
    const wrong = yield* Effect.forkChild(chaos(broker, own(), 10, protocol))
    const producers = yield* Effect.forEach(["a", "b", "c"], (name) => Effect.forkChild(sends(oracle, name, own(), 40)))
    const members: Array<Fiber.Fiber<void, unknown>> = []
    for (let i = 0; i < 6; i++) {
      const life = choose.between(3_000, 30_000)
      const by = protocol === "mixed" ? choose.of(["classic", "consumer"] as const) : protocol
      members.push(yield* Effect.forkChild(reads(oracle, own(), cooperative, life, by)))
      yield* Effect.sleep(choose.between(0, 6_000))
    }
    yield* Fiber.join(wrong)
    yield* Fiber.joinAll(producers)
    yield* Fiber.joinAll(members)
    yield* oracle.within("reading the rest", "5 minutes")(readsTheRest(oracle, broker, protocol))
  })

/** Walks from a seed. What Kafka's gap at a conversion brings about is left out. */
export const run = (seed: number, protocol: Protocol = "classic"): Effect.Effect<Walk.Run, unknown> => {
  const gap = ConversionGap.make("g")
  const walked = walk(seed, protocol)
  const topics = [{ name: orders, partitions, replicationFactor: 3 }]
  const options = { kafka: { strict: true, topics, ...kafkaOf(protocol) }, limit: 40 * 60_000 }
  return Effect.map(
    Walk.run(seed, options, protocol === "mixed" ? Effect.andThen(gap.watch, walked) : walked),
    gap.without
  )
}
