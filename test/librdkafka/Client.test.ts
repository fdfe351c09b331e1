/** How librdkafka is loaded and connected, over modules and clients that are played. */
import * as Module from "node:module"
import { assert, describe, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Fiber, Layer, Logger, Redacted, References, Scope } from "effect"
import { TestClock } from "effect/testing"
import type * as Library from "node-rdkafka"
import * as Client from "../../src/librdkafka/Client.ts"
import * as Meter from "../../src/metrics/Meter.ts"
import * as RdError from "../../src/librdkafka/RdError.ts"
import { heard, loud } from "../Heard.ts"

/** Loads node-rdkafka where asking for it does this. */
const loading = (result: () => unknown) =>
  Effect.acquireUseRelease(
    Effect.sync(() => {
      const loader = Module.default as unknown as {
        _load: (request: string, ...rest: ReadonlyArray<unknown>) => unknown
      }
      const original = loader._load
      loader._load = (request, ...rest) =>
        request === "node-rdkafka" ? result() : original.call(loader, request, ...rest)
      return () => void (loader._load = original)
    }),
    () => Client.load,
    (restore) => Effect.sync(restore)
  )

const failing = (message: string, code: string) => () => {
  throw Object.assign(new Error(message), { code })
}

/** A client whose attempts to connect end so, one after the other. */
const played = (answers: ReadonlyArray<Library.RdError | null | "never">) => {
  const timeouts: Array<number> = []
  const tokens: Array<string> = []
  let [made, ended] = [0, 0]
  const client = {
    on: () => {},
    setOauthBearerToken: (token: string) => void tokens.push(token),
    connect: ({ timeout }: { timeout: number }, done: (error: Library.RdError | null) => void) => {
      timeouts.push(timeout)
      const answer = answers[timeouts.length - 1] ?? null
      if (answer !== "never") setImmediate(() => done(answer))
    }
  } as unknown as Library.Client
  return {
    timeouts,
    tokens,
    counts: () => ({ made, ended }),
    options: (more: Partial<Client.Options<Library.Client>> = {}): Client.Options<Library.Client> => ({
      meter: Meter.none,
      make: () => {
        made++
        return client
      },
      bootstrap: "b:9092",
      bootstrapTimeout: 30_000,
      token: undefined,
      tokenTimeout: 10_000,
      end: (_client, done) => {
        ended++
        done()
      },
      ...more
    })
  }
}

/** Time passes, and what answers at once does so. */
const pass = Effect.gen(function* () {
  for (let i = 0; i < 10; i++) {
    yield* Effect.promise(() => new Promise((resolve) => setImmediate(resolve)))
    yield* TestClock.adjust(50)
  }
})

const down: Library.RdError = { code: RdError.codes.TRANSPORT, message: "down" }

describe("node-rdkafka", () => {
  it.effect("that is not installed is Misconfigured, which says what to install", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(loading(failing("Cannot find module 'node-rdkafka'", "MODULE_NOT_FOUND")))
      assert.strictEqual(error.reason._tag, "Misconfigured")
      assert.include(error.message, "is not there")
      assert.include(error.message, "npm install node-rdkafka")
    })
  )

  it.effect("that was built for another Node.js is Misconfigured, which says so", () =>
    Effect.gen(function* () {
      const other = failing(
        "was compiled against a different Node.js version using NODE_MODULE_VERSION 115",
        "ERR_DLOPEN_FAILED"
      )
      const error = yield* Effect.flip(loading(other))
      assert.strictEqual(error.reason._tag, "Misconfigured")
      assert.include(error.message, "built for another Node.js")
    })
  )

  it.effect("that lacks something of its own is not said to be missing", () =>
    Effect.gen(function* () {
      const error = yield* Effect.flip(loading(failing("Cannot find module 'bindings'", "MODULE_NOT_FOUND")))
      assert.include(error.message, "cannot be loaded")
    })
  )
})

