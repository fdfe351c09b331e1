/**
 * How long a client takes to be of use again when its broker was frozen, was killed, or when something on the way has
 * forgotten its connections: an idle client, and one that sends and reads all the time. Prints the table of
 * docs/security.md: node --conditions=samsa-source test/integration/frozen.ts
 */
import { Effect, Fiber, Layer, Logger, Schema, Stream } from "effect"
import * as Net from "node:net"
import * as Consumer from "../../src/Consumer.ts"
import * as Kafka from "../../src/Kafka.ts"
import { Network } from "../../src/Network.ts"
import * as NodeNetwork from "../../src/NodeNetwork.ts"
import * as Producer from "../../src/Producer.ts"
import * as Topic from "../../src/Topic.ts"
import * as KafkaServer from "./KafkaServer.ts"

const topic = Topic.make("frozen", { key: Schema.NullOr(Schema.String), value: Schema.FiniteFromString })

/** Between client and broker: what is open can be forgotten, so that it is silent for ever; new connections are served. */
const proxy = (to: number) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly forget: () => void; readonly close: () => void }>((resume) => {
      const pairs = new Set<readonly [Net.Socket, Net.Socket]>()
      const server = Net.createServer((client) => {
        const broker = Net.connect(to, "127.0.0.1")
        const pair = [client, broker] as const
        pairs.add(pair)
        for (const socket of pair) {
          socket.setNoDelay(true)
          socket.on("error", () => {})
        }
        client.pipe(broker)
        broker.pipe(client)
        client.on("close", () => {
          pairs.delete(pair)
          broker.destroy()
        })
        broker.on("close", () => client.destroy())
      })
      server.listen(0, "127.0.0.1", () =>
        resume(
          Effect.succeed({
            port: (server.address() as Net.AddressInfo).port,
            forget: () => {
              for (const [client, broker] of pairs) {
                client.unpipe(broker)
                broker.unpipe(client)
                broker.removeAllListeners("close")
                broker.destroy()
                // It takes what comes, and says nothing.
                client.resume()
              }
            },
            close: () => {
              for (const [client, broker] of pairs) {
                client.destroy()
                broker.destroy()
              }
              server.close()
            }
          })
        )
      )
    }),
    ({ close }) => Effect.sync(close)
  )

const now = () => performance.now()
const seconds = (millis: number) => `${(millis / 1000).toFixed(1)} s`

const program = Effect.gen(function* () {
  const server = yield* KafkaServer.make({ version: "4.4.0" })
  yield* server.createTopic(topic.name)
  const node = server.nodes[0]!
  const port = Number(server.bootstrap[0]!.split(":")[1])

  const events: ReadonlyArray<readonly [string, (forget: () => void) => Effect.Effect<void, unknown>]> = [
    ["frozen for 10 s", () => Effect.andThen(node.pause, Effect.andThen(Effect.sleep("10 seconds"), node.resume))],
    ["frozen for 40 s", () => Effect.andThen(node.pause, Effect.andThen(Effect.sleep("40 seconds"), node.resume))],
    ["killed, and started again", () => Effect.andThen(node.kill, node.start)],
    ["all connections forgotten on the way", (forget) => Effect.sync(forget)]
  ]

  /** One client; gives how long after the event a record that is sent is acknowledged, and is read. */
  const measured = (busy: boolean, requestTimeout: "30 seconds" | "5 seconds", event: (typeof events)[number][1]) =>
    Effect.gen(function* () {
      const way = yield* proxy(port)
      const { connect } = NodeNetwork.make()
      const network: Network["Service"] = {
        connect: (address, handler) =>
          connect({ ...address, port: address.port === port ? way.port : address.port }, handler)
      }
      const client = Kafka.layerWithoutNetwork({ bootstrap: server.bootstrap, requestTimeout })
      return yield* Effect.gen(function* () {
        const producer = yield* Producer.make({
          requestTimeout,
          deliveryTimeout: "2 minutes",
          closeTimeout: "1 second"
        })
        const consumer = yield* Consumer.assign({ topic, from: "latest", drainTimeout: "1 second" })
        let acknowledged = 0
        let received = 0
        let sent = 0
        yield* Effect.forkScoped(
          Stream.runForEach(consumer.stream, ({ value }) =>
            Effect.sync(() => void (received = Math.max(received, value)))
          )
        )
        const send = Effect.suspend(() => {
          const value = ++sent
          return Effect.map(producer.send(topic, { value }), () => void (acknowledged = Math.max(acknowledged, value)))
        })
        yield* send
        yield* Effect.repeat(Effect.andThen(send, Effect.sleep("50 millis")), { until: () => received > 0 })
        if (busy)
          yield* Effect.forkScoped(
            Effect.forever(Effect.andThen(Effect.forkScoped(Effect.ignore(send)), Effect.sleep("10 millis")))
          )
        yield* Effect.sleep("2 seconds")
        yield* event(way.forget)
        const from = now()
        const first = sent + 1
        const one = yield* Effect.forkScoped(send)
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => acknowledged >= first })
        const sentAfter = now() - from
        yield* Effect.repeat(Effect.sleep("5 millis"), { until: () => received >= first })
        const readAfter = now() - from
        yield* Fiber.join(one)
        return { sentAfter, readAfter }
      }).pipe(Effect.scoped, Effect.provide(Layer.fresh(Layer.provide(client, Layer.succeed(Network, network)))))
    }).pipe(Effect.scoped)

  console.log("| the broker, or the way to it | client | `requestTimeout` | sends again after | reads again after |")
  console.log("|---|---|---|---|---|")
  for (const [what, event] of events)
    for (const busy of [false, true])
      for (const requestTimeout of ["30 seconds", "5 seconds"] as const) {
        const { readAfter, sentAfter } = yield* measured(busy, requestTimeout, event)
        console.log(
          `| ${what} | ${busy ? "busy" : "idle"} | ${requestTimeout.replace("seconds", "s")} | ${seconds(sentAfter)} | ${seconds(readAfter)} |`
        )
      }
}).pipe(Effect.scoped, Effect.provide(Logger.layer([])))

Effect.runPromise(program).then(
  () => process.exit(0),
  (error) => {
    console.error(error)
    process.exit(1)
  }
)
