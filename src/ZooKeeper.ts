/**
 * ZooKeeper, where clusters before 4.0 keep their state, and where groups of the time before that kept theirs: nodes,
 * watches as Streams, ephemeral nodes that live as long as a Scope, and the session that all of it hangs on.
 *
 * What holds:
 *
 * - Every request ends within `requestTimeout`, with what it takes to connect again; a write that was perhaps done is
 *   looked at before it is repeated.
 * - A session is `Lost` when three quarters of its time-out are over since we last sent a write, or a heartbeat, that was
 *   answered, whatever the connection looks like: a server that is silent, or has lost its leader, is noticed, and left
 *   for the next one. Then, or when it has expired, another session follows.
 * - A watch misses no change between two reads, and outlives connections and sessions.
 *
 * `layer` has node-zookeeper-client beneath it, which is loaded when the Layer is built; `layerMemory` has an ensemble
 * in memory, for tests.
 *
 * One file because it is one public module, whose service is small once what it stands on is in `zookeeper/`; one
 * function because all that the service offers stands on the same sessions.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Config from "effect/Config"
import * as Context from "effect/Context"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Random from "effect/Random"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Semaphore from "effect/Semaphore"
import * as Stream from "effect/Stream"
import * as Backoff from "./Backoff.ts"
import * as Checks from "./Checks.ts"
import * as KafkaConfig from "./KafkaConfig.ts"
import * as KafkaError from "./KafkaError.ts"
import { fromConfig } from "./PerService.ts"
import * as Resume from "./Resume.ts"
import type * as Client from "./zookeeper/Client.ts"
import * as ConnectString from "./zookeeper/ConnectString.ts"
import * as Ensemble from "./zookeeper/Ensemble.ts"
import * as NodeClient from "./zookeeper/NodeClient.ts"
import * as Operations from "./zookeeper/Operations.ts"
import * as Outages from "./zookeeper/Outages.ts"
import * as Registration from "./zookeeper/Registration.ts"
import * as Sessions from "./zookeeper/Sessions.ts"
import * as Watches from "./zookeeper/Watches.ts"

export type { Operations } from "./zookeeper/Operations.ts"
export type { Node, Stat } from "./zookeeper/Client.ts"
export type { SessionState } from "./zookeeper/Sessions.ts"
export type { Endpoint, Registration } from "./zookeeper/Registration.ts"

/**
 * What an application may set.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options extends Timeouts {
  /** `host:port,host:port/chroot`; the port defaults to 2181. Kafka: zookeeper.connect. PyKafka: zookeeper_hosts. */
  readonly connect: string
  /** Who we are, such as scheme `digest` and `user:password`. Default: nobody. */
  readonly auth?: { readonly scheme: string; readonly credentials: Redacted.Redacted<string> } | undefined
  /** Who may read and write the nodes that are created here: anybody, or who authenticates as `auth` does. Default `"open"`. */
  readonly acl?: "open" | "creator" | undefined
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Timeouts {
  /**
   * How long ZooKeeper keeps our session without hearing from us, of which we count on three quarters; the server has
   * limits of its own (2 to 20 × tickTime). Default 6 s. Kafka: zookeeper.session.timeout.ms. PyKafka: zookeeper_connection_timeout_ms.
   */
  readonly sessionTimeout?: Duration.Input | undefined
  /** How long the Layer tries to connect before it fails. Default 10 s. Kafka: zookeeper.connection.timeout.ms. */
  readonly connectTimeout?: Duration.Input | undefined
  /** How long a request may take, with what it takes to connect again. Default 10 s. */
  readonly requestTimeout?: Duration.Input | undefined
  /**
   * When a request that has failed is sent again, within `requestTimeout`; each step's input is the failure. What is
   * watched is asked for without an end: there its last delay stays. Default: at once, then 50 ms doubling to 1 s,
   * jittered by 20 %.
   */
  readonly retry?: Backoff.Retry | undefined
}

/**
 * A session: what is asked of it fails with `ZooKeeperRefused` SESSION_EXPIRED once it is over, and is never asked in another.
 *
 * @since 0.1.0
 * @category models
 */
