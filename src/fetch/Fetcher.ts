/**
 * The fetching half of the native engine: it drives what is pure. The scheduler says which partitions are asked for, of
 * whom and when; partitions take answers in, and give arrays and failures; look-ups say when the cluster is asked about
 * topics. Here are the requests, the fibers and whoever waits.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { TopicInfo } from "../Cluster.ts"
import * as Compression from "../Compression.ts"
import * as Loop from "../engine/Loop.ts"
import * as Crc32c from "../Crc32c.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Fetch from "../protocol/messages/Fetch.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type { FetchSettings, PartitionReader, TransportConsumer } from "../Transport.ts"
import type { Context } from "./Context.ts"
import * as EpochCheck from "./EpochCheck.ts"
import { FetchBuffer } from "./FetchBuffer.ts"
import { FetchedPartition, type Shared } from "./FetchedPartition.ts"
import * as FetchRequest from "./FetchRequest.ts"
import { type Delays, FetchScheduler, type Request } from "./FetchScheduler.ts"
import { FetchSession } from "./FetchSession.ts"
import * as Locate from "./Locate.ts"
import { Pulls } from "./Pulls.ts"
import { Told } from "./Told.ts"
import { TopicLookups } from "./TopicLookups.ts"

type Response = (typeof Fetch.Response.schema)["Type"]
type Asked = Request<FetchedPartition>

/** The last version of Fetch that is spoken. */
const lastVersion = 18

let engines = 0

/** Makes the fetching half of the native engine, as a whole or not at all, wherever somebody is interrupted. */
export const make = Effect.fnUntraced(function* (
  context: Context,
  settings: FetchSettings
): Effect.fn.Return<TransportConsumer, KafkaError.KafkaError, Scope.Scope> {
  const delays: Delays = yield* Backoff.waits(context.retry)
  const compression = yield* Compression.Compression
  let fetcher: Fetcher | undefined
  const loop = yield* Loop.make(context.cluster, (now) => fetcher!.look(now))
  const crc32c = yield* Crc32c.Crc32c
  fetcher = new Fetcher(context, settings, { compression, crc32c }, delays, loop)
  const { hangUp, held, open } = fetcher
  const unread = context.metrics.buffer(held)
  yield* Effect.addFinalizer(() => Effect.andThen(loop.end, hangUp))
  yield* Effect.addFinalizer(() => Effect.sync(unread))
  return { open }
}, Effect.uninterruptible)

class Fetcher {
  readonly #context: Context
  readonly #settings: FetchSettings
  readonly #loop: Loop.Loop
  readonly #shared: Shared
  readonly #scheduler: FetchScheduler<FetchedPartition>
  readonly #buffer: FetchBuffer
  readonly #lookups: TopicLookups
  readonly #engine = ++engines
  /** How many partitions of each topic are open. */
  readonly #topics = new Map<string, number>()
  readonly #sessions = new Map<string, FetchSession>()
  /** Who was asked: there is, or may come, a connection to each of them. */
  readonly #nodes = new Set<number>()
  readonly #late = new Set<Asked>()
  readonly #told: Told
  readonly #pulls: Pulls
  #checks: Array<FetchedPartition> = []

