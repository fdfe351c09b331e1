import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { Metrics } from "samsa"
import { Statistics } from "../../src/librdkafka/Statistics.ts"
import * as Current from "../../src/metrics/Current.ts"

/** As librdkafka 2 tells it, of two brokers and its own threads. */
const told = (of: {
  readonly connects: number
  readonly disconnects?: number
  readonly rxbytes: number
  readonly state: string
}) =>
  JSON.stringify({
    name: "samsa#producer-1",
    brokers: {
      "b1:9092/1": {
        name: "b1:9092/1",
        nodeid: 1,
        nodename: "b1:9092",
        disconnects: 0,
        txbytes: 100,
        waitresp_cnt: 2,
        ...of
      },
      "[::1]:9093/2": {
        nodename: "[::1]:9093",
        state: "DOWN",
        connects: 1,
        disconnects: 1,
        rxbytes: 5,
        txbytes: 7,
        waitresp_cnt: 1
      },
      ":0/internal": {
        nodename: "",
        state: "UP",
        connects: 0,
        disconnects: 0,
        rxbytes: 0,
        txbytes: 0,
        waitresp_cnt: 0
      }
    }
  })

describe("the statistics of librdkafka", () => {
  it.effect("are the metrics of connections that the native transport has", () =>
    Effect.gen(function* () {
      const statistics = new Statistics(yield* Current.meter("of-librdkafka"))
      const valueOf = Effect.fnUntraced(function* (name: string, address?: string) {
        const found = (yield* Metric.snapshot).filter(
          ({ attributes, id }) =>
            id === name &&
            attributes?.["messaging.client.id"] === "of-librdkafka" &&
            (address === undefined || attributes["server.address"] === address)
        )
        return found.length === 1
          ? (found[0]!.state as { readonly count?: number; readonly value?: number })
          : undefined
      })
      statistics.take(told({ connects: 1, rxbytes: 50, state: "UP" }))
      // Counted once, whatever is told again, and what is no such thing counts for nothing.
      statistics.take(told({ connects: 1, rxbytes: 50, state: "UP" }))
      for (const odd of ["", "null", "{}", '{"brokers":5}', '{"brokers":{"x":{"nodename":"b1:9092"}}}'])
        statistics.take(odd)
      statistics.take(told({ connects: 3, rxbytes: 80, state: "UP" }))
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCreation, "b1"))?.count, 1)
      assert.strictEqual((yield* valueOf(Metrics.names.incomingBytes, "b1"))?.count, 80)
      assert.strictEqual((yield* valueOf(Metrics.names.outgoingBytes, "b1"))?.count, 100)
      assert.strictEqual((yield* valueOf(Metrics.names.connectionClose, "[::1]"))?.count, 1)
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCount))?.value, 1)
      assert.strictEqual((yield* valueOf(Metrics.names.requestsInFlight))?.value, 3)
      // It is gone for a while: what was tried in vain was never made (hundreds a minute were).
      statistics.take(told({ connects: 300, disconnects: 1, rxbytes: 80, state: "TRY_CONNECT" }))
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCreation, "b1"))?.count, 1)
      statistics.take(told({ connects: 301, disconnects: 1, rxbytes: 80, state: "UP" }))
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCreation, "b1"))?.count, 2)
      assert.strictEqual((yield* valueOf(Metrics.names.connectionClose, "b1"))?.count, 1)
      statistics.end()
      assert.isUndefined(yield* valueOf(Metrics.names.connectionCount))
    })
  )

  const window = (of: object) => ({ min: 0, p50: 0, p75: 0, p90: 0, p95: 0, p99: 0, max: 0, sum: 0, cnt: 0, ...of })
  const of20 = { min: 10, p50: 20, p75: 20, p90: 20, p95: 20, p99: 20, max: 20, sum: 30, cnt: 2 }
  const broker = { state: "UP", connects: 1, disconnects: 0, rxbytes: 1, txbytes: 1, waitresp_cnt: 0 }
  const latencies = { min: 1000, p50: 2000, p75: 4000, p90: 4000, p95: 4000, p99: 4000, max: 900_000, cnt: 100 }
  const all = (type: string) =>
    JSON.stringify({
      type,
      brokers: {
        b: { ...broker, nodename: "b:1", rtt: window(latencies), throttle: window({ max: 250, min: 250, cnt: 1 }) }
      },
      topics: {
        t: { batchsize: window(of20), batchcnt: window({ max: 5, cnt: 1 }) },
        odd: { batchsize: 5, batchcnt: { cnt: 1 } },
        none: null
      }
    })

  it.effect("are those of requests, of throttling and of batches, as many as it has measured", () =>
    Effect.gen(function* () {
      const statistics = new Statistics(yield* Current.meter("batches-of-librdkafka"))
      interface State {
        readonly count: number
        readonly sum: number
        readonly min: number
        readonly max: number
      }
      const valueOf = (name: string) =>
        Effect.map(
          Metric.snapshot,
          (all) =>
            all.find(
              ({ attributes, id }) => id === name && attributes?.["messaging.client.id"] === "batches-of-librdkafka"
            )?.state as State | undefined
        )
      statistics.take(all("consumer"))
      // What a consumer calls a batch is what it has read.
      assert.isUndefined(yield* valueOf(Metrics.names.batchSize))
      statistics.take(all("producer"))
      const latency = yield* valueOf(Metrics.names.requestLatency)
      assert.strictEqual(latency?.count, 200)
      assert.closeTo(latency!.sum, 2 * (50 * 0.0015 + 25 * 0.003 + 24 * 0.004 + 0.452), 0.0001)
      assert.strictEqual((yield* valueOf(Metrics.names.throttleTime))?.sum, 0.5)
      assert.deepInclude(yield* valueOf(Metrics.names.batchSize), { count: 2, min: 15, max: 20 })
      assert.deepInclude(yield* valueOf(Metrics.names.batchRecords), { count: 1, sum: 5 })
      assert.strictEqual((yield* valueOf(Metrics.names.producedBytes))?.count, 30)
      statistics.end()
    })
  )
})
