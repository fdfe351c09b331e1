/** Networks whose brokers do not what brokers do, and the client's lower half over a Network, for tests. */
import { Clock, Effect } from "effect"
import type { Scope } from "effect"
import type * as Broker from "../../src/Broker.ts"
import * as NativeBrokers from "../../src/NativeBrokers.ts"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { Network } from "../../src/Network.ts"
import type { Address, Handler } from "../../src/Network.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import type { EmbeddedKafka } from "../../src/testing/index.ts"

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

/** One connection, seen from the broker. */
export interface Peer {
  /** Sends bytes to the client, soon. */
  readonly send: (...chunks: ReadonlyArray<Uint8Array>) => void
  /** Ends the connection, soon. */
  readonly close: (cause?: string) => void
}

/** What a broker does with a connection: it may speak first, and hears each request's bytes. */
export type Script = (peer: Peer, address: Address) => ((request: Uint8Array) => void) | undefined

export interface FakeNetwork {
  readonly network: Network["Service"]
  /** When each connection was asked for, on the test's clock, in milliseconds. */
  readonly connects: Array<number>
  /** How many are open. */
  readonly open: () => number
}

/** A Network of brokers that follow a script; `refuse` says why a connection does not come about. */
export const fake = (
  script: Script,
  refuse: (address: Address) => string | undefined = () => undefined
): Effect.Effect<FakeNetwork> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const connects: Array<number> = []
    let open = 0
    const connect = (address: Address, handler: Handler) =>
      Effect.acquireRelease(
        Effect.suspend(() => {
          connects.push(clock.currentTimeMillisUnsafe())
          const cause = refuse(address)
          if (cause !== undefined)
            return Effect.fail(
              KafkaError.make({
                _tag: "Unreachable",
                attempts: [{ address: KafkaConfig.formatAddress(address), cause }]
              })
            )
          let ended = false
          open++
          const end = () => {
            if (ended) return
            ended = true
            open--
          }
          const hear = script(
            {
              send: (...chunks) =>
                queueMicrotask(() => {
                  for (const chunk of chunks) if (!ended) handler.onData(chunk)
                }),
              close: (cause = "closed by the broker") =>
                queueMicrotask(() => {
                  if (ended) return
                  end()
                  handler.onClose(cause)
                })
            },
            address
          )
          const splitter = Frame.makeSplitter({ maxFrameBytes: 1e8, onFrame: (frame) => hear?.(frame) })
          return Effect.succeed({
            write: (chunks: ReadonlyArray<Uint8Array>, written?: () => void) => {
              if (ended) return
              for (const chunk of chunks) splitter.push(chunk)
              queueMicrotask(() => (ended ? undefined : written?.()))
            },
            close: end
          })
        }),
        (connection) => Effect.sync(connection.close)
      )
    return { network: { connect }, connects, open: () => open }
  })

/** The embedded cluster's Network, with what a test wants to see or change of it. */
export const through = (
  broker: EmbeddedKafka.Service,
  options: {
    /** Where connections to an address really go, or why they do not. */
    readonly route?: (address: Address) => Address | string
    /** Cuts what comes to the client into pieces of so many bytes. */
    readonly pieces?: number
  } = {}
): Effect.Effect<FakeNetwork> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const connects: Array<number> = []
    let open = 0
    const connect = (address: Address, handler: Handler) =>
      Effect.gen(function* () {
        connects.push(clock.currentTimeMillisUnsafe())
        const to = options.route?.(address) ?? address
        if (typeof to === "string")
          return yield* KafkaError.make({
            _tag: "Unreachable",
            attempts: [{ address: KafkaConfig.formatAddress(address), cause: to }]
          })
        const { pieces } = options
        let ended = false
        const end = () => {
          if (!ended) open--
          ended = true
        }
        const connection = yield* broker.connect(to, {
          onData: (chunk) => {
            if (pieces === undefined) return handler.onData(chunk)
            for (let at = 0; at < chunk.length; at += pieces) handler.onData(chunk.slice(at, at + pieces))
          },
          onClose: (cause, error) => {
            end()
            handler.onClose(cause, error)
          }
        })
        open++
        yield* Effect.addFinalizer(() => Effect.sync(end))
        return {
          write: connection.write,
          close: () => {
            end()
            connection.close()
          }
        }
      })
    return { network: { connect }, connects, open: () => open }
  })

/** `Brokers` over a Network. */
export const brokers = <R = never>(
  network: Network["Service"],
  options: Partial<KafkaConfig.Options<R>> = {}
): Effect.Effect<Broker.Brokers["Service"], KafkaError.KafkaError, Scope.Scope | R> =>
  Effect.flatMap(KafkaConfig.make({ bootstrap: ["b:9092"], ...options }), (config) =>
    NativeBrokers.make.pipe(
      Effect.provideService(KafkaConfig.KafkaConfig, config),
      Effect.provideService(Network, network)
    )
  )

/** The broker at an embedded cluster's first address. */
export const first = (broker: EmbeddedKafka.Service, brokers: Broker.Brokers["Service"]) => {
  const [host, port] = broker.bootstrap[0]!.split(":") as [string, string]
  return brokers.at(host, Number(port))
}
