/** The packed tarball, used as an application would: imported by JavaScript, and type-checked by TypeScript. */
import { execFileSync } from "node:child_process"
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import * as Links from "../reference/links.ts"
import { afterAll, assert, beforeAll, describe, it } from "vitest"

const root = fileURLToPath(new URL("../..", import.meta.url))
const app = Fs.mkdtempSync(Path.join(Os.tmpdir(), "samsa-app-"))

const run = (command: string, args: ReadonlyArray<string>, cwd: string): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] })
  } catch (error) {
    const { stdout, stderr } = error as { readonly stdout: string; readonly stderr: string }
    throw new Error(`${command} ${args.join(" ")}\n${stdout}\n${stderr}`, { cause: error })
  }
}
const write = (name: string, text: string): void => Fs.writeFileSync(Path.join(app, name), text)
const node = (file: string): string => run(process.execPath, [file], app)

/** What an `npm install` of the tarball would put there, without the network. */
const install = (): ReadonlyArray<string> => {
  run("npm", ["run", "prepack"], root)
  const [packed] = JSON.parse(run("npm", ["pack", "--json", "--ignore-scripts", "--pack-destination", app], root)) as [
    { readonly filename: string; readonly files: ReadonlyArray<{ readonly path: string }> }
  ]
  const modules = Path.join(app, "node_modules")
  Fs.mkdirSync(Path.join(modules, "samsa"), { recursive: true })
  run("tar", ["xzf", Path.join(app, packed.filename), "--strip-components=1", "-C", Path.join(modules, "samsa")], app)
  const { dependencies } = JSON.parse(Fs.readFileSync(Path.join(modules, "samsa", "package.json"), "utf8")) as {
    readonly dependencies: Readonly<Record<string, string>>
  }
  for (const name of ["effect", "@types/node", "undici-types", ...Object.keys(dependencies)]) {
    if (!Fs.existsSync(Path.join(root, "node_modules", name))) continue
    Fs.mkdirSync(Path.dirname(Path.join(modules, name)), { recursive: true })
    Fs.symlinkSync(Path.join(root, "node_modules", name), Path.join(modules, name))
  }
  write("package.json", JSON.stringify({ name: "app", private: true, type: "module" }))
  return packed.files.map(({ path }) => path)
}

