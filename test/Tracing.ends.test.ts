/** Each span that is begun is ended once: wherever its fiber is interrupted, and whatever the client is at when it closes. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope, Tracer } from "effect"
import { TestClock } from "effect/testing"
import { Consumer, Producer, Topic } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import * as Spans from "../src/tracing/Spans.ts"
import { moving, until } from "./consume/Harness.ts"
import { interruptedAt } from "./Interrupted.ts"
import { cluster, keeping } from "./Observing.ts"

const orders = Topic.bytes("orders")
const entry = { key: null, value: new Uint8Array(3) }
const openOf = (spans: ReadonlyArray<Tracer.Span>) =>
  spans.flatMap(({ name, status }) => (status._tag === "Ended" ? [] : [name]))

describe("a span is ended", () => {
  it.effect("where its fiber is interrupted at any step (it stayed open between its beginning and the work)", () =>
    Effect.gen(function* () {
      for (let step = 1, isThere = true; isThere; step++) {
        const { spans, tracer } = keeping()
        const self = Effect.gen(function* () {
          const made = (yield* Spans.current)!
          const one = Spans.within(
            () => Effect.yieldNow,
            () => made.begin("work", "internal", {})
          )
          yield* Effect.andThen(one, one)
        })
        isThere = yield* Effect.provideService(interruptedAt(self, step), Tracer.Tracer, tracer)
        assert.deepStrictEqual(openOf(spans), [], `interrupted at step ${step}`)
      }
    })
  )

  it.effect("where a consumer closes while its group shares out (that of the rebalance stayed open)", () => {
    const { of, spans, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("SyncGroup").delay("1 hour"))
      const scope = yield* Scope.make()
      yield* Scope.provide(Consumer.subscribe({ topics: [orders], group: "g", from: "earliest" }), scope)
      yield* until("the group shares out", () => of("rebalance g").length > 0)
      yield* moving(Scope.close(scope, Exit.void))
      assert.deepStrictEqual(openOf(of("rebalance g")), [])
      assert.isAbove(spans.length, 1)
    }).pipe(Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
  })

  it.effect("where a producer closes before a batch is acknowledged (that of the batch stayed open)", () => {
    const { of, tracer } = keeping()
    return Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      yield* broker.inject(Fault.on("Produce").error(7))
      const scope = yield* Scope.make()
      const { send } = yield* Scope.provide(Producer.make({ closeTimeout: "1 second", linger: 0 }), scope)
      yield* Effect.forkScoped(Effect.exit(send(orders, entry)))
      yield* until("it is sent", () => of("send orders").length === 1)
      yield* TestClock.adjust("1 second")
      yield* moving(Scope.close(scope, Exit.void))
      const [span] = of("send orders")
      assert.isTrue(span!.status._tag === "Ended" && Exit.isFailure(span!.status.exit))
    }).pipe(Effect.provide(cluster()), Effect.provideService(Tracer.Tracer, tracer))
  })
})
