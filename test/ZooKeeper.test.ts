/** What a client of ZooKeeper meets that is none. With a real one: `test/integration/zookeeper-bootstrap.test.ts`. */
import { assert, describe, it } from "@effect/vitest"
import { Config, ConfigProvider, Effect, Fiber, Layer, Random, Stream } from "effect"
import * as Net from "node:net"
import library from "node-zookeeper-client"
import type * as KafkaError from "../src/KafkaError.ts"
import * as ZooKeeper from "../src/ZooKeeper.ts"

const serve = (behave: (socket: Net.Socket) => void) =>
  Effect.acquireRelease(
    Effect.callback<{ readonly port: number; readonly sockets: Set<Net.Socket>; readonly server: Net.Server }>(
      (resume) => {
        const sockets = new Set<Net.Socket>()
        const server = Net.createServer((socket) => {
          sockets.add(socket)
          socket.on("error", () => {})
          socket.on("close", () => sockets.delete(socket))
          behave(socket)
        })
        server.listen(0, "127.0.0.1", () =>
          resume(Effect.succeed({ port: (server.address() as Net.AddressInfo).port, sockets, server }))
        )
      }
    ),
    ({ server, sockets }) =>
      Effect.callback<void>((resume) => {
        for (const socket of sockets) socket.destroy()
        server.close(() => resume(Effect.void))
      })
  )

const frame = (body: ReadonlyArray<number>) => {
  const bytes = Buffer.alloc(4 + body.length)
  bytes.writeInt32BE(body.length)
  bytes.set(body, 4)
  return bytes
}

/** What a server says to who connects: session 1, of so many milliseconds. */
const session = (millis: number) => {
  const answer = Buffer.alloc(36)
  answer.writeInt32BE(millis, 4)
  answer.writeInt32BE(1, 12)
  answer.writeInt32BE(16, 16)
  return [...answer]
}

/** A server that gives a session, and hands each request after it to `answer`, with its type. */
const serveRequests = (answer: (socket: Net.Socket, request: Buffer, type: number) => void) =>
  serve((socket) => {
    let rest = Buffer.alloc(0)
    let isConnected = false
    socket.on("data", (chunk) => {
      rest = Buffer.concat([rest, chunk])
      while (rest.length >= 4 && rest.length >= 4 + rest.readInt32BE(0)) {
        const request = rest.subarray(4, 4 + rest.readInt32BE(0))
        rest = rest.subarray(4 + request.length)
        if (isConnected) answer(socket, request, request.readInt32BE(4))
        else socket.write(frame(session(60_000)))
        isConnected = true
      }
    })
  })

/** The answer to a request: a code, and nothing besides. */
const coded = (request: Buffer, code: number) => {
  const answer = Buffer.alloc(16)
  answer.writeInt32BE(request.readInt32BE(0), 0)
  answer.writeInt32BE(code, 12)
  return frame([...answer])
}

