/** The native `Brokers`: connections by id and by address, each kind of work on one of its own, closed when idle. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import * as Backoff from "./Backoff.ts"
import * as Authentication from "./connection/Authentication.ts"
import * as IdleReaper from "./connection/IdleReaper.ts"
import { ConnectionSlot } from "./connection/ConnectionSlot.ts"
import * as Negotiation from "./connection/Negotiation.ts"
import { BrokerConnection } from "./connection/BrokerConnection.ts"
import * as ApiVersions from "./connection/ApiVersions.ts"
import { formatAddress, KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { Network } from "./Network.ts"
import { type Broker, Brokers } from "./Broker.ts"
import type { Channel } from "./protocol/Exchange.ts"

/** Makes the service. Its connections end with the Scope. */
export const make: Effect.Effect<Brokers["Service"], never, KafkaConfig | Network | Scope.Scope> = Effect.gen(
  function* () {
    const config = yield* KafkaConfig
    const network = yield* Network
    const clock = yield* Clock.Clock
    const random = yield* Random.Random
    const scope = yield* Effect.scope
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const fork = (effect: Effect.Effect<void>) => Fiber.runIn(run(effect), scope)
    const now = () => Backoff.monotonic(clock)
    const idle = IdleReaper.make(config.connectionsMaxIdle, clock, fork)
    const { sasl, sourceAddress, tls } = config
    let clusterId: string | null = null

    /** By `host:port`. */
    const memories = new Map<string, Negotiation.Memory>()
    const memoryOf = (address: string) => {
      let memory = memories.get(address)
      if (memory === undefined) memories.set(address, (memory = Negotiation.makeMemory()))
      return memory
    }

    /** Opens a connection in a Scope of its own, which ends with it. */
    const open = (host: string, port: number, slot: ConnectionSlot, parent: Scope.Scope) =>
      Effect.gen(function* () {
        const own = yield* Scope.fork(parent)
        const session: BrokerConnection = new BrokerConnection({
          address: formatAddress({ host, port }),
          clientId: config.clientId,
          requestTimeout: config.requestTimeout,
          maxResponseBytes: config.maxResponseBytes,
          authenticates: sasl !== undefined,
          clock,
          fork,
          onEnd: (ended) => {
            idle.remove(ended)
            slot.ended(ended)
            fork(Scope.close(own, Exit.void))
          }
        })
        yield* Scope.addFinalizer(
          own,
          Effect.sync(() => session.close("this client was closed"))
        )
        const connection = yield* Scope.provide(network.connect({ host, port, tls, sourceAddress }, session), own)
        session.attach(connection)
        return session
      })

    const connect = (id: number, host: string, port: number) => (slot: ConnectionSlot, parent: Scope.Scope) => {
      const address = formatAddress({ host, port })
      return Effect.gen(function* () {
        const session = yield* Negotiation.negotiate({
          open: open(host, port, slot, parent),
          memory: memoryOf(address),
          // A bootstrap server may lead to another cluster than before. A node without its cluster is refused.
          identity: id < 0 || clusterId === null ? Negotiation.anyBroker : { clusterId, nodeId: id },
          pinned: config.pinned,
          sasl: sasl !== undefined,
          now
        })
        session.ready(sasl === undefined ? undefined : yield* Authentication.authenticate(session, sasl, now))
        idle.add(session)
        return session
      }).pipe(
        Effect.timeoutOrElse({
          duration: config.connectTimeout,
          orElse: () =>
            Effect.fail(
              KafkaError.make({
                _tag: "TimedOut",
                budget: "connectTimeout",
                millis: config.connectTimeout,
                waitingFor: `a connection to ${address}`,
                broker: address
              })
            )
        })
      )
    }

    const makeBroker = (id: number, host: string, port: number) => {
      const address = formatAddress({ host, port })
      const slots = new Map<Channel, ConnectionSlot>()
      const context = {
        address,
        scope,
        clock,
        fork,
        random: () => random.nextDoubleUnsafe(),
        connect: connect(id, host, port)
      }
      const session = (channel: Channel = "control") => {
        let slot = slots.get(channel)
        if (slot === undefined) slots.set(channel, (slot = new ConnectionSlot(context)))
        return slot.acquire
      }
      const broker: Broker = {
        id,
        host,
        port,
        version: (api, options = {}) =>
          Effect.flatMap(session(options.channel), ({ offer }) => {
            const version = ApiVersions.choose(api, offer, options, address)
            return typeof version === "number" ? Effect.succeed(version) : Effect.fail(version)
          }),
        offer: (options = {}) => Effect.map(session(options.channel), ({ offer }) => offer),
        send: (api, request, options = {}) =>
          Effect.flatMap(session(options.channel), (session) => session.send(api, request, options)),
        hangUp: (channel) => {
          slots.get(channel)?.close("hung up")
          slots.delete(channel)
        }
      }
      return { broker, close: (cause: string) => slots.forEach((slot) => slot.close(cause)) }
    }

    const byId = new Map<number, ReturnType<typeof makeBroker>>()
    const byAddress = new Map<string, ReturnType<typeof makeBroker>>()
    return Brokers.of({
      get: (id) =>
        Effect.suspend(() => {
          const known = byId.get(id)
          return known === undefined
            ? Effect.fail(
                KafkaError.make({
                  _tag: "Unreachable",
                  attempts: [{ address: `broker ${id}`, cause: "no metadata has named its address" }]
                })
              )
            : Effect.succeed(known.broker)
        }),
      at: (host, port) =>
        Effect.sync(() => {
          const address = formatAddress({ host, port })
          let known = byAddress.get(address)
          if (known === undefined) byAddress.set(address, (known = makeBroker(-1, host, port)))
          return known.broker
        }),
      learn: (brokers, cluster) => {
        if (cluster !== undefined) clusterId = cluster
        for (const { id, host, port } of brokers) {
          const known = byId.get(id)
          if (known?.broker.host === host && known.broker.port === port) continue
          known?.close("the broker has moved to another address")
          byId.set(id, makeBroker(id, host, port))
        }
      }
    })
  }
)

/** The native `Brokers`, over any `Network`. */
export const layer: Layer.Layer<Brokers, never, KafkaConfig | Network> = Layer.effect(Brokers, make)
