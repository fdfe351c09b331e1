import { assert, describe, it } from "@effect/vitest"
import { Effect, Metric } from "effect"
import { Metrics } from "samsa"
import { Statistics } from "../../src/librdkafka/Statistics.ts"
import * as Current from "../../src/metrics/Current.ts"

/** As librdkafka 2 tells it, of two brokers and its own threads. */
const told = (of: { readonly connects: number; readonly rxbytes: number; readonly state: string }) =>
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
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCreation, "b1"))?.count, 3)
      assert.strictEqual((yield* valueOf(Metrics.names.incomingBytes, "b1"))?.count, 80)
      assert.strictEqual((yield* valueOf(Metrics.names.outgoingBytes, "b1"))?.count, 100)
      assert.strictEqual((yield* valueOf(Metrics.names.connectionClose, "[::1]"))?.count, 1)
      assert.strictEqual((yield* valueOf(Metrics.names.connectionCount))?.value, 1)
      assert.strictEqual((yield* valueOf(Metrics.names.requestsInFlight))?.value, 3)
      statistics.end()
      assert.isUndefined(yield* valueOf(Metrics.names.connectionCount))
    })
  )
})