describe("what is not ZooKeeper", () => {
  const kinds: ReadonlyArray<readonly [what: string, behave: (socket: Net.Socket) => void]> = [
    ["accepts and never answers", (socket) => void socket.resume()],
    ["closes at once", (socket) => void socket.destroy()],
    ["answers HTTP", (socket) => void socket.on("data", () => socket.write("HTTP/1.1 400 Bad Request\r\n\r\n"))],
    ["answers too little", (socket) => void socket.on("data", () => socket.write(frame([1, 2])))],
    ["answers nothing but a size", (socket) => void socket.on("data", () => socket.write(frame([])))],
    [
      "answers noise",
      (socket) => void socket.on("data", () => socket.write(frame(Array.from({ length: 64 }, () => 0xff))))
    ]
  ]
  for (const [what, behave] of kinds) {
    it.live(`${what}: Unreachable, when connectTimeout is spent`, () =>
      Effect.gen(function* () {
        const server = yield* serve(behave)
        const started = performance.now()
        const error = yield* Effect.flip(
          Effect.scoped(ZooKeeper.make({ connect: `127.0.0.1:${server.port}`, connectTimeout: "300 millis" }))
        )
        assert.strictEqual(error.reason._tag, "Unreachable")
        assert.include(error.message, `127.0.0.1:${server.port}`)
        assert.isBelow(performance.now() - started, 2000)
        for (let i = 0; i < 20 && server.sockets.size > 0; i++) yield* Effect.sleep(10)
        assert.strictEqual(server.sockets.size, 0)
      }).pipe(Effect.scoped)
    )
  }

  it.live("listens nowhere: says so, and what to look at (it said only that there was no session)", () =>
    Effect.gen(function* () {
      const { port } = yield* Effect.scoped(serve(() => {}))
      const connecting = ZooKeeper.make({ connect: `127.0.0.1:${port}`, connectTimeout: "300 millis" })
      const { message } = yield* Effect.flip(connecting)
      assert.include(message, `127.0.0.1:${port} (ECONNREFUSED; no session within the connectTimeout of 300 ms)`)
      assert.include(message, "is ZooKeeper up, and the address right (that in connect)?")
    }).pipe(Effect.scoped)
  )

  it.live("answers a session, and then noise: what was asked fails typed", () =>
    Effect.gen(function* () {
      const server = yield* serve((socket) => {
        let asked = 0
        socket.on("data", () => socket.write(frame(asked++ === 0 ? session(6000) : [0xff, 0xff])))
      })
      const zooKeeper = yield* ZooKeeper.make({ connect: `127.0.0.1:${server.port}`, requestTimeout: "300 millis" })
      const error = yield* Effect.flip(zooKeeper.children("/brokers/ids"))
      assert.include(["Unreachable", "TimedOut"], error.reason._tag)
    }).pipe(Effect.scoped)
  )
})

it.live("a code that the library does not know is said, and costs nobody the connection (zk-16)", () =>
  Effect.gen(function* () {
    const [create, set] = [1, 5]
    let throttled = 0
    let connections = 0
    const server = yield* serveRequests((socket, request, type) => {
      // no node; beyond its quota; throttled twice
      socket.write(coded(request, type === create ? -125 : type === set && throttled++ < 2 ? -127 : -101))
    })
    server.server.on("connection", () => connections++)
    const zooKeeper = yield* ZooKeeper.make({ connect: `127.0.0.1:${server.port}` })
    const asked = Effect.all(
      [zooKeeper.read("/a"), Effect.flip(zooKeeper.create("/a/b", Buffer.from(""))), zooKeeper.read("/a")],
      {
        concurrency: "unbounded"
      }
    )
    const [before, error, after] = yield* asked
    assert.deepStrictEqual([before, after], [undefined, undefined])
    assert.deepInclude(error.reason, { _tag: "ZooKeeperRefused", path: "/a/b", code: -125, name: "QUOTA_EXCEEDED" })
    const { reason } = yield* Effect.flip(zooKeeper.set("/a", Buffer.from("")))
    assert.deepInclude(reason, { name: "NO_NODE" })
    assert.strictEqual(throttled, 3)
    assert.strictEqual(connections, 1)
  }).pipe(Effect.scoped)
)

it.live("a server that accepts and says nothing is left for the next one (zk-15)", () =>
  Effect.gen(function* () {
    const silent = yield* serve((socket) => void socket.resume())
    const talks = yield* serve((socket) => void socket.once("data", () => socket.write(frame(session(1500)))))
    const connect = `127.0.0.1:${silent.port},127.0.0.1:${talks.port}`
    const options = { connect, sessionTimeout: "300 millis", connectTimeout: "15 seconds" } as const
    // It begins with the first, and with the second, which closes the connection then.
    for (const random of [0, 0.9]) {
      const fixed = { nextDoubleUnsafe: () => random, nextIntUnsafe: () => 0 }
      const zooKeeper = yield* Effect.provideService(ZooKeeper.make(options), Random.Random, fixed)
      const again = yield* Effect.forkChild(
        zooKeeper.states.pipe(
          Stream.filter((state) => state._tag === "Connected"),
          Stream.take(2),
          Stream.runCollect
        ),
        { startImmediately: true }
      )
      for (const socket of talks.sockets) socket.destroy()
      const states = yield* Fiber.join(again)
      assert.deepStrictEqual(
        states.map((state) => "session" in state && state.session),
        ["0000000000000001", "0000000000000001"]
      )
    }
  }).pipe(Effect.scoped)
)