describe("a client of librdkafka", () => {
  it.effect("is tried again within the budget, each attempt longer, none left behind", () =>
    Effect.gen(function* () {
      const { counts, options, timeouts } = played([down, down, null])
      const opening = yield* Effect.forkChild(Effect.scoped(Client.open(options())))
      yield* pass
      yield* Fiber.join(opening)
      assert.deepStrictEqual(timeouts, [2000, 4000, 8000])
      // What could not be connected has ended itself.
      assert.deepStrictEqual(counts(), { made: 3, ended: 1 })
    })
  )

  for (const [whose, code] of [
    ["a producer's", RdError.codes.STATE],
    // It was Unreachable, after bootstrapTimeout.
    ["a consumer's", RdError.codes.UNKNOWN]
  ] as const) {
    it.effect(`that cannot be made of its properties is Misconfigured at once: ${whose}`, () =>
      Effect.gen(function* () {
        const { options, timeouts } = played([{ code, message: "a contradicts b" }])
        const opening = yield* Effect.forkChild(Effect.flip(Effect.scoped(Client.open(options()))))
        yield* pass
        const exit = opening.pollUnsafe()
        assert.isDefined(exit, "it is tried again")
        const error = yield* Fiber.join(opening)
        assert.strictEqual(error.reason._tag, "Misconfigured")
        assert.include(error.message, "a contradicts b")
        assert.lengthOf(timeouts, 1)
      })
    )
  }

  it.effect("is Unauthenticated where it was refused, by the mechanism that was (it was told as SASL)", () =>
    Effect.gen(function* () {
      const { options } = played([])
      let tell: (error: Library.RdError) => void = () => {}
      const client = {
        on: (event: string, listener: typeof tell) => {
          if (event === "event.error") tell = listener
        },
        connect: (_: object, done: (error: Library.RdError) => void) => {
          tell({ code: -1, message: "authentication failure" })
          done({ code: RdError.codes.TRANSPORT, message: "broker transport failure" })
        }
      } as unknown as Library.Client
      const opening = Client.open(options({ make: () => client, mechanism: "SCRAM-SHA-512" }))
      const { reason } = yield* Effect.flip(Effect.scoped(opening))
      assert.deepInclude(reason, { _tag: "Unauthenticated", mechanism: "SCRAM-SHA-512", broker: "b:9092" })
    })
  )

  it.effect(
    "is Unauthenticated by its log, too, which alone is told of who has not connected (it was Unreachable)",
    () =>
      Effect.gen(function* () {
        const { options } = played([])
        let tell: (log: object) => void = () => {}
        const client = {
          on: (event: string, listener: typeof tell) => {
            if (event === "event.log") tell = listener
          },
          connect: (_: object, done: (error: Library.RdError) => void) => {
            const at = "sasl_plaintext://b:9092/bootstrap"
            const told = "SASL authentication error: Invalid username or password (after 3ms in state AUTH_REQ)"
            tell({ severity: 3, fac: "FAIL", message: `[thrd:${at}]: ${at}: ${told}` })
            done({ code: RdError.codes.TRANSPORT, message: "broker transport failure" })
          }
        } as unknown as Library.Client
        const opening = Client.open(options({ make: () => client, mechanism: "PLAIN" }))
        const { reason } = yield* Effect.flip(Effect.scoped(opening))
        assert.deepInclude(reason, {
          _tag: "Unauthenticated",
          mechanism: "PLAIN",
          message: "Invalid username or password"
        })
      })
  )

  const handshake = "SASL PLAIN mechanism handshake failed"
  const cut = `${handshake}: Local: Broker transport failure: broker's supported mechanisms: `
  for (const [amid, texts, told] of [
    [
      "authenticating",
      ["SASL authentication error: SaslAuthenticateRequest failed: Local: Broker transport failure"],
      "broker transport failure"
    ],
    ["its handshake", [cut], "authentication failure"],
    [
      "its handshake, and refused then,",
      [cut, "Connect to ipv4#127.0.0.1:9092 failed: Connection refused"],
      "authentication failure"
    ]
  ] as const) {
    it.effect(
      `whose connection is lost amid ${amid} is tried again, since nobody refused it (it was Unauthenticated)`,
      () =>
        Effect.gen(function* () {
          const { options } = played([])
          let attempts = 0
          const make = () => {
            const listeners = new Map<string, (told: object) => void>()
            return {
              on: (event: string, listener: (told: object) => void) => void listeners.set(event, listener),
              connect: (_: object, done: (error: Library.RdError | null) => void) => {
                if (attempts++ > 0) return done(null)
                for (const text of texts)
                  listeners.get("event.log")!({
                    severity: 3,
                    fac: "FAIL",
                    message: `${text} (after 2ms in state AUTH)`
                  })
                listeners.get("event.error")!({ code: -1, message: told })
                done(down)
              }
            } as unknown as Library.Client
          }
          const opening = yield* Effect.forkChild(Effect.scoped(Client.open(options({ make, mechanism: "PLAIN" }))))
          yield* pass
          yield* Fiber.join(opening)
          assert.strictEqual(attempts, 2)
        })
    )
  }

  it.effect("is Unauthenticated where a mechanism is refused behind a connection that was lost, and says why", () =>
    Effect.gen(function* () {
      const { options } = played([])
      const listeners = new Map<string, (told: object) => void>()
      const client = {
        on: (event: string, listener: (told: object) => void) => void listeners.set(event, listener),
        connect: (_: object, done: (error: Library.RdError | null) => void) => {
          for (const text of [
            cut,
            `${handshake}: Broker: Unsupported SASL mechanism: broker's supported mechanisms: X`
          ]) {
            const at = "sasl_plaintext://b:9092/bootstrap"
            const message = `[thrd:${at}]: ${at}: ${text} (after 2ms in state AUTH_HANDSHAKE)`
            listeners.get("event.log")!({ severity: 3, fac: "FAIL", message })
          }
          listeners.get("event.error")!({ code: -1, message: "authentication failure" })
          done(down)
        }
      } as unknown as Library.Client
      const opening = Client.open(options({ make: () => client, mechanism: "PLAIN" }))
      const { reason } = yield* Effect.flip(Effect.scoped(opening))
      const message = "Unsupported SASL mechanism: broker's supported mechanisms: X"
      assert.deepInclude(reason, { _tag: "Unauthenticated", mechanism: "PLAIN", message })
    })
  )

  it.effect("has its log lines logged by Effect, at the levels that syslog's are", () =>
    Effect.gen(function* () {
      const logged: Array<readonly [string, unknown]> = []
      const { options } = played([])
      const client = {
        on: (event: string, listener: (log: object) => void) => {
          if (event === "event.log")
            for (const severity of [0, 2, 3, 4, 5, 6, 7]) listener({ severity, fac: "FAC", message: `${severity}` })
        },
        connect: (_: object, done: (error: null) => void) => setImmediate(() => done(null))
      } as unknown as Library.Client
      const logger = Logger.make(({ logLevel, message }) => void logged.push([logLevel, message]))
      const levels = Layer.merge(Logger.layer([logger]), Layer.succeed(References.MinimumLogLevel, "All"))
      yield* Effect.provide(Effect.scoped(Client.open(options({ make: () => client }))), levels)
      assert.deepStrictEqual(
        logged.map(([level, message]) => `${level} ${String(message)}`),
        [
          "Error librdkafka FAC: 0",
          "Error librdkafka FAC: 2",
          "Warn librdkafka FAC: 3",
          "Warn librdkafka FAC: 4",
          "Info librdkafka FAC: 5",
          "Debug librdkafka FAC: 6",
          "Debug librdkafka FAC: 7"
        ]
      )
    })
  )

  it.effect("is Unreachable where the budget is spent", () =>
    Effect.gen(function* () {
      const { options } = played([down, down, down])
      const opening = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Client.open(options({ bootstrapTimeout: 150 }))))
      )
      yield* pass
      const error = yield* Fiber.join(opening)
      assert.strictEqual(error.reason._tag, "Unreachable")
    })
  )

  it.effect("has a new token before each one ends, and keeps the old one where none can be had", () =>
    Effect.gen(function* () {
      const { options, tokens } = played([null])
      const jwt = (name: string, exp: number) =>
        `${name}.${Buffer.from(JSON.stringify({ exp })).toString("base64url")}.`
      let asked = 0
      const token = Effect.suspend(() => {
        asked++
        return asked === 2
          ? Effect.fail(new Error("not now"))
          : Effect.succeed(Redacted.make(jwt(`t${asked}`, asked * 100)))
      })
      const scope = yield* Scope.make()
      yield* Scope.provide(Client.open(options({ token })), scope)
      const names = () => tokens.map((one) => one.split(".")[0])
      assert.deepStrictEqual(names(), ["t1"])
      // It ends after 100 s: at four fifths of it.
      yield* TestClock.adjust("79 seconds")
      assert.strictEqual(asked, 1)
      yield* TestClock.adjust("3 seconds")
      assert.deepStrictEqual(names(), ["t1", "t3"])
      yield* Scope.close(scope, Exit.void)
      yield* TestClock.adjust("1 hour")
      assert.strictEqual(asked, 3)
    })
  )

  it.effect("says by doubling that no new token can be had (a warning each second, for as long as it lasted)", () =>
    Effect.gen(function* () {
      const { options } = played([null])
      let asked = 0
      let isDown = true
      const token = Effect.suspend(() =>
        ++asked > 1 && isDown ? Effect.fail(new Error("not now")) : Effect.succeed(Redacted.make("t"))
      )
      yield* Client.open(options({ token }))
      yield* TestClock.adjust("2 hours")
      assert.isAbove(asked, 1000)
      const told = loud().filter(({ text }) => text.startsWith("librdkafka keeps its old token: Unreachable: "))
      assert.isAtLeast(told.length, 10)
      assert.isAtMost(told.length, 14)
      assert.include(told[3]?.text, "(8 so far)")
      isDown = false
      yield* TestClock.adjust("1 minute")
      assert.deepInclude(loud().at(-1), { level: "Info", text: "librdkafka has a new token again" })
    }).pipe(Effect.scoped, heard)
  )

  it.effect("that takes longer to connect than it was told is not waited for beyond the budget", () =>
    Effect.gen(function* () {
      const { options, timeouts } = played(["never"])
      const opening = yield* Effect.forkChild(
        Effect.flip(Effect.scoped(Client.open(options({ bootstrapTimeout: 300 }))))
      )
      yield* pass
      const error = yield* Fiber.join(opening)
      assert.strictEqual(error.reason._tag, "Unreachable")
      assert.deepStrictEqual(timeouts, [300])
    })
  )

  it.effect("that connects after its attempt was given up is ended then (it was kept beside the one in use)", () =>
    Effect.gen(function* () {
      const { counts, options } = played(["never"])
      const connected: Array<(error: null) => void> = []
      const made = options().make()
      const { connect } = made
      made.connect = (how, done) => {
        connected.push(done)
        connect.call(made, how, done)
      }
      const scope = yield* Scope.make()
      const opening = yield* Effect.forkChild(Scope.provide(Client.open(options()), scope))
      yield* TestClock.adjust("3 seconds")
      yield* pass
      yield* Fiber.join(opening)
      assert.lengthOf(connected, 2)
      assert.strictEqual(counts().ended, 0)
      connected[0]!(null)
      assert.strictEqual(counts().ended, 1)
      yield* Scope.close(scope, Exit.void)
      assert.strictEqual(counts().ended, 2)
    })
  )

  it.effect("that is left while it connects is not waited for, and ended when it has", () =>
    Effect.gen(function* () {
      const { counts, options } = played(["never"])
      let connected: (error: null) => void = () => {}
      const made = options().make()
      const { connect } = made
      made.connect = (how, done) => {
        connected = done
        connect.call(made, how, done)
      }
      const opening = yield* Effect.forkChild(Effect.scoped(Client.open(options())))
      yield* pass
      yield* Fiber.interrupt(opening)
      assert.strictEqual(counts().ended, 0)
      connected(null)
      assert.strictEqual(counts().ended, 1)
    })
  )

  for (const [what, token] of [
    ["never comes", Effect.never],
    ["fails with a secret", Effect.fail("S3cr3t")],
    ["dies", Effect.die(new Error("S3cr3t"))],
    ["is interrupted", Effect.interrupt],
    ["is empty", Effect.succeed(Redacted.make(""))]
  ] as const) {
    it.effect(`whose first token ${what} is Unreachable within the budget, and tells nothing of it`, () =>
      Effect.gen(function* () {
        const { options } = played([null])
        const given = options({ token, tokenTimeout: 100, bootstrapTimeout: 300 })
        const fake = given.make()
        fake.setOauthBearerToken = (text) => {
          if (text === "") throw new Error("empty")
        }
        const opening = yield* Effect.forkChild(Effect.flip(Effect.scoped(Client.open(given))))
        yield* pass
        yield* pass
        const error = yield* Fiber.join(opening)
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.notInclude(error.message + JSON.stringify(error.reason), "S3cr3t")
      })
    )
  }

  for (const [what, second] of [
    ["dies", Effect.die(new Error("x"))],
    ["never comes", Effect.never],
    ["is interrupted", Effect.interrupt]
  ] as const) {
    it.effect(`asks again where a new token ${what}`, () =>
      Effect.gen(function* () {
        const { options, tokens } = played([null])
        let asked = 0
        const token = Effect.suspend(() => (++asked === 2 ? second : Effect.succeed(Redacted.make(`t${asked}`))))
        yield* Client.open(options({ token }))
        yield* TestClock.adjust("6 minutes")
        assert.deepStrictEqual(tokens, ["t1", "t3"])
      }).pipe(Effect.scoped)
    )
  }

  it.effect("is ended with its Scope, and waited for no longer than ten seconds", () =>
    Effect.gen(function* () {
      const { options } = played([null])
      const begun = Deferred.makeUnsafe<void>()
      const closing = yield* Effect.forkChild(
        Effect.scoped(Client.open(options({ end: () => Deferred.doneUnsafe(begun, Exit.void) })))
      )
      yield* Deferred.await(begun)
      yield* TestClock.adjust("9 seconds")
      assert.isUndefined(closing.pollUnsafe())
      yield* TestClock.adjust("2 seconds")
      yield* Fiber.join(closing)
    })
  )
})