export interface Session extends Operations.Operations {
  /** In hexadecimal; the `owner` of ephemeral nodes. */
  readonly id: string
  /** Whether it can be known to live at this moment. */
  readonly isLive: () => boolean
  /**
   * Removes an ephemeral node of this session in the background, for as long as the session lives: also where it was
   * given up by our own clock, and comes back. With `data` only while it holds that, as with `remove`.
   */
  readonly discard: (path: string, data?: Uint8Array) => Effect.Effect<void>
}

/**
 * A ZooKeeper.
 *
 * @since 0.1.0
 * @category services
 */
export class ZooKeeper extends Context.Service<
  ZooKeeper,
  Operations.Operations & {
    /** What a node holds; undefined where there is none. Fails with `Unreachable` or `TimedOut` after `requestTimeout`. */
    readonly get: (path: string) => Effect.Effect<Uint8Array | undefined, KafkaError.KafkaError>
    /** The node now and whenever it changes, and once the session was lost; undefined while there is none. */
    readonly watch: (path: string) => Stream.Stream<Client.Node | undefined, KafkaError.KafkaError>
    /** The names of a node's children now and whenever they change, as `watch` does; undefined while there is no such node. */
    readonly watchChildren: (path: string) => Stream.Stream<ReadonlyArray<string> | undefined, KafkaError.KafkaError>
    /**
     * A node that is there as long as the Scope and the session; fails with NODE_EXISTS where there is one. With
     * `recreate` it comes back in each session that follows, as soon as that of the session before is gone.
     */
    readonly ephemeral: (
      path: string,
      data: Uint8Array,
      options?: { readonly recreate?: boolean | undefined }
    ) => Effect.Effect<void, KafkaError.KafkaError, Scope.Scope>
    /** A session by its id, as `states` tells it; whether it lives or not. */
    readonly sessionOf: (id: string) => Session
    /** The session that lives now; waited for within `requestTimeout`. */
    readonly session: Effect.Effect<Session, KafkaError.KafkaError>
    /** What becomes of the session, beginning with how it is. */
    readonly states: Stream.Stream<Sessions.SessionState>
    /** The session's time-out as the server wants it, in milliseconds. */
    readonly sessionTimeout: () => number
    /** The brokers that are registered now. */
    readonly brokers: Effect.Effect<ReadonlyArray<Registration.Registration>, KafkaError.KafkaError>
  }
>()("samsa/ZooKeeper") {}

/** Of what is watched, how many are asked for and not answered. */
const readsAtOnce = 1000

interface Settings extends Operations.Settings {
  readonly connectTimeout: number
}

/** There is a first session. */
const hasSession = (sessions: Sessions.Sessions): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.flatMap(
    Sessions.becomes(sessions, (state) => state !== undefined),
    () => {
      if (sessions.state()?._tag !== "Refused") return Effect.void
      const message = "the credentials were refused"
      return Effect.fail(KafkaError.make({ _tag: "Unauthenticated", mechanism: "ZooKeeper", message }))
    }
  )

/** A session that was given up by our own clock is there again, with what it has created; false: another has begun. */
const comesBack = (sessions: Sessions.Sessions, id: string): Effect.Effect<boolean> =>
  Resume.callback((resume) => {
    const now = sessions.state()
    if (now?._tag === "Refused" || (now?._tag === "Connected" && now.session !== id))
      return resume(Effect.succeed(false))
    const off = sessions.listen((state) => {
      if (state._tag !== "Connected" && state._tag !== "Refused") return
      off()
      resume(Effect.succeed(state._tag === "Connected" && state.session === id))
    })
    return Effect.sync(off)
  })

