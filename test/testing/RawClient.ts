/** A client that speaks raw frames: no retries, no metadata, no code of the library's client. */
import { Deferred, Effect, Exit } from "effect"
import type { Schema, Scope } from "effect"
import * as Frame from "../../src/protocol/Frame.ts"
import type * as Wire from "../../src/protocol/Wire.ts"
import type { EmbeddedKafka } from "../../src/testing/index.ts"
import type { KafkaError } from "../../src/KafkaError.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"

interface Api<Q extends Schema.Top, A extends Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

/** The connection ended before an answer. */
export class Closed {
  readonly _tag = "Closed"
}

export interface RawClient {
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"], Closed>
  /** Writes bytes as they are. */
  readonly write: (...chunks: ReadonlyArray<Uint8Array>) => Effect.Effect<void>
  /** The next frame that answers no request of `send`. */
  readonly frame: Effect.Effect<Uint8Array, Closed>
  /** Completes when the broker closed the connection. */
  readonly closed: Effect.Effect<void>
  readonly isClosed: () => boolean
  /** Ends the connection from this side. */
  readonly end: Effect.Effect<void>
}

export const connect = (
  broker: EmbeddedKafka.Service,
  options: { readonly address?: string; readonly clientId?: string } = {}
): Effect.Effect<RawClient, KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const [host, port] = (options.address ?? broker.bootstrap[0]!).split(":") as [string, string]
    const waiting = new Map<number, Deferred.Deferred<Uint8Array, Closed>>()
    const frames: Array<Deferred.Deferred<Uint8Array, Closed>> = []
    const closed = Deferred.makeUnsafe<void>()
    let isClosed = false
    let next = 1
    const splitter = Frame.makeSplitter({
      maxFrameBytes: 100_000_000,
      onFrame: (frame) => {
        const id = frame.length >= 4 ? Frame.readCorrelationId(frame) : -1
        const deferred = waiting.get(id) ?? frames.shift()
        waiting.delete(id)
        if (deferred !== undefined) Deferred.doneUnsafe(deferred, Exit.succeed(frame))
      }
    })
    const connection = yield* broker.connect(
      { host, port: Number(port) },
      {
        onData: (chunk) => splitter.push(chunk),
        onClose: () => {
          isClosed = true
          for (const deferred of [...waiting.values(), ...frames])
            Deferred.doneUnsafe(deferred, Exit.fail(new Closed()))
          waiting.clear()
          Deferred.doneUnsafe(closed, Exit.void)
        }
      }
    )
    return {
      send: (api, version, request) =>
        Effect.suspend(() => {
          if (isClosed) return Effect.fail(new Closed())
          const correlationId = next++
          const deferred = Deferred.makeUnsafe<Uint8Array, Closed>()
          waiting.set(correlationId, deferred)
          connection.write(
            Frame.encodeRequest(api.Request, version, { correlationId, clientId: options.clientId ?? "raw" }, request)
          )
          return Effect.map(Deferred.await(deferred), (frame) => Frame.readResponse(api.Response, version, frame).value)
        }),
      write: (...chunks) => Effect.sync(() => connection.write(chunks)),
      frame: Effect.suspend(() => {
        const deferred = Deferred.makeUnsafe<Uint8Array, Closed>()
        frames.push(deferred)
        return Deferred.await(deferred)
      }),
      closed: Deferred.await(closed),
      isClosed: () => isClosed,
      end: Effect.sync(() => connection.close())
    } satisfies RawClient
  })

export const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
export const text = (value: Uint8Array | null): string | null =>
  value === null ? null : new TextDecoder().decode(value)

/** A batch of texts. */
export const batch = (
  values: ReadonlyArray<string>,
  options: RecordBatch.EncodeOptions & { readonly timestamp?: number; readonly key?: string } = {}
): Uint8Array =>
  RecordBatch.encode(
    values.map((value, i) => ({
      key: options.key === undefined ? null : bytes(options.key),
      value: bytes(value),
      headers: [],
      timestamp: (options.timestamp ?? 1000) + i
    })),
    options
  )
