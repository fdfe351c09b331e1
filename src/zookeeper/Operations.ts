/**
 * What can be asked of ZooKeeper, each within `requestTimeout`. A connection that is lost leaves a write *perhaps done*:
 * it is looked at before it is repeated, so that an answer says what is so.
 *
 * One function because every operation is bound to the same sessions and settings; each is a short function within.
 */
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import * as Bytes from "../Bytes.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Client from "./Client.ts"
import { Code } from "./Client.ts"
import { isPath } from "./Path.ts"
import type { Reply, Sessions } from "./Sessions.ts"

/** The requests; of one session, or of whichever there is. */
export interface Operations {
  /** A node with its data; undefined where there is none. */
  readonly read: (path: string, watch?: () => void) => Effect.Effect<Client.Node | undefined, KafkaError.KafkaError>
  /** The names of a node's children, in no order; undefined where there is no such node. */
  readonly children: (
    path: string,
    watch?: () => void
  ) => Effect.Effect<ReadonlyArray<string> | undefined, KafkaError.KafkaError>
  /**
   * Creates a node, and those above it that are missing. Fails with `ZooKeeperRefused` NODE_EXISTS where there is one
   * that is not of this request. Gives the session in which it was created.
   */
  readonly create: (
    path: string,
    data: Uint8Array,
    options?: { readonly ephemeral?: boolean | undefined }
  ) => Effect.Effect<string, KafkaError.KafkaError>
  /** Sees to it that a node is there, and all above it. */
  readonly ensure: (path: string) => Effect.Effect<void, KafkaError.KafkaError>
  /**
   * Sets the data of a node; with a version only where it is still the node's. Fails with NO_NODE, BAD_VERSION; with
   * CONNECTION_LOSS, which is *perhaps done*, where its answer was lost, and others have changed the node since, so that
   * nobody can tell.
   */
  readonly set: (path: string, data: Uint8Array, version?: number) => Effect.Effect<void, KafkaError.KafkaError>
  /**
   * Removes a node; true where it was there. Of `owner`: only while it is the ephemeral node of that session; where
   * several share the session, `data` tells whose it is. What another has put in its place meanwhile stays.
   */
  readonly remove: (
    path: string,
    options?: {
      readonly version?: number | undefined
      readonly owner?: string | undefined
      readonly data?: Uint8Array | undefined
    }
  ) => Effect.Effect<boolean, KafkaError.KafkaError>
}

export interface Settings {
  readonly chroot: string
  readonly requestTimeout: number
  readonly retry: Backoff.Retry
  /** Where ZooKeeper is, for errors. */
  readonly addresses: ReadonlyArray<string>
}

