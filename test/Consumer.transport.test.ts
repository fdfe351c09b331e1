/** The consumer over an engine of the test's own, which gives what no broker can be made to give at the right moment. */
import * as Backoff from "../src/Backoff.ts"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Deferred, Effect, Exit, Stream } from "effect"
import { Consumer, KafkaError, Offset, type Transport as TransportModule } from "samsa"
import { Cluster } from "../src/Cluster.ts"
import { GroupOffsets } from "../src/GroupOffsets.ts"
import { Transport } from "../src/Transport.ts"

type Fetched = TransportModule.Fetched
const p0 = { topic: "t", partition: 0 }
const calm = Effect.forEach(Array.from({ length: 30 }), () => Effect.yieldNow, { discard: true })

const records = (...offsets: ReadonlyArray<number>): Fetched["records"] =>
  offsets.map((offset) => ({ offset, timestamp: 0, key: null, value: Buffer.from(`${offset}`), headers: [] }))
const fetched = (nextOffset: number, ...offsets: ReadonlyArray<number>): Fetched => ({
  records: records(...offsets),
  nextOffset,
  endOffset: 100
})

/** One partition, whose arrays the test puts down. */
class Engine {
  pulls = 0
  opened: number | undefined
  readonly seeks: Array<number> = []
  private waiting: Deferred.Deferred<Fetched, KafkaError.KafkaError> | undefined
  private readonly queue: Array<Fetched> = []
  put(...arrays: ReadonlyArray<Fetched>) {
    this.queue.push(...arrays)
    this.hand()
  }
  private hand() {
    if (this.waiting === undefined || this.queue.length === 0) return
    const waiting = this.waiting
    this.waiting = undefined
    Deferred.doneUnsafe(waiting, Exit.succeed(this.queue.shift()!))
  }
  readonly reader: TransportModule.PartitionReader = {
    pull: Effect.suspend(() => {
      this.pulls++
      this.waiting = Deferred.makeUnsafe()
      const waiting = this.waiting
      this.hand()
      return Deferred.await(waiting)
    }),
    seek: (offset) => {
      this.seeks.push(offset)
      this.queue.length = 0
    },
    pause: () => {},
    resume: () => {},
    position: () => 0,
    endOffset: () => 100
  }
  readonly transport = {
    consumer: () =>
      Effect.succeed({
        open: (_: unknown, offset: number) =>
          Effect.sync(() => {
            this.opened = offset
            return this.reader
          })
      })
  } as unknown as Transport["Service"]
}

const start = (at: Offset.Position): number =>
  at === "earliest" ? 0 : at === "latest" ? 10 : "offset" in at ? at.offset : 0
const cluster = {
  retry: Backoff.schedule,
  topic: (name: string) => Effect.succeed({ name, id: undefined, internal: false, partitions: [{ partition: 0 }] }),
  known: () => undefined,
  changes: Stream.never,
  offsets: (positions: ReadonlyArray<{ readonly at: Offset.Position }>) =>
    Effect.succeed(positions.map(({ at }) => start(at)))
} as unknown as Cluster["Service"]

const groupOffsets = GroupOffsets.of({
  fetch: () => Effect.succeed(new Map()),
  commit: (_, __, commits) => Effect.succeed(commits.map(() => 0))
})

const over = <A, E, R>(engine: Engine, self: Effect.Effect<A, E, R>) =>
  self.pipe(
    Effect.scoped,
    Effect.provideService(Cluster, cluster),
    Effect.provideService(GroupOffsets, groupOffsets),
    Effect.provideService(Transport, engine.transport)
  )

