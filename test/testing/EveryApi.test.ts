/** Each API at each version: a request of defaults, one that names things, and garbage, none of which may harm the broker. */
import { assert, describe, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import * as Frame from "../../src/protocol/Frame.ts"
import { handlers } from "../../src/testing/embedded/handlers.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"
import { batch, bytes, connect } from "./RawClient.ts"

/** For each field name that Kafka's definitions use: values that are there, and values that are not. */
const plausible = (topicId: string, api: string): { readonly [field: string]: ReadonlyArray<unknown> } => ({
  name: ["t", "absent"],
  topic: ["t", "absent"],
  topicId: [topicId, "AAAAAAAAAAAAAAAAAAAAAQ"],
  clientInstanceId: [topicId, "AAAAAAAAAAAAAAAAAAAAAA"],
  replicaDirectoryId: [topicId],
  groupId: ["g", "other"],
  key: ["g"],
  // null where it may be: of a producer without transactions
  transactionalId: api === "Produce" || api === "InitProducerId" ? [null] : ["tx"],
  acks: [-1, 1],
  index: [0, 7],
  partition: [0, 7],
  partitionIndex: [0, 7],
  records: [batch(["a"])],
  sessionTimeoutMs: [10_000],
  protocolType: ["consumer"],
  metadata: [bytes("m")],
  partitionMaxBytes: [1_000_000],
  resourceType: [2, 4],
  resourceName: ["t", "1"],
  memberId: ["", "m"],
  // a number where it is about SCRAM alone
  mechanism: api.includes("Scram") ? [1, 2] : ["PLAIN"],
  count: [3],
  numPartitions: [1],
  replicationFactor: [1],
  timestamp: [-1, 0]
})

interface Node {
  readonly [field: string]: unknown
}

/** A request with one or two plausible entries in each of its arrays, as its Schema describes it. */
const fill = (ast: any, values: ReturnType<typeof plausible>, field: string, nth: number): unknown => {
  const known = values[field]
  if (known !== undefined) return known[nth % known.length]
  switch (ast._tag) {
    case "Union":
      return fill(
        ast.types.find((type: any) => type._tag !== "Null"),
        values,
        field,
        nth
      )
    case "Objects": {
      const out: { [name: string]: unknown } = {}
      for (const property of ast.propertySignatures)
        out[property.name] = fill(property.type, values, property.name, nth)
      return out
    }
    case "Arrays":
      return [fill(ast.rest[0], values, `${field}[]`, 0), fill(ast.rest[0], values, `${field}[]`, 1)]
    case "String":
      return "t"
    case "Boolean":
      return false
    case "Number":
      return 0
    default:
      return new Uint8Array(0)
  }
}

/** Without what the version lacks, which may not be written. */
const writable = (handler: { readonly Request: any }, version: number, value: Node): Node | undefined => {
  let attempt: any = structuredClone(value)
  for (let i = 0; i < 40; i++) {
    try {
      Frame.encodeRequest(handler.Request, version, { correlationId: 1, clientId: "x" }, attempt)
      return attempt
    } catch (error: any) {
      const path = /^([\w[\].]+) of /.exec(error.reason?.needed ?? "")?.[1]
      if (path === undefined) throw error
      const last = path.split(".").at(-1)!
      const strip = (node: any): any =>
        Array.isArray(node)
          ? node.map(strip)
          : node !== null && typeof node === "object" && !(node instanceof Uint8Array)
            ? Object.fromEntries(
                Object.entries(node)
                  .filter(([name]) => name !== last)
                  .map(([name, inner]) => [name, strip(inner)])
              )
            : node
      attempt = strip(attempt)
    }
  }
  return undefined
}

describe("every API at every version", () => {
  for (const handler of handlers.values()) {
    const [from, to] = handler.Request.stable
    it.effect(`${handler.name} v${from} to v${to} is answered`, () =>
      Effect.gen(function* () {
        for (let version = from; version <= to; version++) {
          const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }], telemetry: true })
          const seed = yield* connect(broker)
          const produce = handlers.get(0)!
          yield* seed.send(produce as any, 9, {
            acks: 1,
            timeoutMs: 0,
            topicData: [{ name: "t", partitionData: [{ index: 0, records: batch(["a", "b"]) }] }]
          } as any)
          const metadata = yield* seed.send(handlers.get(3)! as any, 12, { topics: [{ name: "t" }] } as any)
          const values = plausible((metadata as any).topics[0].topicId, handler.name)
          const full = fill((handler.Request.schema as any).ast, values, "", 0) as Node
          for (const request of [{}, writable(handler, version, full)!]) {
            const client = yield* connect(broker)
            const answer = yield* Effect.forkChild(client.send(handler as any, version, request as any), {
              startImmediately: true
            })
            yield* TestClock.adjust("1 minute")
            yield* Effect.yieldNow
            // acks 0 has no answer, and SaslHandshake without SASL ends the connection
            const none = handler.name === "Produce" && request["acks"] === undefined
            if (!none) assert.isDefined(answer.pollUnsafe(), `v${version} ${JSON.stringify(request)}`)
            yield* Fiber.interrupt(answer)
          }
          assert.deepStrictEqual(yield* broker.defects, [])
        }
      })
    )
  }

  it.effect("garbage closes the connection at worst", () =>
    Effect.gen(function* () {
      const random = randomOf(42)
      const broker = yield* EmbeddedKafka.make({ topics: [{ name: "t", partitions: 2 }], telemetry: true })
      const all = Array.from(handlers.values())
      for (let i = 0; i < 1500; i++) {
        const handler = all[Math.floor(random() * all.length)]!
        const version = Math.floor(random() * (handler.Request.stable[1] + 1))
        const values = plausible("AAAAAAAAAAAAAAAAAAAAAQ", handler.name)
        const full = fill((handler.Request.schema as any).ast, values, "", 0) as Node
        const frame = Buffer.concat(
          Frame.encodeRequest(
            handler.Request,
            version,
            { correlationId: i, clientId: "fuzz" },
            writable(handler, version, full) as any
          )
        )
        for (let flips = 1 + Math.floor(random() * 4); flips > 0; flips--)
          frame[8 + Math.floor(random() * (frame.length - 8))] = Math.floor(random() * 256)
        const client = yield* connect(broker)
        yield* client.write(frame)
        if (i % 50 === 0) yield* TestClock.adjust("1 second")
      }
      yield* Effect.yieldNow
      assert.deepStrictEqual(yield* broker.defects, [])
    })
  )
})