/** The requests of a session, or of any. */
export const make = (sessions: Sessions, settings: Settings, bound?: string): Operations => {
  const { addresses, chroot, requestTimeout, retry } = settings
  const full = (path: string): string => (path === "/" ? chroot || "/" : `${chroot}${path}`)

  const failure = (path: string, { code, message }: Reply<unknown>): KafkaError.KafkaError => {
    switch (code) {
      case Code.CONNECTION_LOSS:
        return unreachable("the connection was lost")
      case Code.THROTTLED_OP:
        return unreachable("the request was throttled")
      case Code.SESSION_EXPIRED:
        return bound === undefined ? unreachable("the session is over") : refused(path, code)
      case Code.NO_AUTH:
      case Code.AUTH_FAILED:
        return KafkaError.make({
          _tag: "Unauthenticated",
          mechanism: "ZooKeeper",
          message: `${path}: ${message ?? Client.codeName(code)}`
        })
      case Code.BAD_ARGUMENTS:
        return KafkaError.make({ _tag: "Misuse", message: `${path}: ${message ?? "is no path"}` })
      default:
        return refused(path, code)
    }
  }
  const unreachable = (cause: string): KafkaError.KafkaError =>
    KafkaError.make({
      _tag: "Unreachable",
      what: "ZooKeeper",
      attempts: addresses.map((address) => ({ address: `ZooKeeper at ${address}`, cause }))
    })

  const within = <A>(
    path: string,
    once: Effect.Effect<A, KafkaError.KafkaError>,
    data: Uint8Array = nothing,
    version = anyVersion
  ) => {
    const message = mistakeOf(path, full(path), data, version)
    return message !== undefined
      ? Effect.fail(KafkaError.make({ _tag: "Misuse", message }))
      : Effect.tapError(
          Backoff.within(
            once,
            { name: "requestTimeout", millis: requestTimeout, waitingFor: `ZooKeeper's answer about ${path}` },
            (error) => error.isRetryable,
            retry
          ),
          ({ reason }) =>
            Effect.sync(() => {
              if (reason._tag === "TimedOut") sessions.reconnect()
            })
        )
  }

  const isUnsure = (code: number): boolean => code === Code.CONNECTION_LOSS || code === Code.SESSION_EXPIRED
  const look = (path: string) =>
    sessions.call<Client.Node>((client, done) => client.get(full(path), undefined, done), bound)

  const read: Operations["read"] = (path, watch) =>
    within(
      path,
      Effect.flatMap(
        sessions.call<Client.Node>((client, done) => client.get(full(path), watch, done), bound),
        (reply) =>
          reply.code === Code.OK
            ? Effect.succeed(reply.answer)
            : reply.code === Code.NO_NODE
              ? Effect.undefined
              : Effect.fail(failure(path, reply))
      )
    )

  const children: Operations["children"] = (path, watch) =>
    within(
      path,
      Effect.flatMap(
        sessions.call<ReadonlyArray<string>>((client, done) => client.children(full(path), watch, done), bound),
        (reply) =>
          reply.code === Code.OK
            ? Effect.succeed(reply.answer)
            : reply.code === Code.NO_NODE
              ? Effect.undefined
              : Effect.fail(failure(path, reply))
      )
    )

  /** Creates one node; `parents` are there, or NO_NODE is answered. Paths are whole ones here. */
  const put = (path: string, data: Uint8Array, ephemeral: boolean, earlier: { unsureIn?: string }) =>
    Effect.gen(function* () {
      const reply = yield* sessions.write<void>(
        (client, done) => client.create(full(path), data, ephemeral, done),
        bound
      )
      if (reply.code !== Code.NODE_EXISTS || earlier.unsureIn === undefined) {
        if (isUnsure(reply.code)) earlier.unsureIn = reply.session
        return reply
      }
      // The try before this one may have made it.
      const found = yield* look(path)
      if (isUnsure(found.code)) return found
      if (found.code === Code.NO_NODE) return { ...found, code: Code.CONNECTION_LOSS }
      // Others may create in the same session.
      const ours =
        found.answer !== undefined &&
        Bytes.areSame(found.answer.data, data) &&
        (!ephemeral || (found.answer.stat.owner === earlier.unsureIn && reply.session === earlier.unsureIn))
      return ours ? { ...found, code: Code.OK } : reply
    })

  const ensureOnce = (path: string): Effect.Effect<Reply<unknown>> =>
    Effect.gen(function* () {
      const reply = yield* put(path, nothing, false, {})
      if (reply.code === Code.NODE_EXISTS) return { ...reply, code: Code.OK }
      if (reply.code !== Code.NO_NODE) return reply
      const above = parent(path)
      const parents = above !== undefined ? yield* ensureOnce(above) : yield* ensureChroot
      return parents.code === Code.OK ? yield* ensureOnce(path) : parents
    })
  const ensureChroot: Effect.Effect<Reply<unknown>> = Effect.gen(function* () {
    let path = ""
    let last: Reply<unknown> = { code: Code.NO_NODE, answer: undefined, message: undefined, session: "" }
    for (const name of chroot.split("/").slice(1)) {
      path += `/${name}`
      const at = path
      last = yield* sessions.write<void>((client, done) => client.create(at, nothing, false, done), bound)
      if (last.code === Code.NODE_EXISTS) last = { ...last, code: Code.OK }
      if (last.code !== Code.OK) return last
    }
    return last
  })

  const create: Operations["create"] = (path, data, options) =>
    Effect.suspend(() => {
      const one = put(path, data, options?.ephemeral === true, {})
      return within(
        path,
        Effect.gen(function* () {
          let reply: Reply<unknown> = yield* one
          if (reply.code === Code.NO_NODE) {
            const above = parent(path)
            const parents = yield* above === undefined ? ensureChroot : ensureOnce(above)
            reply = parents.code === Code.OK ? yield* one : parents
          }
          return reply.code === Code.OK ? reply.session : yield* failure(path, reply)
        }),
        data
      )
    })

  const ensure: Operations["ensure"] = (path) =>
    within(
      path,
      Effect.flatMap(ensureOnce(path), (reply) =>
        reply.code === Code.OK ? Effect.void : Effect.fail(failure(path, reply))
      )
    )

  const set: Operations["set"] = (path, data, version = anyVersion) =>
    Effect.suspend(() => {
      let unsure = false
      return within(
        path,
        Effect.gen(function* () {
          const reply = yield* sessions.write<void>(
            (client, done) => client.set(full(path), data, version, done),
            bound
          )
          // Where it was not done, whoever has made this version has done something else.
          if (unsure && version !== anyVersion && (reply.code === Code.BAD_VERSION || reply.code === Code.NO_NODE)) {
            const found = yield* look(path)
            if (isUnsure(found.code)) return yield* failure(path, found)
            if (found.answer?.stat.version !== version + 1) return yield* refused(path, Code.CONNECTION_LOSS)
            if (Bytes.areSame(found.answer.data, data)) return
          }
          if (isUnsure(reply.code)) unsure = true
          if (reply.code !== Code.OK) return yield* failure(path, reply)
        }),
        data,
        version
      )
    })

  const removeOnce = (path: string, version: number) =>
    sessions.write<void>((client, done) => client.remove(full(path), version, done), bound)

  const remove: Operations["remove"] = (path, { data, owner, version = anyVersion } = {}) =>
    Effect.suspend(() => {
      let unsure = false
      /** The transaction that created the node that is to be removed: no other one is, by a repetition. */
      let created: string | undefined
      return within(
        path,
        Effect.gen(function* () {
          // Another server may not know yet of the removal that was perhaps done; after a write it does.
          if (unsure) {
            const written = yield* removeOnce(path, noVersion)
            if (written.code === Code.NO_NODE) return true
            if (written.code !== Code.BAD_VERSION) return yield* failure(path, written)
          }
          const found = yield* look(path)
          if (found.code === Code.NO_NODE) return unsure
          if (found.code !== Code.OK) return yield* failure(path, found)
          const { answer } = found
          const { stat } = answer!
          if (stat.created !== (created ??= stat.created)) return unsure
          if (owner !== undefined && stat.owner !== owner) return unsure
          if (data !== undefined && !Bytes.areSame(answer!.data, data)) return unsure
          const reply = yield* removeOnce(path, version)
          if (reply.code === Code.OK) return true
          if (reply.code === Code.NO_NODE) return unsure
          if (isUnsure(reply.code)) unsure = true
          return yield* failure(path, reply)
        }),
        data,
        version
      )
    })

  return { read, children, create, ensure, set, remove }
}