describe("Consumer over an engine", () => {
  it.effect("ends a bounded read in a gap at its end, where no record is shown any more", () =>
    Effect.gen(function* () {
      const engine = new Engine()
      engine.put(fetched(5, 0, 2, 4), fetched(8), fetched(10))
      yield* over(
        engine,
        Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: "t", from: "earliest", until: "latest" })
          const offsets = (yield* Stream.runCollect(consumer.stream)).map(({ offset }) => offset)
          assert.deepStrictEqual(offsets, [0, 2, 4])
          assert.strictEqual(yield* consumer.position(p0), 10)
        })
      )
    })
  )

  it.effect("pulls one array ahead and no more while nobody takes it", () =>
    Effect.gen(function* () {
      const engine = new Engine()
      engine.put(...Array.from({ length: 10 }, (_, i) => fetched(i + 1, i)))
      yield* over(
        engine,
        Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
          const gate = yield* Deferred.make<void>()
          yield* consumer.stream.pipe(
            Stream.runForEachArray(() => Deferred.await(gate)),
            Effect.forkScoped
          )
          yield* calm
          assert.strictEqual(engine.pulls, 2, "one is at work, one waits")
          yield* Deferred.succeed(gate, undefined)
          yield* calm
          assert.strictEqual(engine.pulls, 11)
        })
      )
    })
  )

  it.effect("drops an array of the old position that waits to be taken when it is told to seek", () =>
    Effect.gen(function* () {
      const engine = new Engine()
      yield* over(
        engine,
        Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
          yield* consumer.position(p0)
          engine.put(fetched(3, 0, 1, 2))
          yield* calm
          yield* consumer.seek(p0, Offset.at(50))
          const seen: Array<number> = []
          yield* consumer.stream.pipe(
            Stream.runForEach(({ offset }) => Effect.sync(() => seen.push(offset))),
            Effect.forkScoped
          )
          yield* calm
          engine.put(fetched(52, 50, 51))
          yield* calm
          assert.deepStrictEqual(seen, [50, 51])
          assert.deepStrictEqual(engine.seeks, [50])
        })
      )
    })
  )

  it.effect("tells that it has caught up once, and again after it fell behind", () =>
    Effect.gen(function* () {
      const engine = new Engine()
      const at = (nextOffset: number, endOffset: number): Fetched => ({ ...fetched(nextOffset), endOffset })
      engine.put(at(5, 10), at(10, 10), at(11, 11), at(12, 20), at(20, 20))
      yield* over(
        engine,
        Effect.gen(function* () {
          const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
          const told = yield* consumer.events.pipe(
            Stream.filter((event) => event._tag === "CaughtUp"),
            Stream.take(2),
            Stream.runCollect
          )
          assert.deepStrictEqual(told, [
            { _tag: "CaughtUp", partition: p0 },
            { _tag: "CaughtUp", partition: p0 }
          ])
        })
      )
    })
  )

  describe("a pull that dies, or is interrupted by itself, leaves the partition silent for ever: it ends the reading", () => {
    const ends: Record<string, Effect.Effect<Fetched>> = {
      dies: Effect.die("a bug of the engine"),
      "is interrupted": Effect.interrupt,
      "gives no array": Effect.succeed(undefined as never)
    }
    for (const [how, pull] of Object.entries(ends))
      it.effect(how, () =>
        Effect.gen(function* () {
          const engine = new Engine()
          const first = yield* Deferred.make<Fetched>()
          let pulls = 0
          const reader = {
            ...engine.reader,
            pull: Effect.suspend(() => (pulls++ === 0 ? Deferred.await(first) : pull))
          }
          const transport = {
            consumer: () => Effect.succeed({ open: () => Effect.succeed(reader) })
          } as unknown as Transport["Service"]
          yield* Effect.gen(function* () {
            const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
            const seen: Array<number> = []
            const reading = yield* Effect.forkScoped(
              Effect.exit(Stream.runForEach(consumer.stream, ({ offset }) => Effect.sync(() => seen.push(offset))))
            )
            yield* Deferred.succeed(first, fetched(1, 0))
            yield* calm
            const exit = reading.pollUnsafe()
            assert(exit !== undefined && Exit.isSuccess(exit), "it reads on, of nothing")
            assert(Exit.isFailure(exit.value) && Cause.hasDies(exit.value.cause))
            assert.deepStrictEqual(seen, [0])
          }).pipe((self) => over(engine, Effect.provideService(self, Transport, transport)))
        })
      )
  })

  it.effect("gives the failure of the engine to whoever reads, behind what came before it", () =>
    Effect.gen(function* () {
      const engine = new Engine()
      const corrupt = KafkaError.make({ _tag: "Corrupt", what: "a batch", problem: "its checksum is wrong" })
      let first = true
      const reader: TransportModule.PartitionReader = {
        ...engine.reader,
        pull: Effect.suspend(() => {
          if (!first) return Effect.fail(corrupt)
          first = false
          return Effect.succeed(fetched(2, 0, 1))
        })
      }
      const failing = {
        consumer: () => Effect.succeed({ open: () => Effect.succeed(reader) })
      } as unknown as Transport["Service"]
      const seen: Array<number> = []
      const error = yield* Effect.gen(function* () {
        const consumer = yield* Consumer.assign({ topic: "t", from: "earliest" })
        return yield* consumer.stream.pipe(
          Stream.runForEach(({ offset }) => Effect.sync(() => seen.push(offset))),
          Effect.flip
        )
      }).pipe(
        Effect.scoped,
        Effect.provideService(Cluster, cluster),
        Effect.provideService(GroupOffsets, groupOffsets),
        Effect.provideService(Transport, failing)
      )
      assert.deepStrictEqual(seen, [0, 1])
      assert.strictEqual(error, corrupt)
    })
  )
})
