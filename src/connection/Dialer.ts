/**
 * Opening connections to brokers: dialled, negotiated, authenticated, within `connectTimeout`; and what all connections
 * of a client have in common: what is remembered of an address, how much of unfinished responses is held, which of them
 * are idle, and which are dead because another one to the same address is.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Random from "effect/Random"
import * as Scope from "effect/Scope"
import { abandonable } from "../Abandon.ts"
import * as Backoff from "../Backoff.ts"
import { formatAddress, KafkaConfig } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import * as LogEvent from "../LogEvent.ts"
import { ClientMetrics } from "../metrics/BrokerMetrics.ts"
import * as Metrics from "../metrics/Current.ts"
import { kept } from "../Kept.ts"
import * as Spans from "../tracing/Spans.ts"
import { type Connection, Network } from "../Network.ts"
import * as Authentication from "./Authentication.ts"
import { BrokerConnection } from "./BrokerConnection.ts"
import type * as ConnectionSlot from "./ConnectionSlot.ts"
import * as IdleReaper from "./IdleReaper.ts"
import * as Negotiation from "./Negotiation.ts"
import { Observed } from "./Observed.ts"

export interface Dialer {
  /** Of which cluster the brokers are, as far as is known. */
  clusterId: string | null
  /** What the slots of a broker need to be connected; an id below 0 is a bootstrap server's. */
  readonly slotContext: (id: number, host: string, port: number) => ConnectionSlot.Context
}

/** Where a connection leads to. */
interface Target {
  /** Below 0: a bootstrap server's. */
  readonly id: number
  readonly host: string
  readonly port: number
  readonly observed: Observed
}

/** Of so many addresses it is remembered what answers there. */
const addressesAtMost = 1000

/** Tells what connecting died of, once for each address. */
const makeTeller = () => {
  const told = new Set<string>()
  return (address: string, defect: unknown) =>
    Effect.suspend(() => {
      if (told.has(address)) return Effect.void
      told.add(address)
      const what = `what connects to ${address} has died, and is tried again`
      return LogEvent.log("connectDied", what, { broker: address }, undefined, defect)
    })
}

/** A connection of any Network: what throws there ends it, and holds nobody up. */
const guarded = (connection: Connection, died: (defect: unknown) => void): Connection => ({
  write: (chunks, written) => {
    try {
      connection.write(chunks, written)
    } catch (defect) {
      died(defect)
    }
  },
  close: () => {
    try {
      connection.close()
    } catch {
      // It has ended as far as we are concerned.
    }
  }
})