const refused = (path: string, code: number): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "ZooKeeperRefused", path, code, name: Client.codeName(code) })

const nothing = new Uint8Array()
const anyVersion = -1

/**
 * Of path and data. Servers close the connection, which everybody on the session has, at a request above 1 MiB
 * (jute.maxbuffer): what is beside them in it takes up to 100 bytes.
 */
export const mostBytes = 0xfffff - 100

/** What cannot be asked: told before the client hears of it, to which it would cost the connection. */
const mistakeOf = (path: string, full: string, data: Uint8Array | null, version: number): string | undefined => {
  if (!isPath(path)) return `"${shown(path)}" is no path of a node`
  if (!Number.isInteger(version) || version < anyVersion || version > noVersion)
    return `${shown(path)}: ${version} is no version`
  const bytes = Buffer.byteLength(full) + (data?.length ?? 0)
  return bytes > mostBytes
    ? `${shown(path)}: path and data are ${bytes} bytes, ZooKeeper takes ${mostBytes}`
    : undefined
}

/** As much of a path as an error has room for. */
const shown = (path: string): string => (path.length > 300 ? `${path.slice(0, 300)}…` : path)

/** One that no node has: 2³¹ − 1 changes of its data. */
const noVersion = 0x7fff_ffff

/** The path above, without the root. */
const parent = (path: string): string | undefined => {
  const above = path.slice(0, path.lastIndexOf("/"))
  return above === "" ? undefined : above
}
