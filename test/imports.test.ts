/** Who may import whom: from the ground up, never upwards, never in a circle. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { assert, describe, it } from "vitest"

const src = fileURLToPath(new URL("../src", import.meta.url))

/**
 * The floors of the house, from the ground up: leaves, protocol, contracts, flows, drivers, what programs use. A name is a module
 * (`Broker`) or a folder (`connection`). Those of one floor may know each other where `beside` says so.
 */
const floors: ReadonlyArray<{ readonly names: ReadonlyArray<string>; readonly beside?: true }> = [
  {
    names:
      "Abandon KafkaError ErrorCode Checks TopicPartition Offset Record Topic Compression compression Partitioner Assignor Backoff Signal Broadcast Resume PerService OrFail Kept Holders Bytes Listed SessionClock LogEvent".split(
        " "
      ),
    beside: true
  },
  { names: ["protocol"], beside: true },
  {
    names:
      "AskedAgain Metrics metrics Tracing tracing KafkaConfig Crc32c Security Network Bootstrap ClusterInfo Broker Cluster Transport Membership GroupOffsets ZooKeeper zookeeper".split(
        " "
      ),
    beside: true
  },
  { names: ["engine"] },
  { names: "connection metadata produce transact fetch group balance librdkafka admin telemetry".split(" ") },
  {
    names:
      "NodeNetwork NativeBrokers NativeCluster NativeGroupOffsets NativeTransport ClassicGroup ZooKeeperGroup ConsumerGroup".split(
        " "
      )
  },
  { names: ["AutoGroup", "Memberships", "Kafka", "RdKafka"], beside: true },
  { names: ["Producer", "Admin", "Telemetry"] },
  { names: ["consume"] },
  { names: ["Consumer", "ShareConsumer", "Transaction"], beside: true },
  { names: ["index"] },
  { names: ["testing"], beside: true },
  { names: ["cli"], beside: true }
]

/** Folders of a flow each: they do not know each other, and meet in `engine` and in contracts. */
const flows = new Set(
  "connection metadata produce transact fetch group balance consume librdkafka admin telemetry".split(" ")
)

/**
 * What a module that says "Pure." may not have at run time: what runs Effects, reads a clock, forks, or does I/O. Schemas
 * and data types are values.
 */
const values =
  /^effect\/(Array|Data|Duration|Equal|Function|Hash|Option|Predicate|Redacted|Result|Schema|SchemaAST|SchemaIssue|SchemaTransformation)$/
const ambient = /\b(Date\.now|Math\.random|queueMicrotask|setTimeout|setImmediate|process\.|crypto\.|performance\.)/

/** What the embedded broker shares with the client: message schemas, codecs, and no code that decides anything. */
const embeddedBrokerKnows = new Set(["protocol", ...floors[0]!.names].filter((name) => name !== "Backoff"))

type Imports = ReadonlyMap<string, ReadonlyArray<string>>

/** The module or folder of a file, as `floors` names it. */
const nameOf = (file: string): string => file.split("/")[0]!.replace(/\.ts$/, "")

const violations = (imports: Imports): ReadonlyArray<string> => {
  const found: Array<string> = []
  const floorOf = (name: string) => floors.findIndex((floor) => floor.names.includes(name))
  for (const [file, targets] of imports) {
    const name = nameOf(file)
    const floor = floorOf(name)
    if (floor < 0) {
      found.push(`${file} stands on no floor`)
      continue
    }
    for (const target of targets) {
      if (!target.startsWith("./")) {
        if (target === "effect") found.push(`${file} imports the barrel "effect"`)
        continue
      }
      const path = target.slice(2)
      const other = nameOf(path)
      if (file.startsWith("testing/embedded/") && !path.startsWith("testing/embedded/")) {
        if (!embeddedBrokerKnows.has(other)) found.push(`${file} → ${path}: the embedded broker may not know it`)
        continue
      }
      if (flows.has(name) && flows.has(other) && other !== name) {
        found.push(`${file} → ${path}: flows do not know each other`)
        continue
      }
      if (other === name || floorOf(other) < floor) continue
      if (floorOf(other) === floor && floors[floor]!.beside) continue
      found.push(`${file} → ${path}`)
    }
  }
  return found
}

/** Circles of imports. */
const circles = (imports: Imports): ReadonlyArray<string> => {
  const found: Array<string> = []
  const done = new Set<string>()
  const walk = (file: string, path: ReadonlyArray<string>): void => {
    if (path.includes(file)) {
      found.push([...path.slice(path.indexOf(file)), file].join(" → "))
      return
    }
    if (done.has(file)) return
    for (const target of imports.get(file) ?? []) {
      if (target.startsWith("./")) walk(target.slice(2), [...path, file])
    }
    done.add(file)
  }
  for (const file of imports.keys()) walk(file, [])
  return found
}

const textOf = (file: string): string => Fs.readFileSync(Path.join(src, file), "utf8")

const withoutComments = (text: string): string => text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/^\s*\/\/.*$/gm, "")

/** Whether a module says that it is pure: in the first sentences that it begins with. */
const saysPure = (text: string): boolean => /\bPure\./.test(/^\/\*\*[^@]*?(?:\n \*\n|\*\/)/.exec(text)?.[0] ?? "")

/** What is not pure about a module, by what it imports at run time, and by its text. */
const impurities = (imports: ReadonlyArray<string>, text: string): ReadonlyArray<string> => [
  ...imports.filter((target) => !target.startsWith("./") && !values.test(target)),
  ...(ambient.exec(withoutComments(text)) ?? []).slice(0, 1)
]

