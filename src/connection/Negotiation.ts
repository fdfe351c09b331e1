/**
 * Finding out what a broker serves, from 0.8 to today's: versions of ApiVersions are tried from the newest down.
 *
 * From 0.10 on a broker is asked at every connection, by ApiVersions at the highest version that it is known to have:
 * 5 at first, then what KIP-511 says, down to 0 where it says nothing (0.10 to 2.3). Brokers before 0.10 cannot be
 * asked: 0.8 closes the connection, 0.9 says nothing, and loses a request of somebody else over it. So a broker that
 * nothing is known of is sent a small request behind the first ApiVersions, in the same write: what answers that alone
 * is 0.9. What closes is asked again at version 3 (Azure Event Hubs resets the connection above), and is 0.8 where it
 * then closes at ListGroups. Both must answer ListOffsets v0 before, 0.8 some times in a row: 4.x serves it no more, and
 * links that end all the time end at that, too. Only these two verdicts are remembered, for an hour, once they were
 * reached twice: a broker that goes down, or a lost answer, looks like that as well. What has once answered is asked as
 * one that answers, until it has not several times in a row, and is an older one only where it has looked like that for
 * a minute: who is taken for one is spoken to without idempotence. What was taken for old and closes over a request is
 * asked again.
 */
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Semaphore from "effect/Semaphore"
import { codes } from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Offer, OldRelease } from "../protocol/Exchange.ts"
import * as Frame from "../protocol/Frame.ts"
import * as ApiVersionsApi from "../protocol/messages/ApiVersions.ts"
import * as DescribeGroups from "../protocol/messages/DescribeGroups.ts"
import * as ListGroups from "../protocol/messages/ListGroups.ts"
import * as ListOffsets from "../protocol/messages/ListOffsets.ts"
import type { BrokerConnection } from "./BrokerConnection.ts"
import * as ApiVersions from "./ApiVersions.ts"

/** What is remembered of an address. */
export interface Memory {
  known: "nothing" | "modern" | OldRelease
  /** How often in a row what has answered ApiVersions could not be asked. */
  failures: number
  /** When an old release is to be doubted, on the monotonic clock. */
  until: number
  /** The version that ApiVersions is asked at first. */
  version: number
  /** It has answered ApiVersions, and was not taken for an older one since. */
  hasAnswered: boolean
  /** What it looks like though it has answered, and since when, on the monotonic clock. */
  looks: { readonly release: OldRelease; readonly since: number } | undefined
  /** So that a broker that nothing is known of is asked once, however many connections are opened to it. */
  readonly asking: Semaphore.Semaphore
}

const isOld = (known: Offer["by"] | Memory["known"]): known is OldRelease => known === "0.8" || known === "0.9"

const highest = ApiVersionsApi.Request.stable[1]
/** What Azure Event Hubs still answers. */
const modest = 3
const oldReleaseMillis = 3_600_000
/** So often in a row it may fail who has answered before, until it may be an older one. */
const failuresAtMost = 3
/** So long who has answered before must look like an older one. */
const replacedMillis = 60_000
/** So often in a row 0.8 must answer what it knows, before it closes at what it does not. */
const answersAtLeast = 3

export const makeMemory = (): Memory => ({
  known: "nothing",
  failures: 0,
  until: 0,
  version: highest,
  hasAnswered: false,
  looks: undefined,
  asking: Semaphore.makeUnsafe(1)
})

/** Who we take the broker for: ApiVersions v5 says so, and hears of it where it is another (KIP-1242). */
export interface Identity {
  readonly clusterId: string | null
  readonly nodeId: number
}

/** No broker in particular. */
export const anyBroker: Identity = { clusterId: null, nodeId: -1 }

export interface Options {
  /** Opens a connection, with nothing said on it. */
  readonly open: Effect.Effect<BrokerConnection, KafkaError.KafkaError>
  /** `host:port`, for errors. */
  readonly address: string
  readonly memory: Memory
  readonly identity: Identity
  readonly pinned: OldRelease | "modern" | undefined
  /** Before SASL nothing but ApiVersions may be asked; whoever has SASL has ApiVersions. */
  readonly sasl: boolean
  readonly now: () => number
}

