/** What is told of what was counted: names, totals by temporality, rates, averages, labels, and room. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Compression from "../../src/Compression.ts"
import * as Of from "../../src/metrics/Definitions.ts"
import type { Attributes, Reading } from "../../src/metrics/Meter.ts"
import * as Names from "../../src/telemetry/Names.ts"
import * as Payload from "../../src/telemetry/Payload.ts"
import * as Report from "../../src/telemetry/Report.ts"
import * as MetricsData from "../../src/testing/embedded/MetricsData.ts"

const reading = (
  definition: Of.Definition,
  attributes: Attributes,
  value: number,
  count = 0,
  peak = -Infinity
): Reading => ({
  definition,
  attributes,
  value,
  count,
  peak,
  take: () => () => {}
})
const topic = (name: string) => ({ "messaging.destination.name": name })
const report = (readings: ReadonlyArray<Reading>, more: Partial<Report.Options> = {}) =>
  Report.make({
    readings,
    begun: new Map(),
    before: new Map(),
    seconds: 10,
    delta: false,
    wants: () => true,
    nodeOf: (host) => host,
    ...more
  })
const valuesOf = (metrics: ReadonlyArray<Report.Metric>) =>
  Object.fromEntries(
    metrics.flatMap(({ name, points }) =>
      points.map(({ labels, value }) => [
        [name.slice(Names.prefix.length), ...Object.values(labels)].join(" "),
        Math.round(value * 1e6) / 1e6
      ])
    )
  )

describe("a report", () => {
  const sent = (a: number, b: number) => [
    reading(Of.sentMessages, topic("a"), a),
    reading(Of.sentMessages, topic("b"), b),
    reading(Of.sentMessages, { ...topic("b"), "error.type": "Encode" }, 2)
  ]

  it("tells totals since the beginning, or since the last push, as is asked", () => {
    const begun = Report.at(sent(100, 0))
    const before = Report.at(sent(110, 5))
    const of = (delta: boolean) => valuesOf(report(sent(120, 25), { begun, before, delta }))
    assert.deepInclude(of(false), {
      "producer.record.send.total": 45,
      "producer.record.send.rate": 3,
      "producer.topic.record.send.total a": 20,
      "producer.topic.record.send.total b": 25
    })
    assert.deepInclude(of(true), {
      "producer.record.send.total": 30,
      "producer.record.send.rate": 3,
      "producer.topic.record.send.total a": 10,
      "producer.record.error.total": 0
    })
  })

  it("tells averages and maxima of what came since the last push, in milliseconds, and nothing of nothing", () => {
    const queue = (sum: number, count: number, peak: number) => [reading(Of.queueTime, topic("a"), sum, count, peak)]
    const before = Report.at(queue(1, 10, 0.5))
    assert.deepInclude(valuesOf(report(queue(1.6, 12, 0.4), { before })), {
      "producer.record.queue.time.avg": 300,
      "producer.record.queue.time.max": 400
    })
    const silent = valuesOf(report(queue(1, 10, -Infinity), { before }))
    assert.notProperty(silent, "producer.record.queue.time.avg")
    assert.notProperty(silent, "producer.record.queue.time.max")
  })

  it("tells how often something was seen, of all that happened, by node, and by the hour", () => {
    const where = { "server.address": "x", "server.port": "1" }
    const requests = (api: string, seconds: number, count: number, more: Attributes = {}) =>
      reading(Of.requestLatency, { ...where, "kafka.api.name": api, ...more }, seconds, count, 0.2)
    const at = (n: number) => [
      reading(Of.rebalances, {}, n),
      requests("Heartbeat", n * 0.1, n),
      requests("JoinGroup", n * 0.3, n),
      requests("JoinGroup", n * 5, n, { "error.type": "TimedOut" })
    ]
    const before = Report.at(at(10))
    assert.deepInclude(valuesOf(report(at(15), { before, begun: before, delta: true })), {
      "consumer.coordinator.heartbeat.rate": 0.5,
      "consumer.coordinator.heartbeat.total": 5,
      "consumer.coordinator.heartbeat.response.time.max": 200,
      "consumer.coordinator.join.total": 5,
      "consumer.coordinator.join.time.avg": 300,
      "consumer.coordinator.rebalance.rate.per.hour": 1800,
      "consumer.request.total": 15,
      "consumer.response.total": 10,
      "consumer.node.request.total x": 15
    })
    assert.strictEqual(
      valuesOf(report(at(15), { before: Report.at(at(14)), begun: before }))["consumer.request.total"],
      15
    )
  })

  it("tells of several gauges their sum, the largest, or the mean", () => {
    const of = (definition: Of.Definition, ...values: ReadonlyArray<number>) =>
      values.map((value, i) => reading(definition, { "messaging.consumer.group.name": `g${i}` }, value))
    const told = report([...of(Of.pollIdleRatio, 0.5, 0.9), ...of(Of.recordsLagMax, 3, 8)])
    assert.deepInclude(valuesOf(told), {
      "consumer.poll.idle.ratio.avg": 0.7,
      "consumer.fetch.manager.records.lag.max g0": 3,
      "consumer.fetch.manager.records.lag.max g1": 8
    })
  })

  it("tells what is counted of connections as of a producer, a consumer, or an admin client, and requests by whose they are", () => {
    const made = reading(Of.connectionCreation, { "server.address": "x", "server.port": "1" }, 3)
    const request = (api: string, seconds: number) =>
      reading(
        Of.requestLatency,
        { "server.address": "x", "server.port": "1", "kafka.api.name": api },
        seconds,
        1,
        seconds
      )
    const inFlight = reading(Of.requestsInFlight, {}, 1)
    const all = [made, inFlight, request("Produce", 0.1), request("Fetch", 0.5), request("Metadata", 0.01)]
    assert.deepInclude(valuesOf(report(all)), {
      "admin.client.connection.creation.total": 3,
      "admin.client.node.request.latency.max x": 500
    })
    const producing = valuesOf(report([...all, ...sent(1, 0)]))
    assert.deepInclude(producing, {
      "producer.connection.creation.total": 3,
      "producer.node.request.latency.max x": 100
    })
    assert.isFalse(Object.keys(producing).some((name) => /^(consumer|admin)/.test(name)))
    const both = valuesOf(report([...all, ...sent(1, 0), reading(Of.fetchLatency, {}, 1, 1, 1)]))
    assert.deepInclude(both, { "producer.node.request.latency.max x": 100, "consumer.node.request.latency.max x": 500 })
  })

  it("has every name of the table once", () => {
    const names = Names.rows.flatMap((row) =>
      Names.namesOf(row, row.role === "all" ? "producer" : row.role).map(
        (name) => `${name} ${Object.keys(row.labels).join(" ")}`
      )
    )
    assert.lengthOf(new Set(names), names.length)
  })
})

describe("a payload", () => {
  const metrics = report([
    reading(Of.queueTime, topic("a"), 1, 2, 0.75),
    ...Array.from({ length: 50 }, (_, i) => reading(Of.sentMessages, topic(`topic-${i}`), i))
  ])
  const times = { from: 1n, to: 2n, delta: false }

  it.effect("is MetricsData of OpenTelemetry in protobuf", () =>
    Effect.gen(function* () {
      const serialize = yield* Payload.serializer
      const { bytes, compressionType } = Payload.make(
        metrics,
        (some) => serialize(some, times),
        Compression.gzip(),
        1e6
      )
      assert.strictEqual(compressionType, 1)
      const read = MetricsData.read(Compression.gzip().decompress(bytes, 1e6))
      assert.deepStrictEqual(
        read.map(({ kind, name, points, temporality }) => ({
          name,
          isTotal: kind === "sum",
          temporality,
          points: points.map(({ labels, startTime, time, value }) => ({ labels, value, startTime, time }))
        })),
        metrics.map(({ isTotal, name, points }) => ({
          name,
          isTotal,
          temporality: isTotal ? ("cumulative" as const) : undefined,
          points: points.map((point) => ({ ...point, startTime: 1n, time: 2n }))
        }))
      )
    })
  )

  it.effect("is no larger than it may be: the first metrics are kept", () =>
    Effect.gen(function* () {
      const serialize = yield* Payload.serializer
      const { bytes, left } = Payload.make(metrics, (some) => serialize(some, times), Compression.none, 300)
      assert.isAtMost(bytes.length, 300)
      const read = MetricsData.read(bytes)
      assert.strictEqual(read[0]!.name, `${Names.prefix}producer.record.queue.time.avg`)
      assert.strictEqual(left, metrics.length - read.length)
      assert.lengthOf(Payload.make(metrics, (some) => serialize(some, times), Compression.none, 0).bytes, 0)
    })
  )

  it("is compressed by the first kind that is accepted and known, else not at all", () => {
    const chosen = (accepted: ReadonlyArray<number>, refused: ReadonlyArray<number> = []) =>
      Payload.codecFor(accepted, new Set(refused), Compression.builtIn).id
    assert.deepStrictEqual(
      [chosen([4, 3, 1, 2]), chosen([9, 3]), chosen([4, 3], [4]), chosen([]), chosen([7]), chosen([1], [1])],
      [4, 3, 3, 0, 0, 0]
    )
  })
})