/** The service over a client. */
const over = Effect.fnUntraced(function* (open: Client.Open, settings: Settings) {
  const scope = yield* Effect.scope
  const sessions = yield* Sessions.make(open)
  const operations = Operations.make(sessions, settings)
  const again = Backoff.unending(settings.retry)
  const { children, read } = operations
  const unreachable = (cause: string) =>
    KafkaError.make({
      _tag: "Unreachable",
      what: "ZooKeeper",
      attempts: settings.addresses.map((address) => {
        const why = sessions.failures().get(address)
        return { address: `ZooKeeper at ${address}`, cause: why === undefined ? cause : `${why}; ${cause}` }
      })
    })

  yield* Effect.forkIn(Outages.told(sessions, settings.addresses), scope, { startImmediately: true })
  yield* hasSession(sessions).pipe(
    Effect.timeoutOrElse({
      duration: settings.connectTimeout,
      orElse: () => Effect.fail(unreachable(`no session within the connectTimeout of ${settings.connectTimeout} ms`))
    })
  )

  const discarded = (id: string, path: string, data: Uint8Array | undefined): Effect.Effect<void> =>
    Effect.retry(Operations.make(sessions, settings, id).remove(path, { owner: id, data }), {
      schedule: again,
      while: (error) => error.isRetryable
    }).pipe(
      Effect.asVoid,
      Effect.catch(({ reason }) =>
        reason._tag === "ZooKeeperRefused" && reason.name === "SESSION_EXPIRED"
          ? Effect.flatMap(comesBack(sessions, id), (isBack) => (isBack ? discarded(id, path, data) : Effect.void))
          : Effect.void
      )
    )
  const discard = (id: string, path: string, data: Uint8Array | undefined) =>
    Effect.forkIn(discarded(id, path, data), scope, { startImmediately: true })
  const sessionOf = (id: string): Session => ({
    ...Operations.make(sessions, settings, id),
    id,
    isLive: () => sessions.isLive(id),
    discard: (path, data) => Effect.asVoid(discard(id, path, data))
  })
  const session = Backoff.within(
    Effect.suspend(() => {
      const state = sessions.state()
      if (state?._tag === "Connected" && sessions.isLive(state.session)) return Effect.succeed(sessionOf(state.session))
      // Whatever is asked waits for a connection, and says in which session it was answered.
      return Effect.flatMap(
        sessions.call<Client.Stat>((client, done) => client.exists("/", done)),
        (reply) =>
          reply.code === 0 && sessions.isLive(reply.session)
            ? Effect.succeed(sessionOf(reply.session))
            : Effect.fail(unreachable(reply.message ?? "no session"))
      )
    }),
    { name: "requestTimeout", millis: settings.requestTimeout, waitingFor: "a session with ZooKeeper" },
    (error) => error.isRetryable,
    settings.retry
  )

  // After a lost connection all that is watched is read again: heartbeats are to be answered in between.
  const inTurn = Semaphore.makeUnsafe(readsAtOnce).withPermits(1)
  const watch = (path: string) =>
    Watches.make(
      sessions,
      (fired) => inTurn(read(path, fired)),
      (a, b) => a?.stat.version === b?.stat.version && a?.stat.created === b?.stat.created,
      again
    )
  const watchChildren = (path: string) =>
    Watches.make(
      sessions,
      (fired) => inTurn(children(path, fired)),
      (a, b) => a?.length === b?.length && (a ?? []).every((name) => b!.includes(name)),
      again
    )

  const states = Stream.callback<Sessions.SessionState>((queue) =>
    Effect.gen(function* () {
      const listen = Effect.sync(() => {
        const first = sessions.state()
        if (first !== undefined) Queue.offerUnsafe(queue, first)
        return sessions.listen((state) => void Queue.offerUnsafe(queue, state))
      })
      yield* Effect.acquireRelease(listen, Effect.sync)
      yield* Effect.never
    })
  )

  /** Ephemeral nodes that are there, with their sessions, and removals that are on their way, by path. */
  const held = new Map<string, string>()
  const leaving = new Map<string, Fiber.Fiber<void>>()
  const leave = (id: string, path: string, data?: Uint8Array) =>
    Effect.map(discard(id, path, data), (fiber) => {
      leaving.set(path, fiber)
      fiber.addObserver(() => {
        if (leaving.get(path) === fiber) leaving.delete(path)
      })
    })
  /** A removal that is on its way would hit what is created meanwhile. */
  const hasLeft = (path: string) =>
    Effect.suspend(() => {
      const fiber = leaving.get(path)
      return fiber === undefined ? Effect.void : Fiber.await(fiber)
    }).pipe(
      Effect.timeoutOrElse({
        duration: settings.requestTimeout,
        orElse: () => Effect.fail(unreachable(`the removal of ${path} is not answered`))
      })
    )

  const ephemeral = Effect.fnUntraced(function* (
    path: string,
    data: Uint8Array,
    options: { readonly recreate?: boolean | undefined } = {}
  ) {
    const own = yield* Effect.scope
    let current: string | undefined
    let isClosed = false
    const removed = Effect.suspend(() => {
      isClosed = true
      if (current === undefined) return Effect.void
      if (held.get(path) === current) held.delete(path)
      return leave(current, path)
    })
    yield* Scope.addFinalizer(own, removed)
    /** What was perhaps created, and is nobody's, is removed. */
    const created = (session: Session) =>
      Effect.onExit(session.create(path, data, { ephemeral: true }), (exit) => {
        if (Exit.isSuccess(exit)) {
          held.set(path, (current = session.id))
          return isClosed ? removed : Effect.void
        }
        const refused = Cause.findErrorOption(exit.cause)
        const reason = refused._tag === "Some" ? refused.value.reason : undefined
        const isSure = reason?._tag === "ZooKeeperRefused" && reason.name !== "SESSION_EXPIRED"
        return isSure || held.get(path) === session.id ? Effect.void : leave(session.id, path, data)
      })
    yield* hasLeft(path)
    yield* created(yield* session)
    if (options.recreate !== true) return
    const reborn = Effect.gen(function* () {
      yield* hasLeft(path)
      const next = yield* session
      const node = yield* next.read(path)
      if (node !== undefined && node.stat.owner === next.id) return
      // What the session before has left goes with it.
      if (node !== undefined) {
        yield* watch(path).pipe(
          Stream.takeUntil((one) => one === undefined),
          Stream.runDrain
        )
      }
      yield* created(next)
    })
    yield* states.pipe(
      Stream.filter((state) => state._tag === "Connected" && state.session !== current),
      Stream.runForEach(() => Effect.ignore(Effect.retry(reborn, { schedule: again, while: () => true }))),
      Effect.forkIn(own)
    )
  })

  const get = (path: string) => Effect.map(read(path), (node) => node?.data)
  const ids = "/brokers/ids"
  return ZooKeeper.of({
    ...operations,
    get,
    watch,
    watchChildren,
    ephemeral,
    sessionOf,
    session,
    states,
    sessionTimeout: sessions.timeout,
    brokers: Effect.gen(function* () {
      const found: Array<Registration.Registration> = []
      for (const id of (yield* children(ids)) ?? []) {
        // One that has gone in between is not there any more.
        const data = yield* get(`${ids}/${id}`)
        const broker = data === undefined ? undefined : Registration.parse(Number(id), new TextDecoder().decode(data))
        if (broker !== undefined) found.push(broker)
      }
      return found
    })
  })
})