  constructor(context: Context, settings: FetchSettings, codecs: Shared["codecs"], delays: Delays, loop: Loop.Loop) {
    this.#context = context
    this.#settings = settings
    this.#loop = loop
    this.#scheduler = new FetchScheduler(settings, delays)
    this.#buffer = new FetchBuffer(this.#scheduler.count)
    this.#lookups = new TopicLookups(delays, context.cluster.trustLeader)
    this.#pulls = new Pulls(this.#scheduler, this.#buffer, loop)
    this.#told = new Told((effect) => loop.fork(effect))
    this.#shared = {
      settings,
      codecs,
      buffer: this.#buffer,
      scheduler: this.#scheduler,
      delays,
      replicaMaxAge: context.metadataMaxAge
    }
  }

  // ── looking

  /** Does what is to be done now; gives when to look again. */
  look(now: number): number | undefined {
    const failed: Array<FetchedPartition> = []
    const locate = this.#locating(now, failed)
    for (const request of this.#late) {
      // Whoever has another leader by now, or reads a follower, does not wait for a broker that is silent.
      for (const one of request.slots) {
        if (!isOf(one, request)) continue
        one.leaveReplica(request.node, now)
        if (locate(one) !== request.node) this.#scheduler.abandon(one)
      }
    }
    this.#pulls.tryAgain()
    const found = this.#scheduler.look(now, this.#buffer.dead, locate, this.#pulls.needed)
    for (const partition of found.drop) partition.park()
    if (found.drop.length > 0) this.#loop.wake()
    for (const request of found.late) {
      this.#late.add(request)
      for (const { topic } of request.slots) this.#lookups.need(topic)
    }
    for (const request of found.requests) this.#send(request)
    this.#compareEpochs()
    for (const partition of failed) this.#pulls.deliver(partition)
    const due = this.#lookups.due(now)
    if (due.topics.length > 0) this.#askAbout(due.topics)
    const next = Math.min(found.wakeAt, due.wakeAt)
    return next === Infinity ? undefined : next
  }

  /** Finds partitions' brokers, by what is known in this look; notes those that failed on the way. */
  #locating(now: number, failed: Array<FetchedPartition>): (partition: FetchedPartition) => number | undefined {
    const { cluster, metadataTimeout } = this.#context
    const seen = new Map<string, TopicInfo | undefined>()
    const known = (topic: string) => {
      if (!seen.has(topic)) seen.set(topic, cluster.known(topic))
      return seen.get(topic)
    }
    const check = (partition: FetchedPartition) => void this.#checks.push(partition)
    const context: Locate.Context = { lookups: this.#lookups, known, metadataTimeout, late: this.#late, check }
    return (partition) => {
      const node = Locate.locate(partition, now, context)
      if (partition.failure !== undefined) failed.push(partition)
      this.#told.located(partition)
      return node
    }
  }

  #askAbout(names: ReadonlyArray<string>): void {
    const { cluster } = this.#context
    const settle = (exit: Exit.Exit<unknown, KafkaError.KafkaError>) => {
      if (Exit.isSuccess(exit)) {
        this.#lookups.answered(names, this.#loop.now(), (name) => cluster.known(name) !== undefined)
      } else this.#lookups.failed(names, this.#loop.now(), Option.getOrUndefined(Exit.findErrorOption(exit)))
      this.#loop.wake()
    }
    this.#loop.fork(
      cluster.topics(names).pipe(
        Effect.onExit((exit) => Effect.sync(() => settle(exit))),
        Effect.ignore
      )
    )
  }

  #needsMetadata(partition: FetchedPartition, code?: number): void {
    this.#context.cluster.doubtLeader(partition, code)
    partition.awaitedRound = this.#lookups.fresh(partition.topic)
    this.#lookups.needFor(partition)
  }

  #again(partition: FetchedPartition, why: string | KafkaError.KafkaError): void {
    partition.again(this.#loop.now(), typeof why === "string" ? undefined : () => why)
    this.#told.retried(partition, why)
  }

  /** Bytes that are fetched ahead. */
  readonly held = (): number => this.#scheduler.bytes

  // ── requests

  #channelOf(lane: number): string {
    return `fetch-${this.#engine}-${lane}`
  }

  #sessionOf({ lane, node }: Asked): FetchSession {
    const name = `${node}/${lane}`
    let session = this.#sessions.get(name)
    if (session === undefined) this.#sessions.set(name, (session = new FetchSession()))
    return session
  }

  #send(request: Asked): void {
    this.#nodes.add(request.node)
    const isById = request.slots.every((partition) => partition.topicId !== undefined)
    let sent: FetchRequest.Sent | undefined
    const body = (version: number) => {
      const { each, keep } = FetchRequest.shares(request, version)
      const kept = FetchRequest.alike(request, this.#settings).slice(0, keep)
      if (kept.length < request.slots.length) {
        this.#scheduler.narrow(request, kept)
        this.#loop.wake()
      }
      const partitions = request.slots.filter((partition) => isOf(partition, request))
      const made = FetchRequest.make(request, partitions, version, each, this.#sessionOf(request), this.#settings)
      sent = made.sent
      return made.body
    }
    const begun = this.#loop.now()
    const settle = (exit: Exit.Exit<Response, KafkaError.KafkaError>) => {
      this.#late.delete(request)
      if (Exit.isSuccess(exit) && sent !== undefined) {
        this.#receive(request, sent, exit.value)
        this.#context.metrics.answered(this.#loop.now() - begun)
      } else if (Exit.isFailure(exit))
        this.#failed(request, sent !== undefined, Option.getOrUndefined(Exit.findErrorOption(exit)))
      this.#loop.wake()
    }
    const options = {
      maxVersion: isById ? lastVersion : FetchRequest.firstById - 1,
      channel: this.#channelOf(request.lane),
      held: request.maxWait
    }
    this.#loop.fork(
      Effect.flatMap(this.#context.brokers.get(request.node), (broker) => broker.send(Fetch, body, options)).pipe(
        Effect.onExit((exit) => Effect.sync(() => settle(exit))),
        Effect.ignore
      )
    )
  }

  /** The request was not answered. */
  #failed(request: Asked, wasSent: boolean, error: KafkaError.KafkaError | undefined): void {
    if (wasSent) this.#sessionOf(request).reset()
    const asked = request.slots.filter((partition) => isOf(partition, request))
    const now = this.#loop.now()
    this.#scheduler.failed(request, now, error && (() => error))
    for (const partition of asked) {
      const wasReplica = partition.replica?.node === request.node
      partition.leaveReplica(request.node, now)
      if (wasReplica || error === undefined || error.isRetryable) this.#needsMetadata(partition)
      else partition.failure = error
    }
    for (const partition of asked) this.#pulls.deliver(partition)
  }

  #receive(request: Asked, sent: FetchRequest.Sent, response: Response): void {
    const now = this.#loop.now()
    if (response.nodeEndpoints.length > 0) {
      const named = response.nodeEndpoints.map(({ host, nodeId, port }) => ({ id: nodeId, host, port }))
      this.#context.brokers.learn(named)
    }
    const asked = new Set(request.slots.filter((partition) => isOf(partition, request)))
    const { errorCode } = response
    if (errorCode !== 0) return this.#refused(request, asked, errorCode)
    this.#sessionOf(request).answered(response.sessionId)
    let kind: ReturnType<typeof FetchRequest.weigh> = asked.size === 0 ? "told" : "empty"
    const told: Array<FetchedPartition> = []
    FetchRequest.forEachAnswer(response, sent, (partition, answer) => {
      if (!asked.delete(partition)) return
      const weight = FetchRequest.weigh(answer)
      if (weight === "gave") this.#context.metrics.brought(partition.topic, answer.records!.length)
      if (kind !== "gave" && weight !== "empty") kind = weight
      if (partition.accept(answer, sent.version, now) === "metadata") this.#needsMetadata(partition, answer.errorCode)
      else if (answer.errorCode === 0) this.#lookups.works(partition)
      if (answer.errorCode !== 0) this.#told.retried(partition, ErrorCode.get(answer.errorCode).name)
      else if (weight === "told") this.#told.retried(partition, "the answers lead elsewhere, and nowhere")
      told.push(partition)
    })
    for (const partition of asked) {
      if (sent.isIncremental) {
        partition.unchanged(now)
        this.#lookups.works(partition)
      } else this.#again(partition, "the answer leaves it out")
      told.push(partition)
    }
    // Before anybody is told, who may ask for more at once.
    this.#scheduler.answered(request, kind, now)
    for (const partition of told) this.#pulls.deliver(partition)
  }

  /** The broker has refused the request as a whole. */
  #refused(request: Asked, asked: ReadonlySet<FetchedPartition>, errorCode: number): void {
    const session = this.#sessionOf(request)
    if (errorCode === ErrorCode.codes.FETCH_SESSION_ID_NOT_FOUND) session.forget()
    else session.reset()
    const errorOf = (where: KafkaError.Where) => KafkaError.fromCode(errorCode, { api: "Fetch", ...where })
    this.#scheduler.failed(request, this.#loop.now(), () => errorOf({}))
    const ask = ErrorCode.asks(errorCode, "Fetch")
    if (ask === "new-session") return
    for (const partition of asked) {
      partition.leaveReplica(request.node, this.#loop.now())
      if (ask === "metadata") this.#needsMetadata(partition, errorCode)
      else if (ask === "retry") this.#again(partition, errorOf(partition.place))
      else partition.failure = errorOf(partition.place)
      this.#pulls.deliver(partition)
    }
  }

  // ── leaders' epochs

  /** Compares the epochs of those whose leader is new with the leaders' logs, a request a broker. */
  #compareEpochs(): void {
    if (this.#checks.length === 0) return
    const byNode = TopicPartition.groupBy(this.#checks, (partition) => partition.leader!.node)
    this.#checks = []
    for (const [node, partitions] of byNode) {
      this.#nodes.add(node)
      this.#loop.fork(
        Effect.flatMap(this.#context.brokers.get(node), (broker) =>
          EpochCheck.ask(broker, partitions, this.#channelOf(0))
        ).pipe(
          Effect.match({
            onSuccess: (verdicts) => this.#compared(verdicts),
            onFailure: (error) => this.#compared(partitions.map((partition) => EpochCheck.unknown(partition, error)))
          })
        )
      )
    }
  }

  #compared(verdicts: ReadonlyArray<EpochCheck.Verdict>): void {
    for (const { endOffset, epoch, failure, partition } of verdicts) {
      if (failure === undefined) partition.checked(epoch, endOffset)
      else {
        partition.isChecking = false
        this.#again(partition, failure.why)
        if (failure.isAboutLeader) this.#needsMetadata(partition)
      }
      this.#pulls.deliver(partition)
    }
    this.#scheduler.resumed()
    this.#loop.wake()
  }

  // ── partitions

  #readerOf(partition: FetchedPartition): PartitionReader {
    return {
      pull: this.#pulls.pull(partition),
      seek: (offset, leaderEpoch) => {
        partition.seek(offset, leaderEpoch, this.#loop.now())
        this.#loop.wake()
      },
      pause: () => {
        partition.isPaused = true
      },
      resume: () => {
        partition.isPaused = false
        this.#scheduler.resumed()
        this.#pulls.deliver(partition)
        this.#loop.wake()
      },
      position: () => partition.position,
      endOffset: () => partition.end
    }
  }

  readonly open: TransportConsumer["open"] = (where, offset, leaderEpoch) =>
    Effect.acquireRelease(
      Effect.sync(() => {
        const partition = new FetchedPartition(where, offset, leaderEpoch, this.#shared)
        this.#scheduler.add(partition)
        this.#topics.set(partition.topic, (this.#topics.get(partition.topic) ?? 0) + 1)
        this.#loop.wake()
        return partition
      }),
      (partition) => Effect.sync(() => this.#close(partition))
    ).pipe(Effect.map((partition) => this.#readerOf(partition)))

  #close(partition: FetchedPartition): void {
    partition.isClosed = true
    partition.drop()
    this.#scheduler.remove(partition)
    this.#pulls.forget(partition)
    const left = this.#topics.get(partition.topic)! - 1
    if (left > 0) this.#topics.set(partition.topic, left)
    else this.#topics.delete(partition.topic)
    this.#lookups.without(partition)
    this.#lookups.keep((topic) => this.#topics.has(topic))
  }

  /** Gives the connections back. */
  readonly hangUp: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach(
      this.#nodes,
      (node) =>
        Effect.ignore(
          Effect.map(this.#context.brokers.get(node), (broker) => {
            for (let lane = 0; lane < FetchScheduler.lanes; lane++) broker.hangUp(this.#channelOf(lane))
          })
        ),
      { discard: true }
    )
  )
}

/** Whether a partition still waits for a request: not where it went elsewhere since. */
const isOf = (partition: FetchedPartition, request: Asked): boolean => partition.asked === request