it.live("a server that says nothing has its turn and no more, also where the session is to be long (zk-19)", () =>
  Effect.gen(function* () {
    const silent = yield* serve((socket) => void socket.resume())
    const talks = yield* serve((socket) => void socket.once("data", () => socket.write(frame(session(20_000)))))
    const connect = `127.0.0.1:${silent.port},127.0.0.1:${talks.port}`
    const options = { connect, sessionTimeout: "10 minutes", connectTimeout: "5 seconds" } as const
    const first = { nextDoubleUnsafe: () => 0, nextIntUnsafe: () => 0 }
    const zooKeeper = yield* Effect.provideService(ZooKeeper.make(options), Random.Random, first)
    assert.strictEqual(zooKeeper.sessionTimeout(), 20_000)
  }).pipe(Effect.scoped)
)

it.live("watches are asked for again in requests that servers take, however many there are (zk-20)", () =>
  Effect.gen(function* () {
    const setWatches = 101
    const longest = Array<number>()
    const asked: Array<string> = []
    const server = yield* serveRequests((socket, request, type) => {
      if (type === setWatches) {
        longest.push(request.length)
        asked.push(...(request.toString("latin1").match(/\/a-+\d+/g) ?? []))
      }
      socket.write(coded(request, type === setWatches ? 0 : -101))
    })
    const zooKeeper = yield* ZooKeeper.make({ connect: `127.0.0.1:${server.port}` })
    const paths = Array.from({ length: 3000 }, (_, i) => `/a${"-".repeat(100)}${i}`)
    yield* Effect.forEach(paths, (path) => zooKeeper.read(path, () => {}), { concurrency: 100, discard: true })
    for (const socket of server.sockets) socket.destroy()
    yield* zooKeeper.read("/b")
    assert.deepStrictEqual([...asked].sort(), [...paths].sort())
    assert.isAbove(longest.length, 1)
    assert.isBelow(Math.max(...longest), 130 * 1024)
  }).pipe(Effect.scoped)
)

it.live("what is watched is asked for a thousand at a time: heartbeats have their turn in between (zk-21)", () =>
  Effect.gen(function* () {
    const [getData, getChildren] = [4, 12]
    let reads = 0
    const server = yield* serveRequests((socket, _, type) => {
      if (type === getData) reads++
      else if (type === getChildren) socket.destroy()
    })
    const zooKeeper = yield* ZooKeeper.make({ connect: `127.0.0.1:${server.port}` })
    for (let i = 0; i < 1500; i++) yield* Effect.forkScoped(Stream.runDrain(zooKeeper.watch(`/a/${i}`)))
    // It is sent behind them.
    yield* Effect.forkScoped(Effect.ignore(zooKeeper.children("/a")))
    yield* Stream.runDrain(Stream.takeUntil(zooKeeper.states, ({ _tag }) => _tag === "Suspended"))
    assert.strictEqual(reads, 1000)
  }).pipe(Effect.scoped)
)

it.live("requests are counted as far as the wire takes, and from the beginning again (zk-26)", () =>
  Effect.gen(function* () {
    const getData = 4
    const xids: Array<number> = []
    const server = yield* serveRequests((socket, request, type) => {
      if (type === getData) xids.push(request.readInt32BE(0))
      socket.write(coded(request, -101))
    })
    const own = library as { -readonly [K in keyof typeof library]: (typeof library)[K] }
    const { createClient } = library
    yield* Effect.acquireRelease(
      Effect.sync(() => {
        own.createClient = (...given) => {
          const client = createClient(...given)
          client.connectionManager.xid = 2 ** 31 - 3
          return client
        }
      }),
      () => Effect.sync(() => void (own.createClient = createClient))
    )
    const zooKeeper = yield* ZooKeeper.make({ connect: `127.0.0.1:${server.port}` })
    for (let i = 0; i < 5; i++) assert.isUndefined(yield* zooKeeper.read("/a"))
    assert.isAbove(Math.max(...xids), 2 ** 31 - 4)
    assert.isBelow(xids.at(-1)!, 10)
  }).pipe(Effect.scoped)
)