/** What the files of `src` import; with `runtime` what is there at run time from the start: no types, no `import()`. */
const read = (runtime: boolean): Imports => {
  const files = Fs.readdirSync(src, { recursive: true, encoding: "utf8" }).filter((file) => /(?<!\.d)\.ts$/.test(file))
  return new Map(
    files.map((file) => {
      const text = withoutComments(textOf(file))
      const statements = [...text.matchAll(/^(?:import|export)\s(?!["'])([^"';]*?)\sfrom\s+"([^"]+)"/gm)]
        .filter(([, what]) => !runtime || !what!.startsWith("type "))
        .map((match) => match[2]!)
      const bare = [...text.matchAll(/^import\s+"([^"]+)"/gm)].map((match) => match[1]!)
      const dynamic = runtime ? [] : [...text.matchAll(/\bimport\(\s*"([^"]+)"/g)].map((match) => match[1]!)
      const targets = [...statements, ...bare, ...dynamic].map((target) =>
        target.startsWith(".") ? `./${Path.posix.join(Path.posix.dirname(file), target)}` : target
      )
      return [file, targets] as const
    })
  )
}

describe("imports", () => {
  it("go from the ground up", () => {
    const imports = read(false)
    assert.isAbove(imports.size, 20)
    assert.isAbove([...imports.values()].flat().length, 50)
    assert.deepStrictEqual(violations(imports), [])
  })

  it("make no circle, types included", () => {
    assert.deepStrictEqual(circles(read(false)), [])
  })

  it("of what says that it is pure are of values alone", () => {
    const pure = [...read(true)].filter(([file]) => file.startsWith("protocol/messages/") || saysPure(textOf(file)))
    assert.isAbove(pure.length, 40)
    const wrong = pure.flatMap(([file, targets]) => impurities(targets, textOf(file)).map((what) => `${file}: ${what}`))
    assert.deepStrictEqual(wrong, [])
  })

  it("load optional engines only when a Layer is built", () => {
    const eager = [...read(true)].filter(([, targets]) =>
      targets.some((target) => target === "node-zookeeper-client" || target === "node-rdkafka")
    )
    assert.deepStrictEqual(eager, [])
  })

  it("have all that an application may wait for, and that is told within a step, waited for by `Resume`", () => {
    // What the system, or a library, tells whoever asked alone is no step of ours.
    const alone =
      /^(testing|cli|compression)\/|^librdkafka\/(Client|ConsumerClients|RdProducer|Stranded)|^zookeeper\/(Ensemble|NodeClient)|^(Abandon|Resume|NodeNetwork|Security|Compression)\.ts$|^connection\/Scram|^admin\/Users/
    const wrong = [...read(false).keys()].filter(
      (file) => !alone.test(file) && /\b(Deferred\.await|Effect\.callback)\b/.test(withoutComments(textOf(file)))
    )
    assert.deepStrictEqual(wrong, [])
  })

  it("find no two exported classes of one name", () => {
    const names = [...read(false).keys()].flatMap((file) =>
      [...textOf(file).matchAll(/^export (?:abstract )?class (\w+)/gm)].map((match) => match[1]!)
    )
    assert.isAbove(names.length, 30)
    assert.deepStrictEqual(
      names.filter((name, i) => names.indexOf(name) !== i),
      []
    )
  })

  it("are seen where they are wrong", () => {
    const wrong = (file: string, target: string) => violations(new Map([[file, [target]]]))
    assert.deepStrictEqual(wrong("Cluster.ts", "./NativeCluster.ts"), ["Cluster.ts → NativeCluster.ts"])
    assert.deepStrictEqual(wrong("produce/Sender.ts", "./Producer.ts"), ["produce/Sender.ts → Producer.ts"])
    assert.deepStrictEqual(wrong("protocol/Frame.ts", "./produce/Accumulator.ts"), [
      "protocol/Frame.ts → produce/Accumulator.ts"
    ])
    assert.lengthOf(wrong("testing/embedded/Produce.ts", "./produce/Accumulator.ts"), 1)
    assert.lengthOf(wrong("testing/embedded/Produce.ts", "./testing/EmbeddedKafka.ts"), 1)
    assert.deepStrictEqual(wrong("testing/embedded/Produce.ts", "./protocol/messages/Produce.ts"), [])
    assert.deepStrictEqual(wrong("Consumer.ts", "./consume/ConsumerRecord.ts"), [])
    assert.lengthOf(wrong("consume/Engine.ts", "./group/ClassicMember.ts"), 1)
    assert.deepStrictEqual(wrong("balance/Layout.ts", "./group/ConsumerProtocol.ts"), [
      "balance/Layout.ts → group/ConsumerProtocol.ts: flows do not know each other"
    ])
    assert.deepStrictEqual(wrong("fetch/Fetcher.ts", "./engine/Loop.ts"), [])
    assert.isTrue(saysPure("/** Pure. What it is. */\ncode"))
    assert.isTrue(saysPure("/**\n * The table. Pure.\n *\n * More.\n */\ncode"))
    assert.isFalse(saysPure("/**\n * What it is.\n *\n * Pure. Not at the beginning.\n */\ncode"))
    assert.deepStrictEqual(
      impurities(["./A.ts", "effect/Result", "effect/Effect", "node:net"], "const a = Date.now()"),
      ["effect/Effect", "node:net", "Date.now"]
    )
    assert.lengthOf(wrong("Nowhere.ts", "./Broker.ts"), 1)
    assert.lengthOf(wrong("Broker.ts", "effect"), 1)
    assert.deepStrictEqual(
      circles(
        new Map([
          ["A.ts", ["./B.ts"]],
          ["B.ts", ["./A.ts"]]
        ])
      ),
      ["A.ts → B.ts → A.ts"]
    )
  })
})
