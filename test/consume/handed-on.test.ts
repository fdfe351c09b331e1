/** Operators that read a stream in a fiber of their own, whose scope ends with it: what they hand on is at work still. */
import { assert, describe, it } from "@effect/vitest"
import { type Cause, Effect, Latch, Queue, Stream } from "effect"
import { Consumer, Offset } from "samsa"
import { closesBehind, fill, member, moving, one, p0, pass, scoped, tags, until } from "./Harness.ts"

type Read = Effect.Success<ReturnType<typeof member>>["consumer"]["stream"]
type Record = Read extends Stream.Stream<infer A, any> ? A : never

const operators: { readonly [name: string]: (stream: Read) => Read } = {
  merge: (stream) => Stream.merge(stream, Stream.never),
  interruptWhen: (stream) => Stream.interruptWhen(stream, Effect.never),
  timeout: (stream) => Stream.timeout(stream, "10 minutes"),
  "flatMap with concurrency": (stream) =>
    Stream.flatMap(Stream.make(stream, Stream.never), (it) => it, { concurrency: 2 }),
  switchMap: (stream) => Stream.switchMap(Stream.succeed(stream), (it) => it),
  broadcast: (stream) => Stream.unwrap(Effect.map(Stream.broadcast(stream, { capacity: 4 }), (it) => it))
}

/** The first record is marked soon, the others when they may go on. */
const handling = (read: Read, concurrency: number) =>
  Effect.gen(function* () {
    const gate = yield* Queue.unbounded<void>()
    let working = 0
    const handle = (record: Record) =>
      Effect.suspend(() => {
        if (record.offset === 0) return Effect.delay(Consumer.done(record), "1 second")
        working++
        return Effect.andThen(Queue.take(gate), Consumer.done(record))
      })
    const reading = Stream.runDrain(Stream.mapEffect(read, handle, { concurrency }))
    const fiber = yield* Effect.forkScoped(Effect.exit(reading))
    yield* until("it is at work", () => working === concurrency)
    yield* pass(1_000)
    const goesOn = Queue.offerAll(gate, [undefined, undefined])
    return { fiber, goesOn }
  })

describe("what is at work behind an operator that has read the stream to its end", () => {
  for (const [name, operator] of Object.entries(operators))
    for (const concurrency of [1, 2]) {
      it.effect(
        `is waited for when the consumer is closed: ${name}, ${concurrency} at a time (two owners' handlers)`,
        () =>
          Effect.gen(function* () {
            yield* fill(3)
            const a = yield* member()
            const { goesOn } = yield* handling(operator(a.consumer.stream), concurrency)
            yield* closesBehind({ ...a, goesOn })
          }).pipe(scoped, Effect.provide(one))
      )
      it.effect(`is waited for where it was stopped, and another member comes: ${name}, ${concurrency} at a time`, () =>
        Effect.gen(function* () {
          yield* fill(3)
          const a = yield* member()
          const { goesOn } = yield* handling(operator(a.consumer.stream), concurrency)
          yield* a.consumer.stop
          const b = yield* member()
          const seen: Array<number> = []
          yield* Effect.forkScoped(b.consumer.run(({ offset }) => Effect.sync(() => seen.push(offset))))
          yield* pass(10_000)
          assert.notInclude(tags(a.events), "Revoked")
          yield* goesOn
          yield* until("it is given back", () => tags(a.events).includes("Revoked"), 5_000)
          yield* pass(5_000)
          assert.deepStrictEqual(seen, [])
        }).pipe(scoped, Effect.provide(one))
      )
    }
})

/** Whose handlers have marked the first two, and are at work with two more. */
const handOns: {
  readonly [name: string]: (
    read: Read,
    handle: (record: Record) => Effect.Effect<unknown>
  ) => Effect.Effect<unknown, unknown>
} = {
  "windows, each in a fiber": (read, handle) =>
    Stream.runDrain(
      Stream.mapEffect(Stream.grouped(operators.merge!(read), 2), (window) => Effect.forEach(window, handle), {
        concurrency: 2
      })
    ),
  "a queue that two others take from": (read, handle) =>
    Effect.gen(function* () {
      const queue = yield* Queue.unbounded<Record, Cause.Done>()
      yield* Effect.forkScoped(
        Effect.ensuring(
          Stream.runForEach(read, (record) => Queue.offer(queue, record)),
          Queue.end(queue)
        )
      )
      const worker = Effect.forever(Effect.flatMap(Queue.take(queue), handle))
      yield* Effect.all([worker, worker].map(Effect.exit), { concurrency: "unbounded" })
    }).pipe(Effect.scoped)
}