/** Opens a connection and finds out what the broker serves. */
export const negotiate = (options: Options): Effect.Effect<BrokerConnection, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const { memory, now, pinned, sasl } = options
    if (pinned === "0.8" || pinned === "0.9") return taken(options, pinned)
    if (isOld(memory.known) && now() < memory.until) return taken(options, memory.known)
    if (memory.known === "modern" || pinned === "modern" || sasl) return asked(options)
    return memory.asking.withPermit(
      Effect.suspend(() => {
        if (memory.known === "modern") return asked(options)
        if (isOld(memory.known) && now() < memory.until) return taken(options, memory.known)
        return found(options)
      })
    )
  })

/** A broker that is not asked. */
const taken = ({ open }: Options, release: OldRelease) =>
  Effect.map(open, (session) => {
    session.offer = ApiVersions.ofRelease(release)
    return session
  })

/** A broker that answers when it is asked. */
const asked = (options: Options): Effect.Effect<BrokerConnection, KafkaError.KafkaError> => {
  const { memory } = options
  let session: BrokerConnection | undefined
  const attempt = Effect.gen(function* () {
    session = undefined
    session = yield* options.open
    const { version } = memory
    yield* ask(session, version, options.identity)
    return yield* recognized(options, session, version)
  })
  return attempt.pipe(
    Effect.catch((error) => {
      // What says anything does not close over the version.
      const isMute = session?.heard === false && isClose(error)
      if (memory.known === "modern" || memory.version <= modest || !isMute) return Effect.fail(error)
      memory.version = modest
      return attempt
    }),
    Effect.onError(() => Effect.sync(() => failed(memory)))
  )
}

/** What answered, asked again where it does not know whom it is taken for, and can be told: it was asked at less than it knows. */
const recognized = (
  options: Options,
  session: BrokerConnection,
  version: number
): Effect.Effect<BrokerConnection, KafkaError.KafkaError> => {
  learn(options.memory, session)
  if (options.identity.nodeId < 0 || version >= options.memory.version) return Effect.succeed(session)
  session.close("it serves a newer ApiVersions")
  return asked(options)
}

/** A broker that nothing is known of, or nothing any more. */
const found = (options: Options): Effect.Effect<BrokerConnection, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const { address, memory } = options
    // What it was taken for is the first of two that have to agree.
    let before: Memory["known"] = memory.known
    for (let i = 0; i < 2; i++) {
      const { release, session, version } = yield* examined(options)
      if (release === "modern") return yield* recognized(options, session, version)
      session?.close("it did not say what it serves")
      if (release === before) {
        if (!isSure(options, release))
          return yield* unreachable(address, `it looks like Kafka ${release}, and has answered as a later one`)
        remember(options, release)
        return yield* taken(options, release)
      }
      before = release
    }
    // Where it is on its way up or down: the next connection begins anew.
    return yield* unreachable(
      address,
      "it does not say what it serves, and looked like one release, and then like another"
    )
  })

/** Whether it is none that has answered before, or has looked like this for long. */
const isSure = ({ memory, now }: Options, release: OldRelease): boolean => {
  if (!memory.hasAnswered) return true
  if (memory.looks?.release !== release) memory.looks = { release, since: now() }
  return now() - memory.looks.since >= replacedMillis
}

const unreachable = (address: string, cause: string): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address, cause }] })

type Examined =
  | { readonly release: "modern"; readonly session: BrokerConnection; readonly version: number }
  | { readonly release: OldRelease; readonly session: BrokerConnection | undefined; readonly version: number }

/** What it looks like at once. */
const examined = (options: Options): Effect.Effect<Examined, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    for (const version of [highest, modest]) {
      const session = yield* options.open
      const answer = yield* Effect.result(askWithProbe(session, version, options.identity))
      if (Result.isSuccess(answer) && answer.success !== "silent") return { release: "modern", session, version }
      if (Result.isSuccess(answer)) {
        yield* asksOldOffsets(session)
        return { release: "0.9", session, version }
      }
      if (!isClose(answer.failure)) return yield* answer.failure
      if (session.heard) return yield* alone(options, version)
    }
    yield* closesAtGroups(options)
    return { release: "0.8", session: undefined, version: modest }
  })

/**
 * What has answered that it does not know this version, and has closed at what was sent behind it, as a listener that wants
 * SASL does, or a controller of KRaft: asked again with nothing behind, it says what it serves.
 */
const alone = (options: Options, version: number): Effect.Effect<Examined, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const session = yield* options.open
    yield* ask(session, version, options.identity)
    return { release: "modern", session, version }
  })

/** A question that every broker before 4.0 answers, and 4.x closes at: about no partition. */
const asksOldOffsets = (session: BrokerConnection) => session.exchange(ListOffsets, 0, { replicaId: -1, topics: [] })

