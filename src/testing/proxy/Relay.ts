/**
 * One client's connection to one broker, through the proxy: requests are passed on as they came and their responses too, in
 * order, but for those that a fault strikes and those that tell addresses of brokers.
 *
 * What the proxy does not know (an API, a mechanism of SASL whose tokens it cannot count) passes unread, or ends the
 * connection where it would be misread.
 */
import * as Frame from "../../protocol/Frame.ts"
import * as ApiVersions from "../../protocol/messages/ApiVersions.ts"
import * as DescribeCluster from "../../protocol/messages/DescribeCluster.ts"
import * as Fetch from "../../protocol/messages/Fetch.ts"
import * as Metadata from "../../protocol/messages/Metadata.ts"
import * as Produce from "../../protocol/messages/Produce.ts"
import * as SaslHandshake from "../../protocol/messages/SaslHandshake.ts"
import * as Wire from "../../protocol/Wire.ts"
import type { EmbeddedCluster, Node } from "../embedded/Cluster.ts"
import * as Code from "../embedded/Code.ts"
import { distorted, refused, type Remembered } from "../embedded/Distort.ts"
import * as FaultRule from "../embedded/FaultRule.ts"
import type { Guarded } from "../embedded/Handler.ts"
import * as RequestBody from "../embedded/RequestBody.ts"
import type { Runtime } from "../embedded/Runtime.ts"
import * as Addresses from "./Addresses.ts"
import * as Split from "./Split.ts"

/** What all connections of a proxy share. */
export interface Shared {
  readonly env: Runtime
  readonly rules: Array<FaultRule.Rule>
  readonly handlers: ReadonlyMap<number, Guarded>
  readonly maxFrameBytes: number
  /** A cluster without anything in it, whose handlers write the responses of requests that are refused. */
  readonly refusing: { readonly cluster: EmbeddedCluster; readonly node: Node }
  readonly topicNames: Map<string, string>
  /** Topics as metadata told them last. */
  readonly told: Map<string, Remembered>
  /** Opens ports for brokers that have none yet, and then goes on with where they are. */
  readonly located: (
    places: ReadonlyArray<Addresses.Place>,
    then: (other: (place: Addresses.Place) => { readonly host: string; readonly port: number }) => void
  ) => void
}

/** The two ends, as bytes. */
export interface Ends {
  readonly toClient: (chunks: ReadonlyArray<Uint8Array>) => void
  readonly toBroker: (chunks: ReadonlyArray<Uint8Array>) => void
  /** Ends both, after what was handed over. */
  readonly close: () => void
  /** Hands this over to the client, and then resets both. */
  readonly breakOff: (chunk: Uint8Array) => void
}

/** A response that the client is owed, in the order of the requests. */
interface Owed {
  readonly apiKey: number
  readonly version: number
  readonly correlationId: number
  /** Undefined: passed on unread. */
  readonly handler: Guarded | undefined
  readonly rule: FaultRule.Rule | undefined
  /** The response of the part that was refused. */
  refused: object | undefined
  /** The broker has the request, or a part of it. */
  readonly isAsked: boolean
  isAnswered: boolean
  /** As it goes to the client. */
  ready: ReadonlyArray<Uint8Array> | undefined
}

/** Those of which a broker's own response is told with the error in it: they change nothing, and tell more than that. */
const poisoned: ReadonlySet<number> = new Set(
  [ApiVersions, DescribeCluster, Fetch, Metadata].map((api) => api.Request.key)
)

/** How many bare tokens a mechanism sends after SaslHandshake v0. */
const tokensOf = (mechanism: string): number | undefined =>
  mechanism === "PLAIN" || mechanism === "OAUTHBEARER" ? 1 : mechanism.startsWith("SCRAM-") ? 2 : undefined

export class Relay {
  private readonly shared: Shared
  private readonly ends: Ends
  private readonly brokerId: () => number
  private readonly requests: Frame.Splitter
  private readonly responses: Frame.Splitter
  private readonly line: Array<Owed> = []
  private open = true
  private sending = false
  /** A request was lost: those behind it are not read. */
  private isCut = false
  /** Bare tokens that are still to come. */
  private tokens = 0

  constructor(shared: Shared, brokerId: () => number, ends: Ends) {
    this.shared = shared
    this.brokerId = brokerId
    this.ends = ends
    const { maxFrameBytes } = shared
    this.requests = Frame.makeSplitter({ maxFrameBytes, onFrame: (frame) => this.request(frame) })
    this.responses = Frame.makeSplitter({ maxFrameBytes, onFrame: (frame) => this.response(frame) })
  }

  fromClient(chunk: Uint8Array): void {
    this.take(this.requests, chunk)
  }