const timeouts: Checks.TableOf<Timeouts> = {
  sessionTimeout: true,
  connectTimeout: true,
  requestTimeout: true,
  retry: true
}

const table: Checks.TableOf<Options> = {
  ...timeouts,
  connect: true,
  auth: {
    is: "a scheme, and credentials as a Redacted text",
    isSecret: true,
    holds: (value) => {
      const { credentials, scheme } = Object(value) as { readonly [name: string]: unknown }
      return (
        typeof scheme === "string" &&
        Redacted.isRedacted(credentials) &&
        typeof Redacted.value(credentials) === "string"
      )
    }
  },
  acl: Checks.oneOf("open", "creator")
}

const timeoutsOf = (options: Timeouts, check: KafkaConfig.Checks) => ({
  sessionTimeout: check.millis("sessionTimeout", options.sessionTimeout, 6000),
  connectTimeout: check.millis("connectTimeout", options.connectTimeout, 10_000),
  requestTimeout: check.millis("requestTimeout", options.requestTimeout, 10_000),
  retry: check.schedule("retry", options.retry) ?? Backoff.schedule
})

/**
 * Connects, within `connectTimeout`; the session ends with the Scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (given: Options): Effect.Effect<ZooKeeper["Service"], KafkaError.KafkaError, Scope.Scope> =>
  Effect.gen(function* () {
    const check = KafkaConfig.checks()
    const options = Checks.known(given, table, (text) => check.mistakes.push(text))
    const { chroot, servers } = ConnectString.parse(options.connect, check)
    const { sessionTimeout, ...others } = timeoutsOf(options, check)
    if (options.acl === "creator" && given.auth === undefined) check.mistakes.push(`acl: "creator" needs auth`)
    yield* KafkaConfig.settle(check, undefined)

    const library = yield* Effect.tryPromise({
      try: () => import("node-zookeeper-client"),
      catch: (error) =>
        KafkaError.make(
          {
            _tag: "Unsupported",
            needed: "node-zookeeper-client",
            ours: "none that can be loaded",
            theirs: "ZooKeeper"
          },
          error
        )
    })
    const scope = yield* Effect.scope
    const random = yield* Random.Random
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const { auth } = options
    return yield* over(
      (listener, now) =>
        NodeClient.open(
          {
            library: library.default,
            servers,
            sessionTimeout,
            auth: auth && { scheme: auth.scheme, credentials: Redacted.value(auth.credentials) },
            acl: options.acl ?? "open",
            fork: (effect) => Fiber.runIn(run(effect), scope),
            connectTimeout: others.connectTimeout,
            random: () => random.nextDoubleUnsafe(),
            now
          },
          listener
        ),
      { ...others, chroot, addresses: servers.map(KafkaConfig.formatAddress) }
    )
  })

/**
 * A session with ZooKeeper.
 *
 * ```ts
 * import { Layer } from "effect"
 * import { Kafka, ZooKeeper } from "samsa"
 *
 * export const discovered = Kafka.layerZooKeeper({}).pipe(
 *   Layer.provideMerge(ZooKeeper.layer({ connect: "zk1:2181,zk2:2181/kafka" }))
 * )
 * ```
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (options: Options): Layer.Layer<ZooKeeper, KafkaError.KafkaError> =>
  Layer.effect(ZooKeeper, make(options))

/**
 * The same, with settings from Config: `ZOOKEEPER_CONNECT` where nothing is given.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = (
  options: Config.Wrap<Options> = { connect: Config.String("ZOOKEEPER_CONNECT") }
): Layer.Layer<ZooKeeper, KafkaError.KafkaError | Config.ConfigError> => fromConfig(options, layer)

/**
 * An ensemble in memory, which several clients share, and what tests may do to it.
 *
 * @since 0.1.0
 * @category services
 */