// A fiber that had marked two was taken for the only one who handles: it had ended, or did so first (two owners' handlers).
for (const [name, handOn] of Object.entries(handOns))
  it.effect(`what others are at work with is waited for when one of them has ended: ${name}`, () =>
    Effect.gen(function* () {
      yield* fill(4)
      const a = yield* member()
      const gate = yield* Latch.make()
      let working = 0
      const handle = (record: Record) =>
        Effect.suspend(() => {
          if (record.offset < 2) return Effect.delay(Consumer.done(record), "1 second")
          working++
          // One of the two ends at once.
          return record.offset === 2 ? Effect.andThen(gate.await, Consumer.done(record)) : Consumer.done(record)
        })
      yield* Effect.forkScoped(Effect.exit(handOn(a.consumer.stream, handle)))
      yield* until("it is at work", () => working > 0)
      yield* pass(3_000)
      yield* closesBehind({ ...a, goesOn: gate.open })
    }).pipe(scoped, Effect.provide(one))
  )

it.effect("what a seek has made void is waited for, too, as long as it is at work (two owners' handlers)", () =>
  Effect.gen(function* () {
    yield* fill(3)
    const a = yield* member()
    const { goesOn } = yield* handling(operators.merge!(a.consumer.stream), 2)
    yield* moving(a.consumer.seek(p0, Offset.at(3)))
    yield* closesBehind({ ...a, goesOn })
  }).pipe(scoped, Effect.provide(one))
)

const closesAtOnce = (a: Effect.Success<ReturnType<typeof member>>) =>
  Effect.gen(function* () {
    const closing = yield* Effect.forkScoped(a.close)
    yield* until("it is closed", () => closing.pollUnsafe() !== undefined, 1_000)
    assert.notInclude(tags(a.events), "RevokeTimedOut")
  })

it.effect("so is what is at work behind it while much is to be read, and nobody has waited yet", () =>
  Effect.gen(function* () {
    yield* fill(12)
    const a = yield* member({ maxRecords: 1 })
    const gate = yield* Latch.make()
    let working = 0
    const handle = (record: Record) =>
      Effect.suspend(() => {
        if (record.offset < 3) return Consumer.done(record)
        working++
        return Effect.andThen(gate.await, Consumer.done(record))
      })
    const merged = operators.merge!(a.consumer.stream)
    yield* Effect.forkScoped(Stream.runDrain(Stream.mapEffect(merged, handle, { concurrency: 2 })))
    yield* until("it is at work", () => working === 2)
    yield* closesBehind({ ...a, goesOn: gate.open })
  }).pipe(scoped, Effect.provide(one))
)

describe("a record that is never marked", () => {
  const ways: { readonly [name: string]: (stream: Read, handle: (record: Record) => Effect.Effect<void>) => Read } = {
    "one after the other": (stream, handle) => Stream.tap(stream, handle),
    "each in a fiber": (stream, handle) =>
      Stream.tap(stream, (record) => Effect.timeoutOption(handle(record), "1 second")),
    "several at a time": (stream, handle) =>
      Stream.mapEffect(stream, (record) => Effect.as(handle(record), record), { concurrency: 4 }),
    "behind a buffer": (stream, handle) => Stream.tap(Stream.buffer(stream, { capacity: 4 }), handle),
    "in windows": (stream, handle) =>
      Stream.flatMap(Stream.groupedWithin(stream, 2, "1 second"), (window) =>
        Stream.tap(Stream.fromIterable(window), handle)
      )
  }
  for (const [name, way] of Object.entries(ways))
    it.effect(`holds up no closing, where its handler has ended: ${name}`, () =>
      Effect.gen(function* () {
        yield* fill(4)
        const a = yield* member()
        let handled = 0
        const handle = (record: Record) =>
          Effect.suspend(() => {
            handled++
            return record.offset === 1 ? Effect.void : Consumer.done(record)
          })
        yield* Effect.forkScoped(Stream.runDrain(way(a.consumer.stream, handle)))
        yield* until("all are handled", () => handled === 4)
        yield* pass(2_000)
        yield* closesAtOnce(a)
      }).pipe(scoped, Effect.provide(one))
    )
  it.effect("holds up no closing by whoever marks the others", () =>
    Effect.gen(function* () {
      yield* fill(4)
      const a = yield* member()
      const queue = yield* Queue.unbounded<Record>()
      yield* Effect.forkScoped(Stream.runForEach(a.consumer.stream, (record) => Queue.offer(queue, record)))
      const worker = yield* Effect.forkScoped(
        Effect.gen(function* () {
          for (let i = 0; i < 2; i++) yield* Consumer.done(yield* Queue.take(queue))
          yield* a.close
        })
      )
      yield* until("it is closed", () => worker.pollUnsafe() !== undefined, 3_000)
      assert.notInclude(tags(a.events), "RevokeTimedOut")
    }).pipe(scoped, Effect.provide(one))
  )
})
