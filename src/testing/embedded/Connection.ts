/**
 * One client's connection to one broker: frames in, responses out, one request at a time and in order, as a real broker
 * serves a connection. Here every request is read, struck by faults, handed to its handler, and its response written.
 *
 * Whatever is wrong with the bytes closes the connection, as a real broker does; nothing that a client sends can throw.
 */
import * as Frame from "../../protocol/Frame.ts"
import * as ApiVersions from "../../protocol/messages/ApiVersions.ts"
import * as RequestBody from "./RequestBody.ts"
import * as Code from "./Code.ts"
import type { EmbeddedCluster, Node } from "./Cluster.ts"
import { profileOf } from "./ClusterState.ts"
import * as FaultRule from "./FaultRule.ts"
import type { Guarded, Handler } from "./Handler.ts"
import { distorted } from "./Distort.ts"
import { Session } from "./Sasl.ts"
import * as Quotas from "./Quotas.ts"
import * as Rules from "./Rules.ts"
import * as Strict from "./Strict.ts"

/** The other end, as bytes. */
export interface Link {
  readonly send: (chunks: ReadonlyArray<Uint8Array>) => void
  readonly close: () => void
  /** Whether more is to be read; a peer in the same process reads on. */
  readonly flow?: ((reading: boolean) => void) | undefined
}

export class Connection {
  readonly cluster: EmbeddedCluster
  readonly node: Node
  /** Who is at the other end, as `DescribeGroups` names it. */
  readonly host: string
  open = true
  /** Undefined where the listener asks for no authentication. */
  readonly sasl: Session | undefined
  private readonly link: Link
  private readonly handlers: ReadonlyMap<number, Guarded>
  private readonly splitter: Frame.Splitter
  private readonly queue: Array<{ readonly frame: Uint8Array; readonly at: number }> = []
  private busy = false
  private pumping = false
  private reading = true
  private readonly closers = new Set<() => void>()

  constructor(cluster: EmbeddedCluster, node: Node, host: string, link: Link, handlers: ReadonlyMap<number, Guarded>) {
    this.cluster = cluster
    this.node = node
    this.host = host
    this.link = link
    this.handlers = handlers
    this.splitter = Frame.makeSplitter({
      maxFrameBytes: cluster.settings.maxFrameBytes,
      onFrame: (frame) => {
        this.queue.push({ frame, at: cluster.env.now() })
      }
    })
    const { sasl } = cluster.settings
    this.sasl = sasl === undefined ? undefined : new Session(sasl, cluster.env.random)
    node.connections.add(this)
  }

  /** Bytes arrived. */
  receive(chunk: Uint8Array): void {
    if (!this.open) return
    try {
      this.splitter.push(chunk)
    } catch {
      this.pump()
      return this.close()
    }
    this.pump()
  }

  /** Ends the connection from the broker's side. */
  close(): void {
    if (!this.open) return
    this.ended()
    this.link.close()
  }

  /** The other side ended it. */
  ended(): void {
    if (!this.open) return
    this.open = false
    this.queue.length = 0
    this.node.connections.delete(this)
    for (const run of Array.from(this.closers)) run()
    this.closers.clear()
  }

