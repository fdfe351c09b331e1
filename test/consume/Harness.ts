/** Common ground of the consumer's tests: the embedded broker under TestClock. */
import { assert } from "@effect/vitest"
import { Effect, Exit, Layer, Result, Schema, Scope, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

export const orders = Topic.make("orders", { key: Schema.NullOr(Schema.String), value: Schema.String })
export const p0 = { topic: "orders", partition: 0 }

export const layer = (options: Parameters<typeof KafkaTest.layer>[0]) =>
  Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer(options)))

export const one = layer({ topics: [{ name: orders, partitions: 1 }] })
export const two = layer({ topics: [{ name: orders, partitions: 2 }] })

/** Lets everything run that needs no time. */
export const calm = Effect.forEach(Array.from({ length: 60 }), () => Effect.yieldNow, { discard: true })

/** Moves the clock in steps. */
export const pass = (millis: number, step = 250) =>
  Effect.gen(function* () {
    for (let at = 0; at < millis; at += step) {
      yield* calm
      yield* TestClock.adjust(Math.min(step, millis - at))
    }
    yield* calm
  })

/** Moves the clock until it is so; gives the milliseconds that it took. */
export const until = <R = never>(what: string, is: () => boolean | Effect.Effect<boolean, never, R>, limit = 120_000) =>
  Effect.gen(function* () {
    for (let at = 0; at <= limit; at += 250) {
      yield* calm
      const so = is()
      if (typeof so === "boolean" ? so : yield* so) return at
      yield* TestClock.adjust(250)
    }
    return assert.fail(`it never came to pass: ${what}`)
  })

/** `Effect.scoped`, whose end moves the clock: what is closed may have to wait. */
export const scoped = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const exit = yield* Effect.exit(Scope.provide(self, scope))
    const closing = yield* Effect.forkChild(Scope.close(scope, Exit.void))
    yield* until("everything is closed", () => closing.pollUnsafe() !== undefined)
    return yield* exit
  })

/** Runs while the clock moves. */
export const moving = <A, E, R>(self: Effect.Effect<A, E, R>, limit = 120_000) =>
  Effect.gen(function* () {
    const fiber = yield* Effect.forkChild(Effect.exit(self))
    yield* until("it ends", () => fiber.pollUnsafe() !== undefined, limit)
    const exit = fiber.pollUnsafe()!
    return Exit.isSuccess(exit) ? exit.value : yield* Effect.die("interrupted")
  })

export const fill = (count: number, partition = 0, from = 0) =>
  Effect.gen(function* () {
    const producer = yield* Producer.Producer
    const entries = Array.from({ length: count }, (_, i) => ({ key: null, value: `v${from + i}`, partition }))
    for (const result of yield* producer.sendAll(orders, entries)) assert.isTrue(Result.isSuccess(result))
  })

export const committed = (group = "g") =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    return Object.fromEntries((yield* broker.committed(group)).map((c) => [`${c.topic}-${c.partition}`, c.offset]))
  })

type Order = Consumer.RecordOf<typeof orders>

/** Follows a consumer's events until it ends. */
export const follow = (consumer: Consumer.Consumer<any>) =>
  Effect.gen(function* () {
    const events: Array<Consumer.ConsumerEvent> = []
    yield* Effect.forkDetach(
      Stream.runForEach(consumer.events, (event) => Effect.sync(() => events.push(event))),
      { startImmediately: true }
    )
    return events
  })

/** A member in a Scope that is closed by hand, and what it tells. */
export const member = (options: Partial<Consumer.SubscribeOptions<readonly [typeof orders]>> = {}) =>
  Effect.gen(function* () {
    const scope = yield* Scope.make()
    const consumer: Consumer.Consumer<Order> = yield* Scope.provide(
      Consumer.subscribe({ group: "g", topics: [orders], from: "earliest", ...options }),
      scope
    )
    yield* Effect.addFinalizer(() => Effect.forkDetach(Scope.close(scope, Exit.void)))
    const events = yield* follow(consumer)
    return { consumer, events, close: Scope.close(scope, Exit.void) }
  })

export const tags = (events: ReadonlyArray<Consumer.ConsumerEvent>) => events.map((event) => event._tag)

/** Closes a member whose reader is at work: what it has is given back when that goes on, and no sooner. */
export const closesBehind = <R>({
  close,
  events,
  goesOn
}: Pick<Effect.Success<ReturnType<typeof member>>, "close" | "events"> & {
  readonly goesOn: Effect.Effect<unknown, never, R>
}) =>
  Effect.gen(function* () {
    const closing = yield* Effect.forkScoped(close)
    yield* pass(5_000)
    assert.notInclude(tags(events), "Revoked")
    yield* goesOn
    yield* until("it is given back", () => tags(events).includes("Revoked"), 2_000)
    assert.notInclude(tags(events), "RevokeTimedOut")
    yield* until("it is closed", () => closing.pollUnsafe() !== undefined)
  })

/** The reason of a failure, as its tag. */
export const reasonOf = <A, R>(self: Effect.Effect<A, unknown, R>) =>
  Effect.map(Effect.result(self), (result) =>
    Result.isFailure(result) ? (result.failure as { readonly reason: { readonly _tag: string } }).reason._tag : "none"
  )