  fromBroker(chunk: Uint8Array): void {
    this.take(this.responses, chunk)
  }

  /** Either end is closed. */
  ended(): void {
    this.open = false
    this.line.length = 0
  }

  private take(splitter: Frame.Splitter, chunk: Uint8Array): void {
    if (!this.open) return
    try {
      splitter.push(chunk)
    } catch {
      this.close()
    }
  }

  private close(): void {
    if (!this.open) return
    this.ended()
    this.ends.close()
  }

  private nameOf = (topicId: string): string | undefined => this.shared.topicNames.get(topicId)

  private request(frame: Uint8Array): void {
    if (!this.open || this.isCut) return
    if (this.tokens > 0) {
      this.tokens--
      return this.pass(frame, { apiKey: -1, version: 0, correlationId: -1, handler: undefined, rule: undefined })
    }
    const header = Frame.readRequestHeader(frame)
    const { apiKey, apiVersion: version, correlationId } = header
    const known = this.shared.handlers.get(apiKey)
    // a broker answers ApiVersions of any version, in one that it knows
    const handler = known !== undefined && Wire.within(version, known.Request.versions) ? known : undefined
    const asked = { apiKey, version, correlationId, handler }
    if (handler === undefined) return this.pass(frame, { ...asked, rule: undefined })
    const body = RequestBody.read(handler.Request, version, frame, header.bodyAt) as Record<string, unknown>
    if (apiKey === SaslHandshake.Request.key && version === 0) {
      const tokens = tokensOf(String(body["mechanism"]))
      if (tokens === undefined) return this.close()
      this.tokens = tokens
    }
    const clientId = header.clientId ?? ""
    const touched = FaultRule.touchedBy(body, this.nameOf)
    const rule = this.shared.rules.find((each) =>
      each.strikes({ api: handler.name, broker: this.brokerId(), clientId, ...touched })
    )
    if (rule?.action._tag === "Close") return this.close()
    if (rule?.action._tag === "LoseRequest") {
      this.isCut = true
      if (this.line.length === 0) this.close()
      return
    }
    if (rule?.action._tag === "Error" && !poisoned.has(apiKey))
      return this.refuse(rule, rule.action.code, { ...asked, handler }, body, clientId)
    this.pass(frame, { ...asked, rule }, isSilent(apiKey, body))
  }

  /** Hands a request on. */
  private pass(
    frame: Uint8Array,
    owed: Omit<Owed, "isAsked" | "isAnswered" | "ready" | "refused">,
    silent = false
  ): void {
    if (!silent) this.line.push({ ...owed, refused: undefined, isAsked: true, isAnswered: false, ready: undefined })
    this.ends.toBroker(Frame.sized(frame))
    const lost = owed.rule?.action._tag
    if (silent && (lost === "LoseResponse" || lost === "BreakOff")) this.close()
  }

  /** Answers in the broker's place what the fault is about; what else the request asks goes on. */
  private refuse(
    rule: FaultRule.Rule,
    code: number,
    asked: Pick<Owed, "apiKey" | "correlationId" | "version"> & { readonly handler: Guarded },
    body: Record<string, unknown>,
    clientId: string
  ): void {
    const { correlationId, handler, version } = asked
    const { match } = rule
    const isWhole = match.topic === undefined && match.partition === undefined
    const struck = isWhole ? body : Split.only(body, (topic, index) => rule.covers(topic, index), this.nameOf)
    const rest = isWhole ? undefined : Split.only(body, (topic, index) => !rule.covers(topic, index), this.nameOf)
    const silent = isSilent(asked.apiKey, body)
    const owed: Owed = {
      ...asked,
      rule: undefined,
      refused: undefined,
      isAsked: rest !== undefined && !silent,
      isAnswered: false,
      ready: undefined
    }
    if (!silent) this.line.push(owed)
    if (rest !== undefined)
      this.ends.toBroker(Frame.encodeRequest(handler.Request, version, { correlationId, clientId }, rest as never))
    const { cluster, node } = this.shared.refusing
    handler.serve({
      cluster,
      node,
      connection: { host: "/127.0.0.1", sasl: undefined, close: () => this.close(), onClose: () => () => {} },
      version,
      clientId,
      arrivedAt: this.shared.env.now(),
      request: struck as never,
      answer: (response) => {
        owed.refused ??= response as object
        if (!owed.isAsked) this.write(owed, owed.refused)
      },
      silence: () => {},
      injected: () => code,
      denied: () => Code.none,
      deniedTransaction: () => Code.none,
      hides: () => false
    })
  }

