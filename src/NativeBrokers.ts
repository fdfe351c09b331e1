/**
 * The native `Brokers`: connections by id and by address, each kind of work on one of its own, closed when idle.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { type Broker, Brokers } from "./Broker.ts"
import * as ApiVersions from "./connection/ApiVersions.ts"
import { ConnectionSlot } from "./connection/ConnectionSlot.ts"
import * as Dialer from "./connection/Dialer.ts"
import { addressProblem, formatAddress, KafkaConfig } from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { kept } from "./Kept.ts"
import { Network } from "./Network.ts"
import { perService } from "./PerService.ts"
import type { Channel } from "./protocol/Exchange.ts"

/** Of so many bootstrap servers connections are kept: those of another are closed when they are idle. */
const addressesAtMost = 1000
/** Beyond so many ids that were asked for, those that the cluster does not tell of are forgotten. */
const idsAtMost = 1000

interface Known {
  readonly broker: Broker
  readonly close: (cause: string) => void
}

interface Place {
  readonly host: string
  readonly port: number
}

/** One broker, at one address. */
const makeBroker = (dialer: Dialer.Dialer, id: number, host: string, port: number): Known => {
  const address = formatAddress({ host, port })
  const slots = new Map<Channel, ConnectionSlot>()
  const context = dialer.slotContext(id, host, port)
  let closed: string | undefined
  const session = (channel: Channel = "control") => {
    let slot = slots.get(channel)
    if (slot === undefined) {
      slots.set(channel, (slot = new ConnectionSlot(context)))
      if (closed !== undefined) slot.close(closed)
    }
    return slot.acquire
  }
  const broker: Broker = {
    id,
    host,
    port,
    version: (api, options = {}) =>
      Effect.flatMap(session(options.channel), (session) => {
        if (options.onLost !== undefined) session.watch(options.onLost)
        const version = ApiVersions.choose(api, session.offer, options, address)
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
  const close = (cause: string) => {
    closed = cause
    slots.forEach((slot) => slot.close(cause))
  }
  return { broker, close }
}

const unreachable = (address: string, cause: string) =>
  Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [{ address, cause }] }))

/**
 * Makes the service. Its connections end with the Scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<Brokers["Service"], never, KafkaConfig | Network | Scope.Scope> = Effect.gen(
  function* () {
    const dialer = yield* Dialer.make
    /** Where brokers are said to be; made when they are first asked for, since there may be very many. */
    const places = new Map<number, Place>()
    /** What is wrong with where others are said to be. */
    const impossible = new Map<number, string>()
    const byId = new Map<number, Known>()
    const byAddress = new Map<string, Known>()

    const learnOne = (id: number, place: Place) => {
      const problem = addressProblem(place)
      // Where it was known before it may still be: what cannot be ends nothing.
      if (problem !== undefined) {
        if (!places.has(id)) impossible.set(id, problem)
        return
      }
      impossible.delete(id)
      places.set(id, { host: place.host, port: place.port })
      const known = byId.get(id)
      if (known === undefined || (known.broker.host === place.host && known.broker.port === place.port)) return
      // Whoever hears of it goes on at once, and would find the old one in its place.
      byId.delete(id)
      known.close("the broker has moved to another address")
    }

    return Brokers.of({
      get: (id) =>
        Effect.suspend(() => {
          let known = byId.get(id)
          const place = places.get(id)
          if (known === undefined && place !== undefined)
            byId.set(id, (known = makeBroker(dialer, id, place.host, place.port)))
          if (known !== undefined) return Effect.succeed(known.broker)
          const problem = impossible.get(id)
          return unreachable(
            `broker ${id}`,
            problem === undefined ? "no metadata has named its address" : `where it is said to be: ${problem}`
          )
        }),
      at: (host, port) =>
        Effect.suspend(() => {
          const problem = addressProblem({ host, port })
          if (problem !== undefined) return unreachable(JSON.stringify(formatAddress({ host, port })), problem)
          const make = () => makeBroker(dialer, -1, host, port)
          return Effect.succeed(kept(byAddress, formatAddress({ host, port }), make, addressesAtMost).broker)
        }),
      learn: (brokers, cluster) => {
        if (cluster !== undefined) {
          dialer.clusterId = cluster
          // It is all brokers: others are forgotten, where nobody has asked for them.
          const told = new Set(brokers.map(({ id }) => id))
          for (const id of places.keys()) {
            if (told.has(id) || (byId.has(id) && byId.size <= idsAtMost)) continue
            places.delete(id)
            byId.delete(id)
          }
          impossible.clear()
        }
        for (const broker of brokers) learnOne(broker.id, broker)
      }
    })
  }
)

/**
 * The native `Brokers`, over any `Network`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Brokers, never, KafkaConfig | Network> = perService([KafkaConfig, Network], () =>
  Layer.effect(Brokers, make)
)
