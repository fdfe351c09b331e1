import { assert, describe, it } from "@effect/vitest"
import type * as SchemaAST from "effect/SchemaAST"
import * as Api from "../../src/protocol/Api.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as Field from "../../src/protocol/codec/Field.ts"
import * as DeleteTopics from "../../src/protocol/messages/DeleteTopics.ts"
import * as OffsetFetch from "../../src/protocol/messages/OffsetFetch.ts"
import * as Wire from "../../src/protocol/Wire.ts"
import { type Line, lines, messageOf, messages, pathOf, show } from "./support/golden.ts"
import { generate, other, random } from "./support/values.ts"

const bytesOf = (line: Line): Uint8Array => Buffer.from(line.hex, "hex")
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString("hex")

/** Java's JSON as a value of the library: bytes out of base64, int64 out of text; records, which it leaves out, from `read`. */
const fromJson = (json: any, ast: SchemaAST.AST, read: any): unknown => {
  if (json === null || json === undefined) return json
  const type = Field.typeOf(ast)
  switch (Field.kindOf(type)) {
    case "bytes":
      return new Uint8Array(Buffer.from(json, "base64"))
    case "records":
      return read
    case "int64":
    case "amount":
      return Number(json)
    case "array":
      return json.map((item: unknown, i: number) => fromJson(item, Field.elementOf(type), read?.[i]))
    case "struct": {
      const fields = new Map(Field.fieldsOf(type))
      return Object.fromEntries(
        Object.entries(json).map(([name, item]) => {
          const field = fields.get(name)
          assert.isDefined(field, `a field ${name} that the library does not have`)
          return [name, fromJson(item, field!, read?.[name])]
        })
      )
    }
    default:
      return json
  }
}

/** Whether an int64 of Java's JSON is one that must be exact. */
const hasPositions = (json: any, ast: SchemaAST.AST): boolean => {
  if (json === null) return false
  const type = Field.typeOf(ast)
  switch (Field.kindOf(type)) {
    case "int64":
      return !Number.isSafeInteger(Number(json))
    case "array":
      return json.some((item: unknown) => hasPositions(item, Field.elementOf(type)))
    case "struct":
      return Field.fieldsOf(type).some(([name, field]) => name in json && hasPositions(json[name], field))
    default:
      return false
  }
}

/** Compares what was read with Java's JSON, field by field. Fields that Java leaves out were not on the wire. */
const compare = (json: any, read: any, path: string): void => {
  if (json instanceof Uint8Array) return assert.deepStrictEqual(new Uint8Array(read), json, path)
  if (Array.isArray(json)) {
    assert.strictEqual(read?.length, json.length, path)
    return json.forEach((item, i) => compare(item, read[i], `${path}[${i}]`))
  }
  if (typeof json === "object" && json !== null) {
    for (const name of Object.keys(json)) compare(json[name], read[name], `${path}.${name}`)
    return
  }
  assert.strictEqual(read, json, path)
}

const reasonOf = (run: () => unknown): KafkaError.Reason => {
  try {
    run()
  } catch (error) {
    assert.instanceOf(error, KafkaError.KafkaError)
    return (error as KafkaError.KafkaError).reason
  }
  throw new Error("nothing was thrown")
}

const of = (...variants: ReadonlyArray<string>): ReadonlyArray<Line> =>
  lines.filter((line) => variants.includes(line.variant))
const readable = of("default", "empty", "one", "two", "nulls", "nulls_deep", "unknown_tags")
const pair = (message: { readonly name: string }, version: number): string => `${message.name} v${version}`