  private response(frame: Uint8Array): void {
    const owed = this.line.find((each) => each.isAsked && !each.isAnswered)
    // nobody has asked for it
    if (owed === undefined) return this.close()
    owed.isAnswered = true
    const { apiKey, handler, rule } = owed
    const isPlain = rule === undefined && owed.refused === undefined
    if (handler === undefined || (isPlain && apiKey !== ApiVersions.Request.key && !Addresses.tells(apiKey))) {
      owed.ready = Frame.sized(frame)
      return this.send()
    }
    const version = apiKey === ApiVersions.Request.key && isRefusal(frame) ? 0 : owed.version
    let response = Frame.readResponse(handler.Response, version, frame).value as object
    if (apiKey === ApiVersions.Request.key) response = this.limited(response as Offered)
    if (apiKey === Metadata.Request.key) this.remember(response as TellsTopics)
    if (owed.refused !== undefined) response = Split.merged(response as never, owed.refused as never)
    if (rule?.action._tag === "Error")
      response = refused(rule, rule.action.code, handler.name, response, this.nameOf) as object
    else if (rule !== undefined) response = distorted(rule, handler.name, response, this.nameOf) as object
    if (!Addresses.tells(apiKey)) return this.write(owed, response, version)
    this.shared.located(Addresses.placesIn(response), (other) =>
      this.write(owed, Addresses.replaced(response, other), version)
    )
  }

  private write(owed: Owed, response: object, version = owed.version): void {
    owed.ready = Frame.encodeResponse(owed.handler!.Response, version, owed.correlationId, response as never)
    this.send()
  }

  /** Nobody is told a version of which the proxy could not read the addresses. */
  private limited(response: Offered): object {
    return {
      ...response,
      apiKeys: response.apiKeys.map((each) => {
        const most = this.shared.handlers.get(each.apiKey)?.Request.versions[1] ?? each.maxVersion
        return most < each.minVersion ? each : { ...each, maxVersion: Math.min(each.maxVersion, most) }
      })
    }
  }

  private remember({ topics }: TellsTopics): void {
    for (const { errorCode, name, partitions, topicId } of topics) {
      if (errorCode !== Code.none || name === null) continue
      this.shared.topicNames.set(topicId, name)
      const places = partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex)
      this.shared.told.set(name, {
        id: topicId,
        partitions: places.map(({ isrNodes, leaderEpoch, leaderId }) => ({
          leader: leaderId,
          leaderEpoch,
          isr: isrNodes
        }))
      })
    }
  }

  /** What is ready goes to the client, in order. */
  private send(): void {
    while (this.open && !this.sending) {
      const owed = this.line[0]
      if (owed?.ready === undefined) return
      const action = owed.rule?.action
      if (action?._tag === "LoseResponse") return this.close()
      // the connection stays, and says nothing any more
      if (action?._tag === "Withhold") return
      if (action?._tag === "BreakOff") {
        const bytes = Buffer.concat(owed.ready)
        this.ended()
        return this.ends.breakOff(bytes.subarray(0, bytes.length >> 1))
      }
      const sent = () => {
        this.sending = false
        this.line.shift()
        if (this.isCut && this.line.length === 0) this.close()
        else this.send()
      }
      if (action?._tag === "Delay") {
        this.sending = true
        this.shared.env.after(action.millis, () => {
          if (!this.open) return
          this.ends.toClient(owed.ready!)
          sent()
        })
      } else if (action?._tag === "Trickle") {
        this.sending = true
        this.trickle(Buffer.concat(owed.ready), sent)
      } else {
        this.ends.toClient(owed.ready)
        sent()
      }
    }
  }

  private trickle(bytes: Uint8Array, sent: () => void, at = 0): void {
    if (!this.open) return
    if (at === bytes.length) return sent()
    this.ends.toClient([bytes.subarray(at, at + 1)])
    this.shared.env.after(0, () => this.trickle(bytes, sent, at + 1))
  }
}

interface Offered {
  readonly apiKeys: ReadonlyArray<{ readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }>
}

interface TellsTopics {
  readonly topics: ReadonlyArray<{
    readonly errorCode: number
    readonly name: string | null
    readonly topicId: string
    readonly partitions: ReadonlyArray<{
      readonly partitionIndex: number
      readonly leaderId: number
      readonly leaderEpoch: number
      readonly isrNodes: ReadonlyArray<number>
    }>
  }>
}

/** Produce with acks 0 is not answered. */
const isSilent = (apiKey: number, body: Record<string, unknown>): boolean =>
  apiKey === Produce.Request.key && body["acks"] === 0

/** ApiVersions of a version that the broker does not know is answered in version 0. */
const isRefusal = (frame: Uint8Array): boolean =>
  frame.length >= 6 && new DataView(frame.buffer, frame.byteOffset).getInt16(4) === Code.unsupportedVersion