describe("the packed tarball", () => {
  let files: ReadonlyArray<string> = []
  beforeAll(() => {
    files = install()
  })
  afterAll(() => Fs.rmSync(app, { recursive: true, force: true }))

  it("holds what is imported, and no tests", () => {
    for (const file of [
      "package.json",
      "LICENSE",
      "README.md",
      "dist/index.js",
      "dist/index.d.ts",
      "src/index.ts",
      "docs/llms.txt"
    ]) {
      assert.include(files, file)
    }
    assert.deepStrictEqual(
      files.filter((file) => !/^(dist|src|docs)\/|^(package\.json|LICENSE|README\.md)$/.test(file)),
      []
    )
  })

  it("has guides whose links lead to what is in it", () => {
    const modules = Path.join(app, "node_modules", "samsa")
    const guides = files.filter((file) => file.endsWith(".md"))
    assert.isAbove(guides.length, 25)
    assert.deepStrictEqual(Links.dead(modules, guides), [])
  })

  it("is imported by JavaScript, without an engine that nobody asked for", () => {
    write(
      "import.js",
      `import { createRequire } from "node:module"
const zero = performance.now()
const samsa = await import("samsa")
const one = performance.now()
const testing = await import("samsa/testing")
const topic = await import("samsa/Topic")
const loaded = () => Object.keys(createRequire(import.meta.url).cache).filter((file) => /zookeeper|rdkafka/.test(file))
const before = loaded()
await import("node-zookeeper-client")
console.log(JSON.stringify({
  names: Object.keys(samsa), testing: Object.keys(testing), same: topic.make === samsa.Topic.make,
  before, after: loaded().length, millis: Math.round(one - zero)
}))
`
    )
    const { names, testing, same, before, after, millis } = JSON.parse(node("import.js"))
    for (const name of ["Cluster", "Consumer", "Kafka", "KafkaError", "Membership", "Offset", "Producer", "Topic"]) {
      assert.include(names, name)
    }
    for (const name of ["EmbeddedKafka", "Fault", "KafkaTest"]) assert.include(testing, name)
    assert.isTrue(same)
    assert.deepStrictEqual(before, [], "loaded by the import")
    assert.isAbove(after, 0, "the control: it is seen when it is loaded")
    process.stdout.write(`importing samsa took ${millis} ms\n`)
  })

  it("keeps what is internal to itself", () => {
    write(
      "internal.js",
      `const refused = async (name) => { try { await import(name); return false } catch (error) { return error.code } }
const names = ["Backoff", "produce/Accumulator", "protocol/records/Crc32c", "testing/embedded/Produce", "testing/EmbeddedKafka", "zookeeper/Client"]
console.log(JSON.stringify(await Promise.all(names.map((name) => refused("samsa/" + name)))))
`
    )
    assert.deepStrictEqual(JSON.parse(node("internal.js")), Array(6).fill("ERR_PACKAGE_PATH_NOT_EXPORTED"))
  })

  it("runs a program on the embedded broker", () => {
    write(
      "program.js",
      `import { Effect, Layer, Schema, Stream } from "effect"
import { Consumer, Producer, Topic } from "samsa"
import { KafkaTest } from "samsa/testing"

const orders = Topic.make("orders", { key: Schema.String, value: Schema.String })
const program = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  yield* producer.sendAll(orders, [{ key: "a", value: "1" }, { key: "b", value: "2" }])
  const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
  const records = yield* Stream.runCollect(consumer.stream)
  return records.map(({ key, value }) => key + value).sort()
}).pipe(Effect.scoped, Effect.provide(Producer.layer().pipe(Layer.provideMerge(KafkaTest.layer({ topics: [orders] })))))
console.log(JSON.stringify(await Effect.runPromise(program)))
`
    )
    assert.deepStrictEqual(JSON.parse(node("program.js")), ["a1", "b2"])
  })

  it("has the command `samsa`", () => {
    const manifest = JSON.parse(Fs.readFileSync(Path.join(app, "node_modules", "samsa", "package.json"), "utf8")) as {
      readonly version: string
      readonly bin: { readonly samsa: string }
    }
    const bin = Path.join(app, "node_modules", "samsa", manifest.bin.samsa)
    assert.isTrue(Fs.readFileSync(bin, "utf8").startsWith("#!/usr/bin/env node\n"))
    assert.include(run(process.execPath, [bin, "--version"], app), manifest.version)
    assert.include(run(process.execPath, [bin, "embedded", "--help"], app), "--as-version")
  })

  it("loads no platform with the library", () => {
    write(
      "platform.js",
      `import { registerHooks } from "node:module"
const loaded = []
registerHooks({ resolve: (name, context, next) => { if (name.startsWith("@effect/")) loaded.push(name); return next(name, context) } })
await import("samsa")
await import("samsa/testing")
const before = loaded.length
await import("@effect/platform-node/NodeServices")
console.log(JSON.stringify([before, loaded.length > 0]))
`
    )
    assert.deepStrictEqual(JSON.parse(node("platform.js")), [0, true])
  })

  it("type-checks as an application's TypeScript does", () => {
    write(
      "main.ts",
      `import { Effect, Layer, Schema } from "effect"
import { Consumer, Kafka, KafkaError, Producer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as Offset from "samsa/Offset"

class Order extends Schema.Class<Order>("Order")({ id: Schema.String, total: Schema.Int }) {}
const orders = Topic.make("orders", { key: Schema.String, value: Schema.fromJsonString(Order) })

export const program: Effect.Effect<void, KafkaError.KafkaError, Producer.Producer | Kafka.Kafka> = Effect.gen(function* () {
  const producer = yield* Producer.Producer
  const { offset } = yield* producer.send(orders, { key: "o-1", value: new Order({ id: "o-1", total: 42 }) })
  yield* Effect.log(offset satisfies number | undefined)
  const consumer = yield* Consumer.subscribe({ group: "billing", topics: [orders], from: Offset.at(0) })
  yield* consumer.run((record) => Effect.log(record.value.total satisfies number))
  // @ts-expect-error no key
  yield* producer.send(orders, { value: new Order({ id: "o-1", total: 42 }) })
}).pipe(Effect.scoped)

export const live: Effect.Effect<void, KafkaError.KafkaError> = program.pipe(
  Effect.provide(Producer.layer().pipe(Layer.provideMerge(Kafka.layer({ bootstrap: ["localhost:9092"] }))))
)
export const test: Layer.Layer<Kafka.Kafka | EmbeddedKafka.EmbeddedKafka, KafkaError.KafkaError> = KafkaTest.layer({ topics: [orders] })
`
    )
    const settings = (module: string, resolution: string) =>
      JSON.stringify({
        compilerOptions: {
          target: "ES2022",
          module,
          moduleResolution: resolution,
          strict: true,
          exactOptionalPropertyTypes: true,
          noEmit: true,
          types: ["node"]
        },
        files: ["main.ts"]
      })
    for (const [module, resolution] of [
      ["nodenext", "nodenext"],
      ["esnext", "bundler"]
    ] as const) {
      write("tsconfig.json", settings(module, resolution))
      run(Path.join(root, "node_modules", ".bin", "tsc"), ["-p", "tsconfig.json"], app)
    }
  })
})