describe("messages, beside the bytes of the Java client", () => {
  it("are those of every API and version that was listed", () => {
    const keys = [
      0,
      1,
      2,
      3,
      ...Array.from({ length: 44 }, (_, i) => i + 8),
      55,
      57,
      60,
      61,
      64,
      65,
      66,
      68,
      69,
      71,
      72
    ]
    for (let key = 74; key <= 81; key++) keys.push(key)
    for (let key = 88; key <= 94; key++) keys.push(key)
    assert.deepStrictEqual(
      Api.all.map((api) => api.key),
      keys
    )
    const ours = messages.flatMap((message) =>
      Array.from({ length: message.versions[1] + 1 }, (_, version) => pair(message, version))
    )
    const theirs = new Set(readable.map((line) => pair(messageOf(line), line.version)))
    assert.deepStrictEqual(ours.toSorted(), [...theirs].toSorted())
    for (const message of messages) assert.strictEqual(message.versions[0], 0, message.name)
    assert.strictEqual(theirs.size, 631)
  })

  it("are read as Java meant them, and written byte for byte", () => {
    const pairs = new Set<string>()
    for (const line of readable) {
      const message = messageOf(line)
      const compiled = Wire.compile(message, line.version)
      const read = compiled.read(bytesOf(line))
      const expected = fromJson(line.json, message.schema.ast, read)
      compare(expected, read, show(line))
      assert.strictEqual(hexOf(compiled.write(read)), line.hex, show(line))
      // From Java's JSON alone, in which fields that the version lacks are left out; it does not hold unknown tags.
      if (line.variant !== "unknown_tags")
        assert.strictEqual(hexOf(compiled.write(expected)), line.hex, `${show(line)} from JSON`)
      pairs.add(pair(message, line.version))
    }
    console.log(`${pairs.size} pairs of message and version, ${readable.length} golden frames`)
    assert.strictEqual(pairs.size, 631)
  })

  it("keep tagged fields that they do not know", () => {
    for (const line of of("unknown_tags")) {
      const read = Wire.compile(messageOf(line), line.version).read(bytesOf(line))
      const tags = Wire.unknownTags(read as object)
      assert.strictEqual(tags.length, 2, show(line))
      assert.match(Buffer.from(tags[0]![1]).toString(), /^tag-\d+$/)
      assert.strictEqual(tags[1]![1].length, 0)
    }
    assert.isAbove(of("unknown_tags").length, 300)
  })

  it("refuse an int64 beyond 2^53, and name the field; times and sizes are rounded", () => {
    const rounded = new Set<string>()
    for (const line of of("huge")) {
      const message = messageOf(line)
      const compiled = Wire.compile(message, line.version)
      if (!hasPositions(line.json, message.schema.ast)) {
        const read = compiled.read(bytesOf(line))
        compare(fromJson(line.json, message.schema.ast, read), read, show(line))
        rounded.add(message.name)
        continue
      }
      const reason = reasonOf(() => Wire.compile(messageOf(line), line.version).read(bytesOf(line)))
      if (reason._tag !== "Corrupt") throw new Error(`${show(line)}: ${reason._tag}`)
      assert.include(reason.problem, "beyond 2^53", show(line))
      assert.isDefined(reason.path, show(line))
    }
    assert.isAbove(of("huge").length, 180)
    assert.deepStrictEqual([...rounded].toSorted(), [
      "CreateDelegationTokenResponse",
      "DescribeDelegationTokenResponse",
      "ExpireDelegationTokenResponse",
      "RenewDelegationTokenResponse",
      "SaslAuthenticateResponse"
    ])
  })

  const ones = new Map(of("one").map((line) => [pair(messageOf(line), line.version), line]))

  /** The value of the line `one`, with the field that the version lacks set to what is not its default. */
  const withField = (line: Line): unknown => {
    const message = messageOf(line)
    const base = line.variant === "ignored" ? line : ones.get(pair(message, line.version))!
    const root: any = Wire.compile(message, line.version).read(bytesOf(base))
    let value = root
    let ast: SchemaAST.AST = message.schema.ast
    const path = pathOf(line.field!)
    for (const [i, name] of path.entries()) {
      const field = new Map(Field.fieldsOf(ast)).get(name)!
      if (i === path.length - 1) value[name] = other(field)
      else {
        value = Array.isArray(value[name]) ? value[name][0] : value[name]
        const type = Field.typeOf(field)
        ast = Field.kindOf(type) === "array" ? Field.elementOf(type) : type
      }
    }
    return root
  }

  it("refuse a field that the version lacks, and name it", () => {
    for (const line of of("reject")) {
      const value = withField(line)
      const reason = reasonOf(() => Wire.compile(messageOf(line), line.version).write(value))
      if (reason._tag !== "Unsupported") throw new Error(`${show(line)}: ${reason._tag}`)
      const path = reason.needed.split(" of ")[0]!.replaceAll("[0]", "")
      assert.strictEqual(path, pathOf(line.field!).join("."), show(line))
    }
    assert.isAbove(of("reject").length, 400)
  })

  it("drop an ignorable field that the version lacks", () => {
    for (const line of of("ignored"))
      assert.strictEqual(
        hexOf(Wire.compile(messageOf(line), line.version).write(withField(line))),
        line.hex,
        show(line)
      )
    assert.isAbove(of("ignored").length, 550)
  })

  it("refuse a name that the version lacks where the id that stands in its place is not given, and the other way round", () => {
    // OffsetFetch at v10 lost the topic's name without a word, and asked for a topic that has no id.
    const partitionIndexes = [0]
    const fetch = (version: number, topic: { readonly name?: string; readonly topicId?: string }) =>
      Wire.compile(OffsetFetch.Request, version).write({
        groups: [{ groupId: "g", topics: [{ ...topic, partitionIndexes }] }]
      } as never)
    const topicId = "AAAAAAAAAAAAAAAAAAAAAQ"
    for (const [version, topic, needed] of [
      [10, { name: "t" }, "groups[0].topics[0].name of OffsetFetchRequest"],
      [9, { topicId }, "groups[0].topics[0].topicId of OffsetFetchRequest"]
    ] as const) {
      const reason = reasonOf(() => fetch(version, topic))
      if (reason._tag !== "Unsupported") throw new Error(reason._tag)
      assert.include(reason.needed, needed)
    }
    for (const version of [9, 10]) fetch(version, { name: "t", topicId })
    const deletion = Wire.compile(DeleteTopics.Request, 6)
    assert.strictEqual(reasonOf(() => deletion.write({ topicNames: ["t"] } as never))._tag, "Unsupported")
    deletion.write({ topicNames: ["t"], topics: [{ name: "t" }] } as never)
  })

  it("go behind the header versions that Java gives them", () => {
    for (const line of of("default")) {
      if (line.headerVersion === undefined) continue
      const message = messageOf(line)
      const ours =
        line.type === "request"
          ? Frame.requestHeaderVersion(message, line.version)
          : Frame.responseHeaderVersion(message, line.version)
      assert.strictEqual(ours, line.headerVersion, show(line))
    }
  })

  it("say which versions are not stable", () => {
    const unstable = of("default").filter((line) => line.unstable === true)
    for (const line of unstable)
      assert.isFalse(Wire.within(line.version, messageOf(line).stable), `${show(line)} is unstable`)
    // The early access versions of share groups, and two-phase commit.
    assert.deepStrictEqual([...new Set(unstable.map((line) => line.key))].toSorted(), [22, 76, 77, 78, 79])
    for (const api of Api.all) assert.deepStrictEqual(api.Request.stable, api.Response.stable, api.name)
  })
})

describe("messages, from generated values", () => {
  const seed = Number(process.env["PROPERTY_SEED"] ?? 20_260_101)
  const runs = Number(process.env["PROPERTY_RUNS"] ?? 20)

  it(`read what they have written, at every version (seed ${seed})`, () => {
    const r = random(seed)
    for (const message of messages)
      for (let version = message.versions[0]; version <= message.versions[1]; version++) {
        const compiled = Wire.compile(message, version)
        for (let run = 0; run < runs; run++) {
          const value = generate(r, message, version)
          const written = compiled.write(value)
          const read = compiled.read(written)
          compare(value, read, pair(message, version))
          assert.strictEqual(hexOf(compiled.write(read)), hexOf(written), pair(message, version))
        }
      }
  })

  it("write a value that is left out, and one made by the Schema, alike", () => {
    for (const message of messages) {
      const made = (message.schema as any).make({})
      for (let version = message.versions[0]; version <= message.versions[1]; version++) {
        const compiled = Wire.compile(message, version)
        assert.strictEqual(hexOf(compiled.write({})), hexOf(compiled.write(made)), pair(message, version))
      }
    }
  })
})
