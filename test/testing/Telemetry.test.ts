/** The receiver of clients' metrics: it answers as Apache Kafka 4.4.0 does, and is listed only where it is asked for. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { connect } from "./RawClient.ts"
import * as Script from "./TelemetryScript.ts"

const listed = (options: EmbeddedKafka.Options) =>
  Effect.gen(function* () {
    const client = yield* connect(yield* EmbeddedKafka.make(options))
    const { apiKeys } = yield* client.send(ApiVersions, 0, {})
    return apiKeys.map(({ apiKey }) => apiKey).filter((key) => key === 71 || key === 72)
  })

describe("client telemetry", () => {
  it.effect("is answered as Apache Kafka 4.4.0 answers it", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ asVersion: "4.4", telemetry: { maxBytes: Script.maxBytes } })
      const client = yield* connect(broker)
      const steps = yield* Script.ask(client, broker.telemetry.subscribe("some", Script.subscription))
      assert.deepStrictEqual(steps, Script.answers)
      const pushed = yield* broker.telemetry.pushed
      assert.deepStrictEqual(
        pushed.map(({ metrics }) => metrics.map(({ name }) => name)),
        [["org.apache.kafka.producer.x"]]
      )
      assert.deepStrictEqual(yield* broker.defects, [])
    })
  )

  it.effect("is listed where there is a receiver, from 3.7 on", () =>
    Effect.gen(function* () {
      assert.deepStrictEqual(yield* listed({ telemetry: true }), [71, 72])
      assert.deepStrictEqual(yield* listed({ telemetry: true, asVersion: "4.4" }), [71, 72])
      assert.deepStrictEqual(yield* listed({ telemetry: true, asVersion: "2.8" }), [])
      assert.deepStrictEqual(yield* listed({ telemetry: false }), [])
      assert.deepStrictEqual(yield* listed({ asVersion: "4.4" }), [])
    })
  )
})