/** Makes a dialer, whose connections end with the Scope. */
export const make: Effect.Effect<Dialer, never, KafkaConfig | Network | Scope.Scope> = Effect.gen(function* () {
  const config = yield* KafkaConfig
  const network = yield* Network
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const scope = yield* Effect.scope
  const run = Effect.runForkWith(yield* Effect.context<never>())
  const fork = (effect: Effect.Effect<void>) => Fiber.runIn(run(effect), scope)
  const now = () => Backoff.monotonic(clock)
  const { connectionsMaxIdle, keepAlive, maxPendingResponseBytes, sasl, sourceAddress, tls } = config
  const delays = yield* Backoff.lasting(config.retry)
  const idle = IdleReaper.make(connectionsMaxIdle, clock, fork)

  /** By `host:port`. */
  const memories = new Map<string, Negotiation.Memory>()
  const memoryOf = (address: string) => kept(memories, address, Negotiation.makeMemory, addressesAtMost)
  const sessions = new Set<BrokerConnection>()
  const tellDefect = makeTeller()

  const meter = yield* Metrics.meter(config.clientId)
  const metrics = yield* Effect.acquireRelease(
    Effect.sync(() => new ClientMetrics(meter, sessions)),
    (metrics) => Effect.sync(() => metrics.end())
  )

  /** Bytes of responses that are not complete. */
  let held = 0
  const onHeld = (bytes: number) => {
    if (bytes > 0 && held + bytes > maxPendingResponseBytes) {
      const cause = `${held} bytes of responses are not complete, and maxPendingResponseBytes is ${maxPendingResponseBytes}`
      throw KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "this client", cause }] })
    }
    held += bytes
  }

  /** Where one connection is dead, those beside it are that have been silent as long: a frozen broker, or one that is cut off. */
  const onSilence = (dead: BrokerConnection, since: number) => {
    for (const session of sessions)
      if (session !== dead && session.address === dead.address && session.isSilentSince(since))
        session.close("given up: silent for as long as another request was not answered")
  }

  /** Opens a connection in a Scope of its own, which ends with it. */
  const open = (
    host: string,
    port: number,
    observed: Observed,
    slot: ConnectionSlot.ConnectionSlot,
    parent: Scope.Scope
  ) =>
    Effect.gen(function* () {
      const own = yield* Scope.fork(parent)
      const session: BrokerConnection = new BrokerConnection({
        address: formatAddress({ host, port }),
        clientId: config.clientId,
        connectTimeout: config.connectTimeout,
        requestTimeout: config.requestTimeout,
        maxResponseBytes: config.maxResponseBytes,
        authenticates: sasl !== undefined,
        clock,
        metrics: observed.metrics,
        fork,
        onHeld,
        onSilence,
        onSlow: (slow, what) => observed.slow(slow, what),
        onAnswered: (answered) => observed.answered(answered),
        hasServed: () => observed.hasServed,
        onThrottled: (api, millis) => observed.throttled(api, millis),
        onEnd: (ended, why) => {
          sessions.delete(ended)
          observed.ended(ended, why)
          Negotiation.doubt(memoryOf(ended.address), ended)
          idle.remove(ended)
          slot.ended(ended)
          fork(Scope.close(own, Exit.void))
        }
      })
      sessions.add(session)
      yield* Scope.addFinalizer(
        own,
        Effect.sync(() => session.close(KafkaError.make({ _tag: "Closed", what: "client" }), true))
      )
      const dialed = abandonable(network.connect({ host, port, tls, sourceAddress, keepAlive }, session))
      const connection = yield* Scope.provide(dialed, own)
      const died = (defect: unknown): void => {
        session.close(dead(session.address, defect))
        fork(tellDefect(session.address, defect))
      }
      session.attach(guarded(connection, died))
      return session
    })

  const connect = ({ host, id, observed, port }: Target, slot: ConnectionSlot.ConnectionSlot, parent: Scope.Scope) =>
    Effect.gen(function* () {
      const { clusterId } = dialer
      const address = formatAddress({ host, port })
      const session = yield* Negotiation.negotiate({
        open: open(host, port, observed, slot, parent),
        address,
        memory: memoryOf(address),
        // A bootstrap server may lead to another cluster than before. A node without its cluster is refused.
        identity: id < 0 || clusterId === null ? Negotiation.anyBroker : { clusterId, nodeId: id },
        pinned: config.pinned,
        sasl: sasl !== undefined,
        now
      })
      session.ready(sasl === undefined ? undefined : yield* Authentication.authenticate(session, sasl, now))
      idle.add(session)
      yield* observed.opened(session)
      return session
    })

  const watching = {
    metrics,
    client: config.clientId,
    cluster: () => dialer.clusterId,
    mechanism: sasl?.mechanism,
    spans: yield* Spans.current,
    troubles: new Map(),
    places: new Map(),
    now,
    fork
  }
  const dialer: Dialer = {
    clusterId: null,
    slotContext: (id, host, port) => {
      const address = formatAddress({ host, port })
      const observed = new Observed(watching, id, host, port, address)
      return {
        address,
        scope,
        clock,
        fork,
        maxIdle: connectionsMaxIdle,
        delays,
        random,
        connect: (slot, parent) =>
          connect({ id, host, port, observed }, slot, parent).pipe(
            Effect.timeoutOrElse(tooLong(address, config.connectTimeout)),
            // What a Network dies of, or an Effect of the application's for a token. Many share a connection, and none of
            // them has done it: to them it is one that cannot be made. That it is a mistake is told in the log.
            Effect.catchDefect((defect) => Effect.andThen(tellDefect(address, defect), dead(address, defect))),
            (connecting) => observed.connecting(connecting)
          )
      }
    }
  }
  return dialer
})

const dead = (address: string, defect: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address, cause: String(defect) }] }, defect)

const tooLong = (address: string, millis: number) => ({
  duration: millis,
  orElse: () =>
    Effect.fail(
      KafkaError.make({
        _tag: "TimedOut",
        budget: "connectTimeout",
        millis,
        waitingFor: `a connection to ${address}`,
        broker: address
      })
    )
})
