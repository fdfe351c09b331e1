/**
 * Producers under load and members of a group beside them, while something is done to the cluster; and what must hold
 * afterwards: each acknowledged record is in the log, once and in order, and is handled, and no partition was in two hands.
 */
import { assert } from "@effect/vitest"
import { Effect, Layer, Schema } from "effect"
import { type Kafka, type Membership, Producer, Topic } from "samsa"
import { kafka, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import { atLeast } from "./KafkaVersion.ts"
import * as Load from "./Load.ts"
import * as Party from "./Party.ts"

export interface Options {
  /** Of the topic and of the group. */
  readonly name: string
  /** Default 6. */
  readonly partitions?: number
  /** Default 3. */
  readonly replication?: number
  readonly config?: Readonly<Record<string, string>>
  /** Other settings than the servers' own addresses. */
  readonly client?: Partial<Kafka.Options>
  readonly membership?: Membership.ClassicOptions
  /** Whether everybody keeps what it has, and nothing may be handled twice. Default false. */
  readonly inPeace?: boolean
}

type Loaded = Effect.Success<ReturnType<typeof start>>

const start = ({ membership = {}, name, partitions = 6 }: Options) =>
  Effect.gen(function* () {
    const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })
    const load = yield* Load.make(topic, (value) => ({ value, partition: value % partitions }), 3)
    const party = Party.make({ group: name, topic, membership })
    const members = [yield* party.join("a"), yield* party.join("b")]
    yield* party.hold(partitions, "a", "b")
    yield* load.more(500)
    return { topic, load, party, members, shares: party.held.all.length }
  })

/** Runs the body under load, and judges. */
export const judged = <E, R>(options: Options, body: (loaded: Loaded) => Effect.Effect<unknown, E, R>) =>
  Effect.gen(function* () {
    const server = yield* KafkaServer.KafkaServer
    const { config = {}, inPeace, name, partitions = 6, replication = 3 } = options
    yield* server.createTopic(name, { partitions, replication, config })
    const client = kafka({ bootstrap: server.bootstrap, ...options.client })
    yield* Effect.gen(function* () {
      const loaded = yield* start(options)
      const { load, members, party, shares } = loaded
      yield* body(loaded)
      yield* load.more(500)
      yield* load.end
      const handled = new Set<number>()
      let looked = 0
      const acknowledged = load.acknowledged.all
      yield* party.handled.until("all that was acknowledged is handled", (all) => {
        for (; looked < all.length; looked++) handled.add(Number(all[looked]!.value))
        return handled.size >= acknowledged.length && acknowledged.every(({ value }) => handled.has(value))
      })
      if (inPeace === true) {
        assert.strictEqual(party.lost(), 0, "lost")
        assert.lengthOf(party.held.all, shares, "partitions went to others")
        assert.deepStrictEqual(twice(party.handled.all.map(({ value }) => value)), [], "handled twice")
      }
      yield* Effect.forEach(members, (leave) => leave, { concurrency: "unbounded" })

      const { bootstrap = server.bootstrap } = options.client ?? {}
      const log = yield* Load.readBack({ bootstrap, topic: name }, acknowledged)
      Load.assertAllThere(log, acknowledged)
      Load.assertOrder(log, partitions)
      assert.deepStrictEqual(Party.overlaps(party.held.all), [], "two owners")
      if (atLeast(server.version, 0, 11)) {
        assert.deepStrictEqual(load.failures, [], "failed")
        assert.deepStrictEqual(twice(log.map(({ number }) => number)), [], "twice in the log")
      }
    }).pipe(
      Effect.scoped,
      Effect.provide(Producer.layer({ requestTimeout: "5 seconds" }).pipe(Layer.provideMerge(client)))
    )
  }).pipe(KafkaServer.diagnosed)
