/** The example of `docs/examples/observability.ts`, read back from a collector that speaks OTLP over HTTP; and the dashboard. */
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Fiber, Layer, Metric } from "effect"
import * as Fs from "node:fs"
import * as Http from "node:http"
import type { AddressInfo } from "node:net"
import { Metrics } from "samsa"
import { KafkaTest } from "samsa/testing"
import { seen, shop } from "../../docs/examples/observability.ts"

interface Span {
  readonly name: string
  readonly traceId: string
  readonly spanId: string
  readonly parentSpanId?: string
  readonly links?: ReadonlyArray<{ readonly traceId: string; readonly spanId: string }>
}

/** A collector: what was posted, by path. */
const collector = Effect.acquireRelease(
  Effect.callback<{
    readonly url: string
    readonly posted: (path: string) => ReadonlyArray<any>
    readonly server: Http.Server
  }>((resume) => {
    const bodies: Array<readonly [string, any]> = []
    const server = Http.createServer((request, response) => {
      const chunks: Array<Buffer> = []
      request.on("data", (chunk) => chunks.push(chunk))
      request.on("end", () => {
        bodies.push([request.url ?? "", JSON.parse(Buffer.concat(chunks).toString())])
        response.writeHead(200, { "content-type": "application/json" }).end("{}")
      })
    })
    server.listen(0, "127.0.0.1", () => {
      const { port } = server.address() as AddressInfo
      const posted = (path: string) => bodies.filter(([to]) => to === path).map(([, body]) => body)
      resume(Effect.succeed({ url: `http://127.0.0.1:${port}`, posted, server }))
    })
  }),
  ({ server }) =>
    Effect.callback<void>((resume) => {
      server.closeAllConnections()
      server.close(() => resume(Effect.void))
    })
)

describe("the example of observability", () => {
  it.live("gives its traces and metrics to a collector", () =>
    Effect.gen(function* () {
      const { posted, url } = yield* collector
      const kafka = KafkaTest.layer({ topics: ["orders"], client: { clientId: "shop" } })
      yield* Effect.gen(function* () {
        const shipped = yield* Deferred.make<string>()
        const running = yield* Effect.forkChild(shop((order) => Effect.asVoid(Deferred.succeed(shipped, order))))
        assert.strictEqual(yield* Deferred.await(shipped), "shoes")
        yield* Fiber.interrupt(running)
        // Closing the Layer exports what is left.
      }).pipe(Effect.provide(Layer.fresh(seen(kafka, url))))
      const spans: ReadonlyArray<Span> = posted("/v1/traces").flatMap(({ resourceSpans }) =>
        resourceSpans.flatMap(({ scopeSpans }: any) => scopeSpans.flatMap(({ spans }: any) => spans))
      )
      const of = (name: string) => spans.find((span) => span.name === name) ?? assert.fail(`no span ${name}`)
      const [checkout, send, process, ship] = ["checkout", "send orders", "process orders", "ship"].map(of)
      assert.deepInclude(send!.links?.[0], { traceId: checkout!.traceId, spanId: checkout!.spanId })
      assert.deepInclude(process!.links?.[0], { traceId: checkout!.traceId, spanId: checkout!.spanId })
      assert.strictEqual(ship!.parentSpanId, process!.spanId)
      of("poll orders")
      of("rebalance shipping")
      const metrics: ReadonlyArray<{ readonly name: string; readonly unit: string }> = posted("/v1/metrics").flatMap(
        ({ resourceMetrics }) =>
          resourceMetrics.flatMap(({ scopeMetrics }: any) => scopeMetrics.flatMap(({ metrics }: any) => metrics))
      )
      const unitOf = (name: string) => metrics.find((metric) => metric.name === name)?.unit
      assert.strictEqual(unitOf(Metrics.names.sentMessages), "{message}")
      assert.strictEqual(unitOf(Metrics.names.requestLatency), "s")
      assert.strictEqual(unitOf(Metrics.names.consumedMessages), "{message}")
    }).pipe(Effect.scoped, Effect.provideService(Metric.MetricRegistry, new Map()))
  )

  it("has a dashboard of metrics that there are", () => {
    const text = Fs.readFileSync(new URL("../../docs/grafana-dashboard.json", import.meta.url), "utf8")
    const { panels } = JSON.parse(text) as {
      readonly panels: ReadonlyArray<{
        readonly title: string
        readonly targets: ReadonlyArray<{ readonly expr: string }>
      }>
    }
    const names = new Map(Metrics.definitions.map(({ name, type }) => [name.replaceAll(/[^a-zA-Z0-9]/g, "_"), type]))
    const used = new Set<string>()
    assert.isAbove(panels.length, 10)
    for (const { targets, title } of panels)
      for (const { expr } of targets)
        for (const [name] of expr.matchAll(/\b(?:kafka|messaging)_[a-z_]+(?=\{)/g)) {
          const base = names.has(name) ? name : name.replace(/_(bucket|sum|count)$/, "")
          assert.isTrue(names.has(base), `${title}: there is no metric ${name}`)
          if (base !== name) assert.strictEqual(names.get(base), "Histogram", name)
          used.add(base)
        }
    // All of them.
    assert.deepStrictEqual(
      [...names.keys()].filter((name) => !used.has(name)),
      []
    )
  })
})
