/** A cluster that is made anew, at the same addresses, under a producer that lives on. */
import { assert, it } from "@effect/vitest"
import { Context, Effect, Exit, Fiber, Layer, Scope } from "effect"
import { TestClock } from "effect/testing"
import { Kafka, Network, Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { text } from "./Helpers.ts"

/** Two clusters at the same addresses, one after the other, with producers of both. */
const setUp = Effect.fnUntraced(function* (options: EmbeddedKafka.Options = {}) {
  const cluster = (clusterId: string) =>
    EmbeddedKafka.make({ topics: [{ name: text, partitions: 2 }], clusterId, ...options })
  const scope = yield* Scope.make()
  yield* Effect.addFinalizer(() => Scope.close(scope, Exit.void))
  const first = yield* Scope.provide(cluster("first"), scope)
  const second = yield* cluster("second")
  let now = first
  const ends: Array<(host: string) => void> = []
  let silent = (_host: string, _key: number): boolean => false
  const network = Layer.succeed(
    Network.Network,
    Network.Network.of({
      connect: (address, handler) =>
        Effect.suspend(() =>
          Effect.map(now.connect(address, handler), (connection) => {
            let isSilent = false
            ends.push((host) => {
              if (address.host !== host) return
              connection.close()
              handler.onClose("ended by the test")
            })
            return {
              close: connection.close,
              write: (chunks: ReadonlyArray<Uint8Array>, written?: () => void) => {
                isSilent ||= silent(address.host, Buffer.from(chunks[0]!).readInt16BE(4))
                if (isSilent) written?.()
                else connection.write(chunks, written)
              }
            }
          })
        )
    })
  )
  const send = Effect.fnUntraced(function* (to: Producer.Producer["Service"], partition: number, value: string) {
    const sending = yield* Effect.forkChild(to.send(text, { value, partition }), { startImmediately: true })
    for (let i = 0; i < 100 && sending.pollUnsafe() === undefined; i++) yield* TestClock.adjust("100 millis")
    return (yield* Fiber.join(sending)).offset
  })
  return {
    first,
    second,
    producer: Effect.gen(function* () {
      const kafka = Layer.provide(Kafka.layerWithoutNetwork({ bootstrap: now.bootstrap }), network)
      const layer = Producer.layer({ requestTimeout: "2 seconds", deliveryTimeout: "8 seconds" })
      return Context.get(yield* Layer.build(layer.pipe(Layer.provideMerge(kafka))), Producer.Producer)
    }),
    send,
    /** Who connects gets the second. */
    replace: Effect.sync(() => void (now = second)),
    /** The connections that there are to one of its brokers end. */
    endTo: (id: number) => Effect.sync(() => ends.splice(0).forEach((end) => end(`embedded-${id}`))),
    /** Which connection falls into silence at which request. */
    silence: (at: (host: string, key: number) => boolean) => Effect.sync(() => void (silent = at)),
    /** The connections to the first end. */
    end: Scope.close(scope, Exit.void),
    /** Both producers send by turns, to the second: nothing of either is taken for the other's. */
    check: Effect.fnUntraced(function* (
      old: Producer.Producer["Service"],
      young: Producer.Producer["Service"],
      partition: number,
      /** After the first record. */
      then: Effect.Effect<unknown, unknown, Scope.Scope> = Effect.void
    ) {
      const outcomes: Array<string> = []
      outcomes[yield* send(young, partition, "f")] = "f"
      yield* then
      for (const value of ["g", "i", "k"]) {
        outcomes[yield* send(old, partition, value)] = value
        outcomes[yield* send(young, partition, `${value} too`)] = `${value} too`
      }
      const log = (yield* second.log(text, partition)).map(({ value }) => value)
      assert.deepStrictEqual(log, ["f", "g", "g too", "i", "i too", "k", "k too"])
      assert.deepStrictEqual(outcomes, log)
    })
  }
})

const two: EmbeddedKafka.Options = { brokers: 2, replicationFactor: 1, asVersion: "3.9" }

it.effect("it has given the producer's id to another: nothing of either is taken for the other's", () =>
  Effect.gen(function* () {
    const { check, end, producer, replace, send } = yield* setUp()
    const old = yield* producer
    for (const value of ["a", "b", "c", "d", "e"]) yield* send(old, 0, value)
    yield* end
    yield* replace
    yield* check(old, yield* producer, 0)
  }).pipe(Effect.scoped)
)

it.effect("also where nothing was sent over the connection that has ended", () =>
  Effect.gen(function* () {
    const { check, end, first, producer, replace, send } = yield* setUp(two)
    const old = yield* producer
    for (const value of ["a", "b", "c", "d", "e"]) yield* send(old, 0, value)
    const other = (yield* first.topic(text))![1]!
    yield* first.inject(Fault.on("ApiVersions", { broker: other.leader }).delay("100 millis"))
    const gone = yield* Effect.forkChild(old.send(text, { value: "gone", partition: other.partition }), {
      startImmediately: true
    })
    yield* TestClock.adjust("50 millis")
    yield* Fiber.interrupt(gone)
    yield* TestClock.adjust("1 second")
    yield* end
    yield* replace
    yield* check(old, yield* producer, other.partition)
  }).pipe(Effect.scoped)
)

it.effect("also where connections to it are not known to have ended, and a broker is the first time connected to", () =>
  Effect.gen(function* () {
    const { check, producer, replace, send } = yield* setUp(two)
    const old = yield* producer
    for (const value of ["a", "b", "c", "d", "e"]) yield* send(old, 0, value)
    yield* replace
    yield* check(old, yield* producer, 1)
  }).pipe(Effect.scoped)
)

it.effect("an id is not asked of a broker of the old one, whose connection is not known to have ended", () =>
  Effect.gen(function* () {
    const { check, endTo, producer, replace, second, send } = yield* setUp(two)
    const old = yield* producer
    for (const partition of [0, 1]) for (const value of ["a", "b", "c"]) yield* send(old, partition, value)
    yield* replace
    // The id that the old cluster would give next is the last one's.
    yield* send(yield* producer, 1, "another")
    const dangling = old.send(text, { value: "d", partition: 1 })
    yield* check(
      old,
      yield* producer,
      0,
      Effect.gen(function* () {
        yield* endTo(1)
        yield* second.inject(Fault.on("InitProducerId", { broker: 1, times: 3 }).error(14))
        yield* Effect.forkScoped(Effect.andThen(Effect.sleep(70), dangling), { startImmediately: true })
      })
    )
  }).pipe(Effect.scoped)
)

it.effect("who falls silent before he has said whose he is is given up within requestTimeout", () =>
  Effect.gen(function* () {
    const { endTo, producer, send, silence } = yield* setUp()
    const old = yield* producer
    for (const value of ["a", "b"]) yield* send(old, 0, value)
    yield* endTo(1)
    let asked = false
    // The producer's connection, the only one to be made anew with something to send.
    yield* silence((_host, key) => key === 3 && !asked && (asked = true))
    assert.strictEqual(yield* send(old, 0, "c"), 2)
    assert.isTrue(asked)
  }).pipe(Effect.scoped)
)
