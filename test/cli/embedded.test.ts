import { assert, it } from "@effect/vitest"
import { Deferred, Effect, Exit, Layer, Redacted, Schema, Stream } from "effect"
import { spawn } from "node:child_process"
import * as fs from "node:fs"
import * as net from "node:net"
import * as os from "node:os"
import * as path from "node:path"
import { Admin, Cluster, Consumer, Kafka, Producer, Topic } from "samsa"
import { certificates } from "../network/Certificates.ts"

const main = path.join(import.meta.dirname, "../../src/cli/main.ts")

/** Runs `samsa`; gives what it prints, how it ends, and how to end it. */
const samsa = (...args: ReadonlyArray<string>) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [main, ...args], { stdio: ["ignore", "pipe", "pipe"] })
      let output = ""
      const listeners = new Set<() => void>()
      const heard = (chunk: Buffer) => {
        output += chunk
        for (const run of listeners) run()
      }
      child.stdout.on("data", heard)
      child.stderr.on("data", heard)
      child.on("close", () => {
        for (const run of listeners) run()
      })
      const ended = () => child.exitCode !== null || child.signalCode !== null
      return {
        output: () => output,
        kill: (signal: NodeJS.Signals) => Effect.sync(() => child.kill(signal)),
        /** The addresses, once it listens. */
        bootstrap: Effect.callback<ReadonlyArray<string>, string>((resume) => {
          const look = () => {
            const found = /listens on (\S+)\n/.exec(output)
            if (found === null && !ended()) return
            listeners.delete(look)
            resume(found === null ? Effect.fail(output) : Effect.succeed(found[1]!.split(",")))
          }
          listeners.add(look)
          look()
        }),
        exitCode: Effect.callback<number | null>((resume) => {
          if (ended()) return resume(Effect.succeed(child.exitCode))
          child.on("close", (code) => resume(Effect.succeed(code)))
        })
      }
    }),
    ({ kill }) => kill("SIGKILL")
  )

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })

for (const signal of ["SIGINT", "SIGTERM"] as const) {
  it.live(
    `samsa embedded serves the topics and brokers it was asked for, and ends cleanly on ${signal}`,
    () =>
      Effect.gen(function* () {
        const process = yield* samsa(
          "embedded",
          "--port",
          "0",
          "--brokers",
          "2",
          "-t",
          "orders:6",
          "--as-version",
          "4.4"
        )
        const bootstrap = yield* process.bootstrap
        assert.lengthOf(bootstrap, 2)
        const read = yield* Effect.gen(function* () {
          const producer = yield* Producer.Producer
          yield* producer.sendAll(orders, [
            { key: "a", value: "1", partition: 0 },
            { key: "b", value: "2", partition: 5 }
          ])
          const cluster = yield* Cluster.Cluster
          assert.lengthOf((yield* cluster.topic("orders")).partitions, 6)
          const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
          return (yield* Stream.runCollect(consumer.stream)).map(({ key, value }) => key + value)
        }).pipe(
          Effect.scoped,
          Effect.provide(Layer.provideMerge(Producer.layer(), Layer.fresh(Kafka.layer({ bootstrap }))))
        )
        assert.deepStrictEqual([...read].sort(), ["a1", "b2"])
        yield* process.kill(signal)
        assert.strictEqual(yield* process.exitCode, 0)
        assert.notMatch(process.output(), /error/i)
      }).pipe(Effect.scoped),
    30_000
  )
}

it.live(
  "samsa embedded says what is wrong with its flags, and exits with 2 (it was 1 where a topic cannot be)",
  () =>
    Effect.gen(function* () {
      const wrong: ReadonlyArray<readonly [flags: ReadonlyArray<string>, message: RegExp]> = [
        [["--port", "70000"], /--port must be from 0 to 65535, not 70000/],
        [["--port", "65535", "--brokers", "2"], /2 brokers from port 65535 on need ports up to 65536/],
        [["--topic", "orders:0"], /--topic must be NAME, NAME:PARTITIONS or NAME:PARTITIONS:REPLICAS, not "orders:0"/],
        [["--topic", "orders:1:3", "--port", "0"], /too few brokers/],
        [["--topic", "a b", "--port", "0"], /"a b" cannot be created: its name is not legal/],
        [["--as-version", "9.9"], /"9\.9"/],
        [["--tls-key", "key.pem"], /--tls-key and --tls-cert go together/],
        [["--tls-key", "/no/such", "--tls-cert", "/no/such"], /ENOENT/],
        [["--min-session-timeout", "-1"], /--min-session-timeout must be from 0/],
        [["--nope"], /--nope/]
      ]
      yield* Effect.forEach(
        wrong,
        ([flags, message]) =>
          Effect.gen(function* () {
            const process = yield* samsa("embedded", ...flags)
            const code = yield* process.exitCode
            assert.match(process.output(), message)
            assert.strictEqual(code, 2, `${message}`)
          }),
        { concurrency: 2 }
      )
    }).pipe(Effect.scoped),
  60_000
)