/** Whether it answers what 0.8 knows and closes at ListGroups: fails where it does anything else. */
const closesAtGroups = ({ open }: Options): Effect.Effect<void, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const session = yield* open
    for (let i = 0; i < answersAtLeast; i++) yield* asksOldOffsets(session)
    const groups = yield* Effect.result(session.exchange(ListGroups, 0, {}))
    if (Result.isFailure(groups)) return isClose(groups.failure) ? undefined : yield* groups.failure
    session.close("it serves groups")
    // It has just closed two connections without a word, but not because of what was asked.
    return yield* unreachable(session.address, "closed by the broker before it answered")
  })

const isClose = (error: KafkaError.KafkaError): boolean => error.reason._tag === "Unreachable"

const learn = (memory: Memory, session: BrokerConnection): void => {
  memory.known = "modern"
  memory.hasAnswered = true
  memory.looks = undefined
  memory.failures = 0
  const range = session.offer.ranges.get(ApiVersions.apiVersions)
  if (range !== undefined) memory.version = Math.min(highest, range[1])
}

/** It could not be asked: after some failures what was thought of it may have been wrong. */
const failed = (memory: Memory): void => {
  if (memory.known === "modern" && ++memory.failures >= failuresAtMost) forget(memory)
}

const forget = (memory: Memory): void => {
  memory.known = "nothing"
  memory.failures = 0
  memory.version = highest
}

/**
 * A connection has ended that was of no use, or over a question: one of 0.8 or 0.9 would have answered what it was sent.
 * One of 4.x answers some of it, and closes at the rest.
 */
export const doubt = (memory: Memory, { brokeOff, offer, served, wasLeft }: BrokerConnection): void => {
  if (!wasLeft && isOld(offer.by) && offer.by === memory.known && (brokeOff || !served)) forget(memory)
}

const remember = ({ memory, now }: Options, release: OldRelease): void => {
  memory.known = release
  memory.hasAnswered = false
  memory.looks = undefined
  memory.until = now() + oldReleaseMillis
}

/** ApiVersions, and behind it what a broker of 0.9 answers: an empty list of groups to describe. */
const askWithProbe = (
  session: BrokerConnection,
  version: number,
  identity: Identity
): Effect.Effect<"silent" | void, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    // Written by the time that the fork returns, so that the probe goes behind it.
    const asking = yield* Effect.forkChild(ask(session, version, identity), { startImmediately: true })
    session.tell(DescribeGroups, 0, { groups: [] })
    return yield* Fiber.join(asking)
  })

const request = (version: number, identity: Identity) =>
  version < 3
    ? {}
    : {
        ...ApiVersionsApi.software,
        ...(version >= 5 ? identity : {})
      }

/** Asks what the broker offers; gives "silent" where it leaves the question without an answer. */
const ask = (
  session: BrokerConnection,
  version: number,
  identity: Identity
): Effect.Effect<"silent" | void, KafkaError.KafkaError> => {
  // A version that it does not know is answered in the layout of v0 (KIP-511 kept that for the error).
  const read = (frame: Uint8Array) => {
    const refused = frame.length >= 6 && ((frame[4]! << 8) | frame[5]!) === codes.UNSUPPORTED_VERSION
    return Frame.readResponseInTurns(ApiVersionsApi.Response, refused ? 0 : version, frame)
  }
  return Effect.flatMap(
    session.exchange(ApiVersionsApi, version, request(version, identity), { skippable: true }, read),
    (response: typeof ApiVersionsApi.Response.schema.Type | undefined) => {
      if (response === undefined) return Effect.succeed("silent" as const)
      const { apiKeys, errorCode } = response
      if (errorCode === 0) {
        session.offer = ApiVersions.fromResponse(version, response)
        return Effect.void
      }
      const theirs = apiKeys.find((row) => row.apiKey === ApiVersions.apiVersions)?.maxVersion ?? 0
      // Only ever downwards, so that a broker that contradicts itself cannot hold us in a loop.
      if (errorCode === codes.UNSUPPORTED_VERSION && version > 0)
        return ask(session, Math.min(theirs, version - 1), identity)
      if (errorCode === codes.REBOOTSTRAP_REQUIRED) {
        return Effect.fail(unreachable(session.address, "another broker, or one of another cluster, answers there"))
      }
      return Effect.fail(KafkaError.fromCode(errorCode, { api: "ApiVersions", version, broker: session.address }))
    }
  )
}
