/** Raw frames over any `Network`: each request at the version that the case names, and every byte kept for the report. */
import { Deferred, Effect, Exit } from "effect"
import type { Schema, Scope } from "effect"
import type { KafkaError } from "../../src/KafkaError.ts"
import type * as Network from "../../src/Network.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import type * as Wire from "../../src/protocol/Wire.ts"

/** A request and its response, as a module of `protocol/messages` exports them. */
export interface Api<Q extends Schema.Top = Schema.Top, A extends Schema.Top = Schema.Top> {
  readonly Request: Wire.Message<Q>
  readonly Response: Wire.Message<A>
}

/** Neither an answer nor the end of the connection came. */
export class Silent extends Error {
  readonly _tag = "Silent"
}

/** A connection. */
export interface Client {
  /** The response, or `"closed"` where the broker ended the connection instead. */
  readonly ask: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"] | "closed", Silent>
  /** The response; dies where there is none. */
  readonly send: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<A["Type"], Silent>
  /** Sends a request that has no response. */
  readonly tell: <Q extends Schema.Top, A extends Schema.Top>(
    api: Api<Q, A>,
    version: number,
    request: Q["~type.make.in"]
  ) => Effect.Effect<void>
  /** Writes a frame with these bytes, and gives the next frame that comes, or `"closed"`. */
  readonly exchange: (frame: Uint8Array) => Effect.Effect<Uint8Array | "closed", Silent>
  /** Completes when the broker ended the connection. */
  readonly closed: Effect.Effect<void, Silent>
  readonly isClosed: () => boolean
}

/** What went over a connection, as hexadecimal digits: `>` what was sent, `<` what came. */
export type Transcript = Array<string>

const patience = "20 seconds"

export const connect = (
  network: (handler: Network.Handler) => Effect.Effect<Network.Connection, KafkaError, Scope.Scope>,
  options: { readonly clientId: string; readonly transcript: Transcript }
): Effect.Effect<Client, KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const { clientId, transcript } = options
    type Answer = Uint8Array | "closed"
    const waiting = new Map<number, Deferred.Deferred<Answer>>()
    let bare: Deferred.Deferred<Answer> | undefined
    const ended = Deferred.makeUnsafe<void>()
    let isClosed = false
    let next = 1
    const splitter = Frame.makeSplitter({
      maxFrameBytes: 100_000_000,
      onFrame: (frame) => {
        transcript.push(`< ${Buffer.from(frame).toString("hex")}`)
        const own = Uint8Array.from(frame)
        if (bare !== undefined) {
          const deferred = bare
          bare = undefined
          return Deferred.doneUnsafe(deferred, Exit.succeed<Answer>(own))
        }
        const deferred = waiting.get(Frame.readCorrelationId(own))
        waiting.delete(Frame.readCorrelationId(own))
        if (deferred !== undefined) Deferred.doneUnsafe(deferred, Exit.succeed<Answer>(own))
      }
    })
    const connection = yield* network({
      onData: (chunk) => splitter.push(chunk),
      onClose: () => {
        isClosed = true
        transcript.push("< closed")
        for (const deferred of waiting.values()) Deferred.doneUnsafe(deferred, Exit.succeed<Answer>("closed"))
        if (bare !== undefined) Deferred.doneUnsafe(bare, Exit.succeed<Answer>("closed"))
        waiting.clear()
        Deferred.doneUnsafe(ended, Exit.void)
      }
    })
    const bounded = <A>(effect: Effect.Effect<A>, what: string): Effect.Effect<A, Silent> =>
      Effect.timeoutOrElse(effect, {
        duration: patience,
        orElse: () => Effect.fail(new Silent(`${what}: nothing within ${patience}`))
      })
    const write = (chunks: ReadonlyArray<Uint8Array>) => {
      transcript.push(`> ${Buffer.concat(chunks).subarray(4).toString("hex")}`)
      connection.write(chunks)
    }
    const encode = (api: Api, version: number, request: any, correlationId: number) =>
      Frame.encodeRequest(api.Request, version, { correlationId, clientId }, request)

    const ask: Client["ask"] = (api, version, request) =>
      Effect.suspend(() => {
        if (isClosed) return Effect.succeed("closed" as const)
        const correlationId = next++
        const deferred = Deferred.makeUnsafe<Answer>()
        waiting.set(correlationId, deferred)
        write(encode(api, version, request, correlationId))
        return Effect.map(bounded(Deferred.await(deferred), `${api.Request.name} v${version}`), (frame) =>
          frame === "closed" ? frame : Frame.readResponse(api.Response, version, frame).value
        )
      })
    return {
      ask,
      send: (api, version, request) =>
        Effect.flatMap(ask(api, version, request), (answer) =>
          answer === "closed"
            ? Effect.die(new Error(`${api.Request.name} v${version}: the broker closed the connection`))
            : Effect.succeed(answer)
        ),
      tell: (api, version, request) => Effect.sync(() => write(encode(api, version, request, next++))),
      exchange: (frame) =>
        Effect.suspend(() => {
          if (isClosed) return Effect.succeed("closed" as const)
          const deferred = (bare = Deferred.makeUnsafe<Answer>())
          const size = new Uint8Array(4)
          new DataView(size.buffer).setInt32(0, frame.length)
          write([size, frame])
          return bounded(Deferred.await(deferred), "a frame")
        }),
      closed: bounded(Deferred.await(ended), "the end of the connection"),
      isClosed: () => isClosed
    }
  })