  /** Runs when the connection ends; gives what takes that back. */
  onClose(run: () => void): () => void {
    this.closers.add(run)
    return () => this.closers.delete(run)
  }

  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    while (this.open && !this.busy && this.queue.length > 0) {
      this.busy = true
      const { at, frame } = this.queue.shift()!
      try {
        this.serve(frame, at)
      } catch (defect) {
        this.cluster.defects.push(defect)
        this.close()
      }
    }
    this.pumping = false
    // As a real broker, which reads a connection's next request when it has answered: behind one that is held, no more
    // is read than has come.
    const reading = !this.busy || this.queue.length === 0
    if (reading === this.reading) return
    this.reading = reading
    this.link.flow?.(reading)
  }

  private done(): void {
    this.busy = false
    this.pump()
  }

  private serve(frame: Uint8Array, arrivedAt: number): void {
    const { cluster, node } = this
    const profile = profileOf(node, cluster.settings)
    if (this.sasl?.takesTokens === true) return this.token(frame)
    let header: Frame.RequestHeader
    try {
      header = Frame.readRequestHeader(frame)
    } catch {
      return this.close()
    }
    const { apiKey, correlationId } = header
    const handler = this.handlers.get(apiKey)
    const verdict = handler === undefined ? profile.unknownKey : profile.accepts(apiKey, header.apiVersion)
    const version = profile.servedAs(apiKey, header.apiVersion)
    if (handler === undefined || verdict === "close") {
      const api = handler?.name ?? `API ${apiKey}`
      Strict.unserved(cluster, this, header.clientId ?? "", apiKey, api, header.apiVersion)
      if (verdict === "silent") return this.done()
      return apiKey === ApiVersions.Request.key && verdict !== "close"
        ? this.refuseVersions(correlationId)
        : this.close()
    }
    if (verdict === "silent") return this.done()
    if (verdict === "unsupported") return this.refuseVersions(correlationId)

    let request: unknown
    try {
      request = RequestBody.read(handler.Request, version, frame, header.bodyAt)
    } catch {
      cluster.misused(header.clientId ?? "", `${handler.name} v${version} cannot be read`)
      return this.close()
    }
    if (this.sasl !== undefined && !this.sasl.allows(apiKey, cluster.env.now())) return this.close()

    const clientId = header.clientId ?? ""
    if (cluster.onRequest.size > 0) {
      const seen = { at: cluster.env.now(), broker: node.id, api: handler.name, version, clientId, request }
      for (const run of Array.from(cluster.onRequest)) run(seen)
    }
    Strict.request(cluster, this, handler.name, clientId, request)
    const rule = this.strike(handler.name, clientId, request)
    if (rule !== undefined && handler.name === "Produce") cluster.produceDisturbed = true
    const action = rule?.action
    if (action?._tag === "LoseRequest" || action?._tag === "Close") return this.close()

    let answered = false
    const silence = () => {
      if (answered) return
      answered = true
      if (!this.open) return
      // a response that must not be sent is lost all the same: the client sees the connection end
      if (action?._tag === "LoseResponse") return this.close()
      this.done()
    }
    const answer = (response: unknown) => {
      if (answered) return
      answered = true
      if (!this.open) return
      if (rule === undefined) {
        Strict.answered(this, handler.name)
        this.throttled(handler, version, correlationId, response, clientId, frame.length)
      } else this.distort(rule, handler, version, correlationId, response)
    }
    // Asked for each partition of each request: who has no rules says no more.
    const refused = (about: Parameters<typeof Rules.refusal>[4]) =>
      cluster.accessRules.isEmpty
        ? Code.none
        : Rules.refusal(cluster.accessRules, `User:${this.user}`, this.host.replace(/^\//, ""), handler.needs, about)
    handler.serve({
      cluster,
      node,
      connection: this,
      version,
      clientId,
      arrivedAt,
      request: request as never,
      answer,
      silence,
      injected: (topic, partition) =>
        action?._tag === "Error" && rule!.strikesAt(topic, partition)
          ? action.code
          : refused(topic === undefined ? undefined : { topic }),
      denied: (group) => refused({ group }),
      deniedTransaction: (transactionalId) => refused({ transactionalId }),
      hides: (topic) => refused({ topic }) !== Code.none
    })
  }

  private strike(api: string, clientId: string, request: unknown): FaultRule.Rule | undefined {
    const { cluster, node } = this
    if (cluster.rules.length === 0) return undefined
    const touched: FaultRule.Touched = {
      api,
      broker: node.id,
      clientId,
      ...FaultRule.touchedBy(request, (id) => cluster.topicsById.get(id)?.name)
    }
    return cluster.rules.find((rule) => rule.strikes(touched))
  }

  private distort(
    rule: FaultRule.Rule,
    handler: Handler,
    version: number,
    correlationId: number,
    given: unknown
  ): void {
    const { action } = rule
    // what the client hears now is not what was noted
    this.cluster.told.clear()
    switch (action._tag) {
      case "LoseResponse":
        return this.close()
      case "Withhold":
        return
      case "Delay":
        this.cluster.env.after(action.millis, () => {
          if (this.open) this.write(handler, version, correlationId, given)
        })
        return
    }
    const response = distorted(rule, handler.name, given, (id) => this.cluster.topicsById.get(id)?.name)
    if (action._tag === "BreakOff") {
      const bytes = Buffer.concat(Frame.encodeResponse(handler.Response, version, correlationId, response as never))
      this.link.send([bytes.subarray(0, bytes.length >> 1)])
      return this.close()
    }
    this.write(handler, version, correlationId, response, action._tag === "Trickle")
  }

  /** Who it is, as rules and quotas name him. */
  private get user(): string {
    return this.sasl?.user ?? "ANONYMOUS"
  }

  /**
   * An answer under the quotas of who asked: it tells for how long he is throttled, and no more is read of him meanwhile.
   * Before 2.0 the answer itself was held back.
   */
  private throttled(
    handler: Handler,
    version: number,
    correlationId: number,
    response: unknown,
    clientId: string,
    size: number
  ): void {
    const { cluster } = this
    const { name } = handler
    const key = name === "Produce" ? Quotas.keys.producer : name === "Fetch" ? Quotas.keys.consumer : undefined
    if (key === undefined || cluster.quotas.all.length === 0)
      return this.write(handler, version, correlationId, response)
    const encoded = (body: unknown) => Frame.encodeResponse(handler.Response, version, correlationId, body as never)
    const chunks = encoded(response)
    const bytes = name === "Produce" ? size : chunks.reduce((sum, chunk) => sum + chunk.length, 0)
    const millis = cluster.quotas.throttle(cluster.env.now(), key, this.user, clientId, bytes)
    if (millis === 0) {
      this.link.send(chunks)
      return this.done()
    }
    const told = encoded({ ...(response as object), throttleTimeMs: millis })
    const isToldAtOnce = cluster.settings.profile.since("2.8")
    if (isToldAtOnce) this.link.send(told)
    cluster.env.after(millis, () => {
      if (!this.open) return
      if (!isToldAtOnce) this.link.send(told)
      this.done()
    })
  }

  private write(handler: Handler, version: number, correlationId: number, response: unknown, trickle = false): void {
    const chunks = Frame.encodeResponse(handler.Response, version, correlationId, response as never)
    if (!trickle) {
      this.link.send(chunks)
      return this.done()
    }
    const bytes = Buffer.concat(chunks)
    let at = 0
    const next = () => {
      if (!this.open) return
      this.link.send([bytes.subarray(at, at + 1)])
      at++
      if (at < bytes.length) this.cluster.env.soon(next)
      else this.done()
    }
    next()
  }

  /** A bare token after SaslHandshake v0: size and bytes, without a header; what fails is not answered. */
  private token(frame: Uint8Array): void {
    const step = this.sasl!.step(Uint8Array.from(frame), this.cluster.env.now())
    if (step._tag === "Failed") {
      this.cluster.env.after(this.sasl!.settings.failureDelay, () => this.close())
      return
    }
    this.link.send(Frame.sized(step.token))
    this.done()
  }

  /** ApiVersions of a version that the broker does not know: always answered in the layout of version 0. */
  private refuseVersions(correlationId: number): void {
    this.link.send(
      Frame.encodeResponse(ApiVersions.Response, 0, correlationId, {
        errorCode: Code.unsupportedVersion,
        apiKeys: profileOf(this.node, this.cluster.settings).refusedVersions
      })
    )
    this.done()
  }
}
