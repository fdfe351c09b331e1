// The service of the guide: what comes in by HTTP is in Kafka, and what cannot be billed among the dead letters.
import { NodeHttpServer } from "@effect/platform-node"
import { assert, it } from "@effect/vitest"
import { Effect, Fiber, Layer } from "effect"
import { HttpBody, HttpClient } from "effect/http"
import { Producer } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { dead, orders, service } from "../../docs/examples/service.ts"

const TestLayer = Layer.merge(
  NodeHttpServer.layerTest,
  Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders, dead], strict: true })))
)

it.live("a service takes orders by HTTP, bills them, and stops when it is told", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const client = yield* HttpClient.HttpClient
    const running = yield* Effect.forkChild(service)
    const post = (body: unknown) => client.post("/orders", { body: HttpBody.jsonUnsafe(body) })

    const accepted = yield* post({ id: "o-1", total: 42 })
    assert.deepStrictEqual([accepted.status, yield* accepted.json], [202, { partition: 0, offset: 0 }])
    assert.strictEqual((yield* post({ id: "o-2" })).status, 400)
    assert.strictEqual((yield* post({ id: "o-3", total: 2_000_000 })).status, 202)

    // it ends gracefully, and what was handled by then is committed
    yield* Effect.repeat(Effect.sleep(10), { until: () => Effect.map(broker.log(dead), (log) => log.length === 1) })
    yield* Fiber.interrupt(running)
    yield* broker.awaitCommitted("billing", { topic: orders, offset: 2 })
    const [letter] = yield* broker.log(dead)
    const reason = (letter!.headers as ReadonlyArray<readonly [string, Uint8Array]>).find(([name]) =>
      name.endsWith(".reason")
    )
    assert.strictEqual(new TextDecoder().decode(reason![1]), 'Refused {"id":"o-3"}')
  }).pipe(Effect.scoped, Effect.provide(TestLayer))
)
