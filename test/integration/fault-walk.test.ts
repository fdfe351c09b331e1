/**
 * Walks over real clusters of three brokers (RF 3, min ISR 2): producers under load and members of a group, behind a
 * `FaultProxy` that refuses, loses, delays, damages, breaks off and answers late, freezes, narrows and cuts links, while brokers are killed and
 * stopped, and members come and go. Every choice comes from a seed, which the test's name tells; the cluster is real, so a
 * seed is a likeness of a run and not its repetition. Half a minute on one release; an hour on each where `SAMSA_FULL` is
 * set, or as many seconds as `SAMSA_SECONDS` says.
 */
import { assert, layer } from "@effect/vitest"
import { Clock, Effect, Exit, Layer, Schema, Scope } from "effect"
import { type Kafka, Producer, Topic } from "samsa"
import { Fault, FaultProxy } from "samsa/testing"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import { today } from "../today.ts"
import { kafka, twice } from "./Client.ts"
import type { KafkaNode } from "./KafkaNode.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast, type Version } from "./KafkaVersion.ts"
import * as Load from "./Load.ts"
import * as Party from "./Party.ts"

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.10.2.2", "2.8.2", "4.4.0"] : ["4.4.0"]
const seconds = Number(process.env.SAMSA_SECONDS ?? (full ? 3600 : 30))
const seed = Number(process.env.SAMSA_SEED ?? today())
const partitions = 6
/** How many members the group has, at least and at most. */
const [fewest, most] = [1, 4]

/** What brokers answer of themselves in trouble, by API; each is retried, and nothing is done before it. */
const refusals: { readonly [A in Fault.Api]?: ReadonlyArray<number> } = {
  Produce: [5, 6, 7, 19],
  Fetch: [5, 6, 9],
  Metadata: [5],
  ListOffsets: [5, 6],
  FindCoordinator: [14, 15],
  InitProducerId: [14, 15],
  JoinGroup: [14, 15, 16],
  SyncGroup: [14, 15, 16, 27],
  Heartbeat: [14, 15, 16, 27],
  OffsetCommit: [14, 15, 16, 7],
  OffsetFetch: [14, 15, 16]
}
const apis = Object.keys(refusals) as ReadonlyArray<Fault.Api>

/** A fault of those that nothing good may be lost by. */
const faultOf = (choose: Choices): Fault.Fault => {
  const api = choose.of(apis)
  const on = Fault.on(api, {
    probability: choose.of([0.2, 0.5, 1]),
    times: choose.between(1, 6),
    seed: choose.between(1, 1e6)
  })
  const kinds = [
    () => on.error(choose.of(refusals[api]!)),
    () => on.loseRequest,
    () => on.loseResponse,
    () => on.close,
    () => on.delay(`${choose.of([10, 200, 3000])} millis`),
    () => on.trickle,
    // RST amid a frame
    () => on.breakOff,
    () => on.withhold,
    ...(api === "Fetch" ? [() => on.corruptCrc, () => on.truncate] : []),
    ...(api === "Metadata" ? [() => on.staleMetadata] : [])
  ]
  return choose.of(kinds)()
}