it.live(
  "samsa embedded speaks TLS, lets users in and takes sessions as its flags say",
  () =>
    Effect.gen(function* () {
      const folder = fs.mkdtempSync(path.join(os.tmpdir(), "samsa-embedded-"))
      const [key, cert] = [path.join(folder, "key.pem"), path.join(folder, "cert.pem")]
      fs.writeFileSync(key, certificates.serverKey)
      fs.writeFileSync(cert, certificates.serverCert)
      const flags =
        `--port 0 --topic orders --tls-key ${key} --tls-cert ${cert} --user root:secret --super-user User:root` +
        ` --min-session-timeout 100 --max-session-timeout 500 --initial-rebalance-delay 1 --rack a`
      const process = yield* samsa("embedded", ...flags.split(" "))
      const kafka = Kafka.layer({
        bootstrap: yield* process.bootstrap,
        tls: { ca: certificates.ca },
        sasl: { mechanism: "SCRAM-SHA-512", username: "root", password: Redacted.make("secret") }
      })
      const config = yield* Effect.gen(function* () {
        const admin = yield* Admin.Admin
        assert.deepStrictEqual((yield* admin.describeCluster()).brokers[0]?.rack, "a")
        yield* Admin.orFail(
          admin.createAcls([{ resource: "topic", name: "orders", principal: "User:x", operation: "read" }])
        )
        return yield* Admin.orFail(admin.describeConfigs([{ type: "broker", name: "1" }]))
      }).pipe(Effect.provide(Layer.provideMerge(Admin.layer(), Layer.fresh(kafka))))
      const valueOf = (name: string) => config[0]!.entries.find((one) => one.name === name)?.value
      assert.deepStrictEqual(
        ["group.min.session.timeout.ms", "group.max.session.timeout.ms", "group.initial.rebalance.delay.ms"].map(
          valueOf
        ),
        ["100", "500", "1"]
      )
    }).pipe(Effect.scoped),
  30_000
)

it.live(
  "samsa embedded says which port is taken, and exits with 1",
  () =>
    Effect.gen(function* () {
      const port = yield* Effect.acquireRelease(
        Effect.callback<net.Server>((resume) => {
          const server = net.createServer()
          server.listen(0, "127.0.0.1", () => resume(Effect.succeed(server)))
        }),
        (server) => Effect.sync(() => server.close())
      ).pipe(Effect.map((server) => (server.address() as net.AddressInfo).port))
      const process = yield* samsa("embedded", "--port", `${port}`)
      const code = yield* process.exitCode
      assert.match(process.output(), new RegExp(`port ${port} cannot be listened on: .*EADDRINUSE`))
      assert.strictEqual(code, 1)
    }).pipe(Effect.scoped),
  30_000
)

it.live(
  "samsa embedded ends when npx, which started it, has gone",
  () =>
    Effect.gen(function* () {
      // As npx does: a shell between, and nothing that is told when npx is killed.
      const script = `process.env.npm_command = "exec"
        require("child_process").spawn("sh", ["-c", \`"${process.execPath}" "${main}" embedded --port 0; true\`], { stdio: "inherit" })`
      const npx = spawn(process.execPath, ["-e", script], { stdio: ["ignore", "pipe", "pipe"] })
      yield* Effect.addFinalizer(() => Effect.sync(() => npx.kill("SIGKILL")))
      const listens = Deferred.makeUnsafe<void>()
      npx.stdout.on("data", (chunk: Buffer) => {
        if (`${chunk}`.includes("listens on")) Deferred.doneUnsafe(listens, Exit.void)
      })
      const ended = Deferred.makeUnsafe<void>()
      // The pipe is open for as long as any process has it.
      npx.stdout.on("close", () => Deferred.doneUnsafe(ended, Exit.void))
      yield* Deferred.await(listens)
      npx.kill("SIGKILL")
      yield* Deferred.await(ended)
    }).pipe(Effect.scoped),
  30_000
)
