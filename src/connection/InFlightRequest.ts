/** Pure. A request of a connection, from when it stands in line until it is answered. */
import type * as Effect from "effect/Effect"
import type { Turns } from "../compression/Turns.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Api, SendOptions } from "../protocol/Exchange.ts"
import * as Frame from "../protocol/Frame.ts"

type Resume = (effect: Effect.Effect<any, KafkaError.KafkaError>) => void

export interface InFlightRequest {
  /** As errors name it: `Metadata`. */
  readonly api: string
  readonly key: number
  readonly version: number
  /** On the monotonic clock, as is `budget` in milliseconds. Counts anew from when it is sent, and when it is written out. */
  deadline: number
  readonly budget: number
  /** Of the budget, what the broker may hold it for. */
  readonly held: number
  /** When it was written, in seconds on the monotonic clock; undefined: it was not, or is counted. */
  sentAt: number | undefined
  /** The setting that `budget` comes from. */
  readonly setting: string
  /** The system has taken all of it. */
  written: boolean
  readonly onSent: (() => void) | undefined
  readonly onLost: (() => void) | undefined
  readonly onProgress: (() => void) | undefined
  /** Bytes that came, of which `onProgress` was not told. */
  untold: number
  readonly encode: (correlationId: number) => Array<Uint8Array>
  /** Reads the response, in turns of some milliseconds. */
  read: (frame: Uint8Array) => Turns<unknown>
  readonly noResponse: boolean
  /** A bare token of SASL: no header on either side. */
  readonly raw: boolean
  /** The broker may leave this request without an answer and answer those behind it (0.9, which does not know ApiVersions). */
  skippable: boolean
  correlationId: number
  /** Undefined once nobody waits: a response that is due is dropped, a request that waits in line is not sent. */
  resume: Resume | undefined
}

interface Settings {
  readonly clientId: string
  readonly requestTimeout: number
}

/** A request of an API at a version. */
export const ofRequest = (
  api: Api<any, any>,
  version: number,
  request: () => unknown,
  options: SendOptions,
  { clientId, requestTimeout }: Settings,
  now: number,
  resume: Resume
): InFlightRequest => {
  const { held = 0 } = options
  const budget = (options.timeout ?? requestTimeout) + held
  return {
    setting: options.budget ?? "requestTimeout",
    api: api.Request.name.slice(0, -"Request".length),
    key: api.Request.key,
    version,
    deadline: now + budget,
    budget,
    held,
    sentAt: undefined,
    written: false,
    onSent: options.onSent,
    onLost: options.onLost,
    onProgress: options.onProgress,
    untold: 0,
    encode: (correlationId) => Frame.encodeRequest(api.Request, version, { correlationId, clientId }, request()),
    read: (frame) => Frame.readResponseInTurns(api.Response, version, frame),
    noResponse: options.noResponse === true,
    raw: false,
    skippable: false,
    correlationId: -1,
    resume
  }
}

/** A bare token of SASL: its size, and its bytes. */
export const ofToken = (
  bytes: Uint8Array,
  { requestTimeout }: Settings,
  now: number,
  resume: Resume
): InFlightRequest => ({
  api: "SASL token",
  key: -1,
  version: 0,
  deadline: now + requestTimeout,
  setting: "requestTimeout",
  budget: requestTimeout,
  held: 0,
  sentAt: undefined,
  written: false,
  onSent: undefined,
  onLost: undefined,
  onProgress: undefined,
  untold: 0,
  encode: () => Frame.sized(bytes),
  // eslint-disable-next-line require-yield
  read: function* (frame) {
    return frame
  },
  noResponse: false,
  raw: true,
  skippable: false,
  correlationId: -1,
  resume
})

/** Whoever answers byte by byte is as good as silent. */
const progressBytes = 16_384

/** Bytes have come while it was the next to be answered. */
export const came = (request: InFlightRequest | undefined, bytes: number): void => {
  if (request?.onProgress === undefined || (request.untold += bytes) < progressBytes) return
  request.untold = 0
  request.onProgress()
}

/** When its time began to run: once it is written out, or the connection last took something, at `progressAt`. */
export const since = ({ budget, deadline, written }: InFlightRequest, progressAt: number): number =>
  written ? deadline - budget : Math.max(deadline - budget, progressAt)

/** Its deadline has passed. */
export const late = ({ api, budget, setting, version }: InFlightRequest, broker: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "TimedOut",
    budget: setting,
    millis: budget,
    waitingFor: `the response to ${api}`,
    api,
    version,
    broker
  })
