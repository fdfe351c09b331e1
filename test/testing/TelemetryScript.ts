/** What a broker with a receiver answers to raw requests of KIP-714, step by step: asked of Apache Kafka and of the embedded broker. */
import { Effect, Schedule, type Schema } from "effect"
import * as GetTelemetrySubscriptions from "../../src/protocol/messages/GetTelemetrySubscriptions.ts"
import * as PushTelemetry from "../../src/protocol/messages/PushTelemetry.ts"
import type * as Wire from "../../src/protocol/Wire.ts"
import * as Uuid from "../../src/protocol/codec/Uuid.ts"
import * as Payload from "../../src/telemetry/Payload.ts"

interface Api<Q extends Schema.Top, A extends Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

/** A connection to the broker. */
interface Client<E> {
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"], E>
}

/** `telemetry.max.bytes` of the broker that is asked. */
export const maxBytes = 262_144
/** What is subscribed to in the midst of it; the interval is beyond what the script takes. */
export const subscription = { metrics: ["org.apache.kafka.producer."], interval: 60_000 }

const own = "c29tZS11dWlkLTEyMzQ1Ng"
const one = "AAAAAAAAAAAAAAAAAAAAAQ"

/** Asks without an id until anything is wanted: brokers hear of a subscription a moment after it was made. */
export const firstWanted = <E>(client: Client<E>) =>
  Effect.repeat(client.send(GetTelemetrySubscriptions, 0, { clientInstanceId: Uuid.zero }), {
    schedule: Schedule.spaced("20 millis"),
    until: ({ requestedMetrics }) => requestedMetrics.length > 0
  })

/** `subscribe` sets the subscription, as brokers are told; that it is heard of is waited for here. */
export const ask = <E, E2>(client: Client<E>, subscribe: Effect.Effect<void, E2>) =>
  Effect.gen(function* () {
    const serialize = yield* Payload.serializer
    const point = { labels: { node_id: "node-1" }, value: 7 }
    const metrics = serialize([{ name: "org.apache.kafka.producer.x", isTotal: true, points: [point] }], {
      from: 1n,
      to: 2n,
      delta: true
    })
    const get = (clientInstanceId: string = Uuid.zero) =>
      client.send(GetTelemetrySubscriptions, 0, { clientInstanceId })
    const push = (clientInstanceId: string, subscriptionId: number, more: object = {}) =>
      Effect.map(
        client.send(PushTelemetry, 0, {
          clientInstanceId,
          subscriptionId,
          terminating: false,
          compressionType: 0,
          metrics,
          ...more
        }),
        ({ errorCode }) => errorCode
      )
    const steps: Array<readonly [string, unknown]> = []
    const step = (what: string, answer: unknown) => void steps.push([what, answer])
    const shown = ({
      clientInstanceId,
      subscriptionId,
      throttleTimeMs: _,
      ...rest
    }: Effect.Success<ReturnType<typeof get>>) => ({
      ...rest,
      named: clientInstanceId !== Uuid.zero,
      hasSubscription: subscriptionId !== 0
    })

    const a = yield* get()
    step("asks without an id, where nothing is wanted", shown(a))
    step("asks again at once", shown(yield* get(a.clientInstanceId)))
    yield* subscribe
    const b = yield* firstWanted(client)
    step("asks without an id, where something is wanted", shown(b))
    step("pushes by the subscription that was", yield* push(a.clientInstanceId, a.subscriptionId))
    const again = yield* get(a.clientInstanceId)
    step("asks after that", { ...shown(again), sameId: again.clientInstanceId === a.clientInstanceId })
    step("pushes by the new one at once", yield* push(a.clientInstanceId, again.subscriptionId))
    step("pushes right after it has asked", yield* push(b.clientInstanceId, b.subscriptionId))
    step("pushes again at once", yield* push(b.clientInstanceId, b.subscriptionId))
    const last = { terminating: true, compressionType: 9 }
    step("pushes a last time, compressed in no known way", yield* push(b.clientInstanceId, b.subscriptionId, last))
    step("pushes after the last", yield* push(b.clientInstanceId, b.subscriptionId))
    const c = yield* get()
    step(
      "pushes what is no MetricsData",
      yield* push(c.clientInstanceId, c.subscriptionId, { metrics: new Uint8Array([255, 255]) })
    )
    step("pushes without an id", yield* push(Uuid.zero, c.subscriptionId))
    step("pushes by an id that is reserved", yield* push(one, c.subscriptionId))
    step("pushes without having asked", yield* push("AQEBAQEBAQEBAQEBAQEBAQ", 5))
    const d = yield* get()
    const large = { metrics: new Uint8Array(maxBytes + 1) }
    step("pushes too much", yield* push(d.clientInstanceId, d.subscriptionId, large))
    const e = yield* get(own)
    step("asks with an id of its own", { ...shown(e), itsOwn: e.clientInstanceId === own })
    step(
      "pushes nothing, a last time",
      yield* push(own, e.subscriptionId, { terminating: true, metrics: new Uint8Array(0) })
    )
    step("asks after the last", shown(yield* get(own)))
    return steps
  })

const refused = (errorCode: number) => ({
  errorCode,
  acceptedCompressionTypes: [],
  pushIntervalMs: 0,
  telemetryMaxBytes: 0,
  deltaTemporality: false,
  requestedMetrics: [],
  named: false,
  hasSubscription: false
})
const wanted = (metrics: ReadonlyArray<string>, pushIntervalMs: number) => ({
  errorCode: 0,
  acceptedCompressionTypes: [4, 3, 1, 2],
  pushIntervalMs,
  telemetryMaxBytes: maxBytes,
  deltaTemporality: true,
  requestedMetrics: metrics,
  named: true,
  hasSubscription: true
})
const wantsSome = wanted(subscription.metrics, subscription.interval)

/** What Apache Kafka answers from 4.0 on. */
export const answers: ReadonlyArray<readonly [string, unknown]> = [
  ["asks without an id, where nothing is wanted", wanted([], 300_000)],
  ["asks again at once", refused(89)],
  ["asks without an id, where something is wanted", wantsSome],
  ["pushes by the subscription that was", 117],
  ["asks after that", { ...wantsSome, sameId: true }],
  ["pushes by the new one at once", 89],
  ["pushes right after it has asked", 0],
  ["pushes again at once", 89],
  ["pushes a last time, compressed in no known way", 76],
  ["pushes after the last", 42],
  ["pushes what is no MetricsData", 87],
  ["pushes without an id", 42],
  ["pushes by an id that is reserved", 42],
  ["pushes without having asked", 117],
  ["pushes too much", 118],
  ["asks with an id of its own", { ...wantsSome, itsOwn: true }],
  ["pushes nothing, a last time", 0],
  ["asks after the last", refused(89)]
]

/** What Apache Kafka 3.9.2 answers: who is told that there is another subscription may not ask for it at once. */
export const answersOf3 = answers.map(([step, answer]) =>
  step === "asks after that" ? ([step, { ...refused(89), sameId: false }] as const) : ([step, answer] as const)
)