for (const version of versions) {
  const server = KafkaServer.layer({ version, brokers: 3, properties: { "replica.lag.time.max.ms": "5000" } })
  layer(server, { excludeTestServices: true })(`Kafka ${version}, three brokers behind a proxy`, (it) => {
    it.effect(
      `a walk of ${seconds} s: nothing acknowledged is lost, nothing comes twice or out of order (seed ${seed})`,
      () =>
        Effect.gen(function* () {
          const { bootstrap, createTopic, nodes } = yield* KafkaServer.KafkaServer
          const name = `walk-${seed}`
          yield* createTopic(name, { partitions, replication: 3, config: { "min.insync.replicas": "2" } })
          const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
          const proxy = yield* FaultProxy.make({ bootstrap })
          const Live = Producer.layer({ requestTimeout: "5 seconds" }).pipe(
            Layer.provideMerge(kafka({ bootstrap: proxy.bootstrap }))
          )
          yield* Effect.gen(function* () {
            const choose = choices(seed)
            const { acknowledged, end, failures, more } = yield* Load.make(
              topic,
              (value) => ({ value, partition: value % partitions }),
              3
            )
            const party = Party.make({ group: name, topic })
            let joined = 0
            const join = Effect.suspend(() => party.join(`m${joined++}`))
            const members: Array<Effect.Effect<void>> = [yield* join, yield* join]
            /** A while, of which some are beyond the request time-out. */
            const aWhile = Effect.suspend(() => Effect.sleep(choose.of([300, 1000, 3000, 8000])))
            const upset = (begin: Effect.Effect<void, unknown>, heal: Effect.Effect<void, unknown>) =>
              Effect.orDie(Effect.andThen(begin, Effect.andThen(aWhile, heal)))
            const withNode = <A>(f: (node: KafkaNode) => Effect.Effect<A>) => Effect.suspend(() => f(choose.of(nodes)))
            const events: ReadonlyArray<Effect.Effect<unknown, never, Kafka.Kafka | Scope.Scope>> = [
              withNode((node) => upset(node.kill, node.start)),
              withNode((node) => upset(node.pause, node.resume)),
              withNode(({ id }) => upset(proxy.freeze(id), proxy.thaw(id))),
              Effect.suspend(() => upset(proxy.limit(choose.of([2000, 50_000])), proxy.limit(undefined))),
              Effect.suspend(() => proxy.cut(choose.of([undefined, ...nodes.map(({ id }) => id)]))),
              Effect.suspend(() =>
                members.length < most ? Effect.map(join, (leave) => members.push(leave)) : Effect.void
              ),
              Effect.suspend(() => (members.length > fewest ? members.shift()! : Effect.void))
            ]
            /** A few faults of the proxy for a while, and often something else beside. */
            const turn = Effect.gen(function* () {
              const scope = yield* Scope.make()
              for (let left = choose.between(0, 4); left > 0; left--)
                yield* Scope.provide(proxy.inject(faultOf(choose)), scope)
              if (choose.between(0, 3) > 0) yield* choose.of(events)
              yield* Effect.sleep(choose.between(100, 1500))
              yield* Scope.close(scope, Exit.void)
            })
            const over = (yield* Clock.currentTimeMillis) + seconds * 1000
            let turns = 0
            while ((yield* Clock.currentTimeMillis) < over) {
              yield* turn
              turns++
            }
            yield* more(1000)
            yield* end
            const handled = new Set<number>()
            let looked = 0
            yield* party.handled.until("all that was acknowledged is handled", (all) => {
              for (; looked < all.length; looked++) handled.add(Number(all[looked]!.value))
              return (
                handled.size >= acknowledged.all.length && acknowledged.all.every(({ value }) => handled.has(value))
              )
            })
            yield* Effect.forEach(members, (leave) => leave, { concurrency: "unbounded" })

            // another client, through the proxy as well
            const log = yield* Load.readBack({ bootstrap: proxy.bootstrap, topic: name }, acknowledged.all)
            Load.assertAllThere(log, acknowledged.all)
            Load.assertOrder(log, partitions)
            const there = new Set(log.map(({ number }) => number))
            assert.deepStrictEqual(
              [...handled].filter((number) => !there.has(number)),
              [],
              "not in the log"
            )
            assert.deepStrictEqual(Party.overlaps(party.held.all), [], "two owners")
            if (atLeast(version, 0, 11)) {
              assert.deepStrictEqual(failures, [], "failed")
              assert.deepStrictEqual(twice(log.map(({ number }) => number)), [], "twice in the log")
            }
            assert.deepStrictEqual(yield* proxy.defects, [])
            const again = twice(party.handled.all.map(({ value }) => value)).length
            yield* Effect.log(
              `${turns} turns, ${acknowledged.all.length} records, ${joined} members, ${party.lost()} partitions lost, ${again} handled again`
            )
          }).pipe(Effect.scoped, Effect.provide(Live))
        }).pipe(KafkaServer.diagnosed),
      { timeout: (seconds + 240) * 1000 }
    )
  })
}
