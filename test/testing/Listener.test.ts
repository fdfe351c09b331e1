import { assert, describe, it } from "@effect/vitest"
import { Effect, Exit, Scope } from "effect"
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Os from "node:os"
import * as Path from "node:path"
import * as Tls from "node:tls"
import * as Frame from "../../src/protocol/Frame.ts"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"

const request = Buffer.concat(Frame.encodeRequest(ApiVersions.Request, 0, { correlationId: 7, clientId: null }, {}))

/** Writes to a socket, and gives the correlation id of the first frame that comes; undefined where it ends instead. */
const exchange = (socket: Net.Socket, ...pieces: ReadonlyArray<Uint8Array>) =>
  Effect.callback<number | undefined>((resume) => {
    socket.once("data", (chunk: Buffer) => resume(Effect.succeed(chunk.readInt32BE(4))))
    socket.once("close", () => resume(Effect.succeed(undefined)))
    socket.on("error", () => {})
    for (const piece of pieces) socket.write(piece)
    return Effect.sync(() => socket.destroy())
  }).pipe(Effect.ensuring(Effect.sync(() => socket.destroy())))

const portOf = (address: string) => Number(address.split(":")[1])

describe("the embedded broker on TCP", () => {
  it.live("has a port for each broker, which is closed while the broker is stopped", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true, brokers: 2 })
      const ports = broker.bootstrap.map(portOf)
      assert.strictEqual(new Set(ports).size, 2)
      for (const port of ports) assert.strictEqual(yield* exchange(Net.connect(port, "127.0.0.1"), request), 7)
      yield* broker.stop(2)
      assert.isUndefined(yield* exchange(Net.connect(ports[1]!, "127.0.0.1"), request))
      assert.strictEqual(yield* exchange(Net.connect(ports[0]!, "127.0.0.1"), request), 7)
      yield* broker.start(2)
      assert.strictEqual(yield* exchange(Net.connect(ports[1]!, "127.0.0.1"), request), 7)
    })
  )

  it.live("takes requests in any pieces", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true })
      const socket = Net.connect(portOf(broker.bootstrap[0]!), "127.0.0.1")
      socket.setNoDelay(true)
      const bytes = Array.from(request, (byte) => Uint8Array.from([byte]))
      assert.strictEqual(yield* exchange(socket, ...bytes), 7)
    })
  )

  it.live("reads no more than has come behind a request that is held", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.make({ listen: true, topics: ["t"] })
      const socket = Net.connect(portOf(broker.bootstrap[0]!), "127.0.0.1")
      yield* Effect.addFinalizer(() => Effect.sync(() => socket.destroy()))
      const answers: Array<number> = []
      const splitter = Frame.makeSplitter({
        maxFrameBytes: 1e8,
        onFrame: (frame) => answers.push(Frame.readCorrelationId(frame))
      })
      const held = Frame.encodeRequest(
        Fetch.Request,
        11,
        { correlationId: 1, clientId: null },
        {
          maxWaitMs: 1500,
          minBytes: 1_000_000,
          topics: [{ topic: "t", partitions: [{ partition: 0, partitionMaxBytes: 1000 }] }]
        }
      )
      const large = Buffer.concat(
        Frame.encodeRequest(ApiVersions.Request, 0, { correlationId: 2, clientId: "x".repeat(30_000) }, {})
      )
      socket.write(Buffer.concat(held))
      // Twice what the system's buffers take.
      const count = 800
      for (let i = 0; i < count; i++) socket.write(large)
      socket.on("data", (chunk: Buffer) => splitter.push(chunk))
      while (answers.length === 0) {
        yield* Effect.sleep(100)
        if (answers.length === 0) assert.isAbove(socket.writableLength, large.length * 200)
      }
      while (answers.length < count + 1) yield* Effect.sleep(20)
      assert.strictEqual(answers[0], 1)
    }).pipe(Effect.scoped)
  )

  it.live("fails typed where the port cannot be", () =>
    Effect.gen(function* () {
      for (const listen of [70_000, 65_535.5]) {
        const error = yield* Effect.flip(EmbeddedKafka.make({ listen }))
        assert.strictEqual(error.reason._tag, "Misconfigured")
      }
    }).pipe(Effect.scoped)
  )

  it.live("fails typed where the port is taken", () =>
    Effect.gen(function* () {
      const first = yield* EmbeddedKafka.make({ listen: true })
      const taken = portOf(first.bootstrap[0]!)
      const error = yield* Effect.flip(EmbeddedKafka.make({ listen: taken }))
      assert.strictEqual(error.reason._tag, "Misconfigured")
    })
  )

  it.live("leaves nothing open when its Scope closes, whatever its clients do", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const broker = yield* Scope.provide(EmbeddedKafka.make({ listen: true, topics: ["t"] }), scope)
      const port = portOf(broker.bootstrap[0]!)
      const silent = Net.connect(port, "127.0.0.1")
      silent.on("error", () => {})
      const polling = Net.connect(port, "127.0.0.1")
      polling.on("error", () => {})
      // who asks and never reads
      polling.pause()
      polling.write(
        Buffer.concat(
          Frame.encodeRequest(
            Fetch.Request,
            4,
            { correlationId: 1, clientId: null },
            {
              maxWaitMs: 60_000,
              minBytes: 1,
              topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 1 }] }]
            }
          )
        )
      )
      yield* Effect.sleep(50)
      yield* Scope.close(scope, Exit.void)
      assert.isUndefined(yield* exchange(Net.connect(port, "127.0.0.1"), request))
      silent.destroy()
      polling.destroy()
    })
  )

  it.live("speaks TLS where it is given a key and a certificate", () =>
    Effect.gen(function* () {
      const folder = Fs.mkdtempSync(Path.join(Os.tmpdir(), "samsa-tls-"))
      yield* Effect.addFinalizer(() => Effect.sync(() => Fs.rmSync(folder, { recursive: true })))
      execFileSync(
        "openssl",
        "req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost -keyout key -out cert".split(
          " "
        ),
        { cwd: folder, stdio: "ignore" }
      )
      const [key, cert] = ["key", "cert"].map((name) => Fs.readFileSync(Path.join(folder, name), "utf8"))
      const broker = yield* EmbeddedKafka.make({ listen: true, tls: { key: key!, cert: cert! } })
      const port = portOf(broker.bootstrap[0]!)
      const socket = Tls.connect({ port, host: "127.0.0.1", servername: "localhost", ca: cert! })
      assert.strictEqual(yield* exchange(socket, request), 7)
      // plaintext to it is shown out, by an alert or by the end alone
      assert.notStrictEqual(yield* exchange(Net.connect(port, "127.0.0.1"), request), 7)
      const bad = yield* Effect.flip(EmbeddedKafka.make({ listen: true, tls: { key: "no", cert: "no" } }))
      assert.strictEqual(bad.reason._tag, "Misconfigured")
    })
  )
})