export class Memory extends Context.Service<
  Memory,
  Ensemble.Ensemble & {
    /** Another client of it, with a session of its own, as another process would have. */
    readonly connect: (options?: Timeouts) => Effect.Effect<ZooKeeper["Service"], KafkaError.KafkaError, Scope.Scope>
  }
>()("samsa/ZooKeeper/Memory") {}

/**
 * An ensemble in memory; it ends with the Scope.
 *
 * @since 0.1.0
 * @category constructors
 */
export const makeMemory: Effect.Effect<Memory["Service"], never, Scope.Scope> = Effect.gen(function* () {
  const { ensemble, open } = yield* Ensemble.make
  return Memory.of({
    ...ensemble,
    connect: (options = {}) =>
      Effect.gen(function* () {
        const check = KafkaConfig.checks()
        const known = Checks.known(options, timeouts, (text) => check.mistakes.push(text))
        const { sessionTimeout, ...others } = timeoutsOf(known, check)
        yield* KafkaConfig.settle(check, undefined)
        return yield* over(open(sessionTimeout), { ...others, chroot: "", addresses: ["memory"] })
      })
  })
})

/**
 * A ZooKeeper in memory, for tests, and `Memory` to have more clients of it and to do it harm.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerMemory = (options: Timeouts = {}): Layer.Layer<ZooKeeper | Memory, KafkaError.KafkaError> =>
  Layer.effectContext(
    Effect.gen(function* () {
      const memory = yield* makeMemory
      const zooKeeper = yield* memory.connect(options)
      return Context.make(ZooKeeper, zooKeeper).pipe(Context.add(Memory, memory))
    })
  )