it.effect("a connection string says where it is wrong, before anything is connected", () =>
  Effect.gen(function* () {
    const error = yield* Effect.flip(
      Effect.scoped(ZooKeeper.make({ connect: "zk1:port,,[::1]/a//b", sessionTimeout: -1 }))
    )
    assert.deepStrictEqual(error.reason._tag === "Misconfigured" ? error.reason.mistakes : [], [
      'connect: "/a//b" is no path of a node',
      'connect: "zk1:port" is not host:port',
      'connect: "" is not host:port',
      "sessionTimeout must be more than 0, not -1"
    ])
  })
)

it.live("layerConfig reads ZOOKEEPER_CONNECT, and whatever Config it is given", () =>
  Effect.gen(function* () {
    const reasonOf = (layer: Layer.Layer<ZooKeeper.ZooKeeper, KafkaError.KafkaError | Config.ConfigError>) =>
      Layer.build(layer).pipe(
        Effect.scoped,
        Effect.flip,
        Effect.map((error) => (error._tag === "KafkaError" ? error.reason : error)),
        Effect.provide(
          ConfigProvider.layer(ConfigProvider.fromEnvRecord({ ZOOKEEPER_CONNECT: "zk1:port", ZK: "127.0.0.1:1" }))
        )
      )
    const told = yield* reasonOf(ZooKeeper.layerConfig())
    assert.deepStrictEqual(told._tag === "Misconfigured" ? told.mistakes : told, [
      'connect: "zk1:port" is not host:port'
    ])
    const connectTimeout = Config.succeed("50 millis" as const)
    const away = yield* reasonOf(ZooKeeper.layerConfig({ connect: Config.String("ZK"), connectTimeout }))
    assert.strictEqual(away._tag, "Unreachable")
    assert.strictEqual((yield* reasonOf(ZooKeeper.layerConfig({ connect: Config.String("NONE") })))._tag, "ConfigError")
  })
)

describe("settings of ZooKeeper", () => {
  const mistakesOf = (options: object) =>
    Effect.map(
      Effect.flip(
        Effect.scoped(ZooKeeper.make({ connectTimeout: "1 millis", ...options } as unknown as ZooKeeper.Options))
      ),
      ({ reason }) => (reason._tag === "Misconfigured" ? reason.mistakes : [`${reason._tag}`])
    )

  it.live("that cannot be are told at once, without what may be a password", () =>
    Effect.gen(function* () {
      const connect = "127.0.0.1:1"
      const wrong: ReadonlyArray<object> = [
        { connect: "127.0.0.1:1/\ue000" },
        { connect: "127.0.0.1:1/a\0" },
        { connect: "127.0.0.1:1/a/../b" },
        { connect: undefined },
        { connect: null },
        { connect: 5 },
        { connect, acl: "x" },
        { connect, acl: "creator" },
        { connect, foo: 1 },
        { connect, auth: {} },
        { connect, auth: null },
        { connect, auth: { scheme: "digest", credentials: "u:p" } }
      ]
      for (const options of wrong) {
        const mistakes = yield* mistakesOf(options)
        assert.lengthOf(mistakes, 1, JSON.stringify(options))
        assert.notInclude(["Unreachable", "TimedOut"], mistakes[0], JSON.stringify(options))
      }
      // Credentials in the place of what has them (`auth` was printed).
      for (const options of [{ connect: "u:S3cr3t@zk:1" }, { connect, auth: "digest:u:S3cr3t" }]) {
        const mistakes = yield* mistakesOf(options)
        assert.lengthOf(mistakes, 1)
        assert.notInclude(mistakes.join(), "S3cr3t")
      }
      assert.deepStrictEqual(yield* mistakesOf({ connect: `${connect}/a b` }), ["Unreachable"])
    })
  )
})
