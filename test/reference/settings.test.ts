/** docs/settings.md is what the code says, and what the code says is so. */
import * as Fs from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as KafkaConfig from "../../src/KafkaConfig.ts"
import * as ConsumerSettings from "../../src/consume/Settings.ts"
import * as ProducerSettings from "../../src/produce/Settings.ts"
import * as Topic from "../../src/Topic.ts"
import * as Settings from "./settings.ts"

const all = Settings.sections.flatMap((section) =>
  Settings.settingsOf(section).map((member) => ({ where: `${section.title}: ${member.name}`, ...member }))
)
const toldOf = (title: string): ReadonlyMap<string, string | undefined> =>
  new Map(
    Settings.settingsOf(Settings.sections.find((one) => one.title === title)!).map(({ doc, name }) => [
      name,
      Settings.toldBy(doc).fallback
    ])
  )

const bytes = { KiB: 1024, MiB: 1024 ** 2, GiB: 1024 ** 3 }

/** The value that a default names, such as `30 s` and `50 MiB`; undefined where it is none that can be compared. */
const valueOf = (told: string): unknown => {
  const text = /^"(\w+)"$|^`"(\w+)"`$/.exec(told)
  if (text !== null) return text[1] ?? text[2]
  if (told === "true" || told === "false") return told === "true"
  const duration = /^(\d+) (ms|s|min)$/.exec(told)
  if (duration !== null) return Number(duration[1]) * { ms: 1, s: 1000, min: 60_000 }[duration[2] as "ms" | "s" | "min"]
  const size = /^(\d+) (KiB|MiB|GiB)$/.exec(told)
  if (size !== null) return Number(size[1]) * bytes[size[2] as keyof typeof bytes]
  return /^\d[\d ]*$/.test(told) ? Number(told.replaceAll(" ", "")) : undefined
}

/** Which defaults are told otherwise than they are, and how many could be compared. */
const compared = (told: ReadonlyMap<string, string | undefined>, made: Readonly<Record<string, unknown>>) => {
  const wrong: Array<string> = []
  let count = 0
  for (const [name, fallback] of told) {
    const value = fallback === undefined ? undefined : valueOf(fallback.split(/[:;,(]/, 1)[0]!.trim())
    if (value === undefined || !Object.hasOwn(made, name)) continue
    count++
    if (made[name] !== value) wrong.push(`${name} is ${String(made[name])}, and is told to be ${fallback}`)
  }
  return { wrong, count }
}

describe("the settings", () => {
  it("docs/settings.md is what `npm run docs:settings` makes", () => {
    assert.strictEqual(Fs.readFileSync(Settings.page, "utf8"), Settings.render())
  })

  it("of everything that is checked by a table are on the page", () => {
    const src = new URL("../../src/", import.meta.url)
    const checked = Fs.readdirSync(src, { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts") && file !== "Checks.ts")
      .flatMap((file) =>
        [...Fs.readFileSync(new URL(file, src), "utf8").matchAll(/TableOf<\s*(\w+)/g)].map(
          ([, name]) => `${file}: ${name}`
        )
      )
    assert.isAbove(checked.length, 15)
    const told = new Set(Settings.sections.flatMap(({ parts }) => parts.map(([file, name]) => `${file}: ${name}`)))
    // put together of others that are there
    for (const name of ["consume/Options.ts: AssignOptions", "AutoGroup.ts: AutoOptions"]) told.add(name)
    // the same as Consumer.RunPolicy, and as Native and tls
    for (const name of ["consume/ConsumerImpl.ts: Policy", "RdKafka.ts: TransportOptions"]) told.add(name)
    assert.deepStrictEqual(
      checked.filter((name) => !told.has(name)),
      []
    )
  })

  it("each says what it is, and those that may be left out their default", () => {
    assert.isAbove(all.length, 120)
    const mute = all.filter(({ doc, name }) => name !== "mechanism" && Settings.toldBy(doc).what === "")
    assert.deepStrictEqual(
      mute.map(({ where }) => where),
      []
    )
    const without = all.filter(({ doc, optional }) => optional && Settings.toldBy(doc).fallback === undefined)
    assert.deepStrictEqual(
      without.map(({ where }) => where),
      []
    )
  })

  it.effect("the defaults that are told are those that hold", () =>
    Effect.gen(function* () {
      const hold = (title: string, made: object, atLeast: number) => {
        const { count, wrong } = compared(toldOf(title), { ...made })
        assert.deepStrictEqual(wrong, [])
        assert.isAtLeast(count, atLeast, title)
      }
      const { tls: _, ...client } = yield* KafkaConfig.make({ bootstrap: ["b:9092"] })
      hold("Kafka.layer", client, 12)
      const { limits, settings } = yield* ProducerSettings.make({})
      const { bytes: bufferBytes, records: bufferRecords, whenFull } = limits
      hold("Producer.layer, Producer.make", { ...settings, bufferBytes, bufferRecords, whenFull }, 12)
      const consumer = yield* ConsumerSettings.make({ group: "g", from: "earliest" }, undefined, Topic.bytes, [])
      hold("Every consumer", consumer, 9)
      const { onCorrupt: __, ...fetch } = consumer.fetch
      hold("fetch", fetch, 6)
    })
  )

  it("of a comment, each sentence is found where it belongs", () => {
    const text = `
/** A. */
export interface Options {
  /** How long. Default 5 s, or "a". Java: a.b.ms, and c; PyKafka: d_ms, 5 s there. And so on. */
  readonly one?: Duration.Input | undefined
  /**
   * What is called.
   */
  readonly two: (
    argument: string
  ) => Effect.Effect<void>
  readonly three: never
}
`
    const members = Settings.membersOf(text, "Options")
    assert.deepStrictEqual(
      members.map(({ doc: _, ...rest }) => rest),
      [
        { name: "one", optional: true, type: "Duration.Input" },
        { name: "two", optional: false, type: "( argument: string ) => Effect.Effect<void>" },
        { name: "three", optional: false, type: "never" }
      ]
    )
    assert.deepStrictEqual(Settings.toldBy(members[0]!.doc), {
      what: "How long. And so on.",
      fallback: '5 s, or "a"',
      elsewhere: [
        { whose: "Java", names: "a.b.ms, and c" },
        { whose: "PyKafka", names: "d_ms, 5 s there" }
      ]
    })
  })
})
