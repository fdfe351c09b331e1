/** `docs/observability.md` beside the code, both ways: what it names is there, and what is there it names. */
import { assert, describe, it } from "@effect/vitest"
import * as Fs from "node:fs"
import { Metrics } from "samsa"
import * as LogEvent from "../../src/LogEvent.ts"
import * as Names from "../../src/telemetry/Names.ts"

const read = (path: string) => Fs.readFileSync(new URL(`../../${path}`, import.meta.url), "utf8")
const guide = read("docs/observability.md")

/** What stands under a heading, up to the next of its kind. */
const under = (heading: string): string => {
  const at = guide.indexOf(`\n## ${heading}\n`)
  assert.isAbove(at, 0, heading)
  const end = guide.indexOf("\n## ", at + 1)
  return guide.slice(at, end < 0 ? undefined : end)
}
/** The cells of a table's rows, without what makes texts code. */
const rowsOf = (text: string, header: string): ReadonlyArray<ReadonlyArray<string>> => {
  const lines = text.split("\n")
  const at = lines.findIndex((line) => line.startsWith(header))
  assert.isAtLeast(at, 0, header)
  const end = lines.findIndex((line, i) => i > at && !line.startsWith("|"))
  return lines.slice(at + 2, end).map((line) =>
    line
      .slice(1, -1)
      .split("|")
      .map((cell) => cell.trim().replaceAll("`", ""))
  )
}
const codeIn = (text: string): ReadonlyArray<string> => [...text.matchAll(/`([^`]+)`/g)].map(([, code]) => code!)

describe("the guide of observability", () => {
  it("has each metric as it is: type, unit, what, by what, and no other", () => {
    assert.deepStrictEqual(
      rowsOf(under("Metrics"), "| metric |").map((row) => row.join(" | ")),
      Metrics.definitions.map(({ attributes, description, name, type, unit }) =>
        [name, type.toLowerCase(), unit, description.replaceAll("`", ""), attributes.join(", ")].join(" | ")
      )
    )
  })

  it("names no metric that there is not", () => {
    const names = new Set<string>(Metrics.definitions.map(({ name }) => name))
    const annotations = new Set(codeIn(under("The log").split("\n- ")[0]!))
    const other = codeIn(guide).filter(
      (code) =>
        /^(kafka|messaging)\.[a-zA-Z_.]+$/.test(code) &&
        !names.has(code) &&
        !annotations.has(code) &&
        !["kafka.client.", "kafka.consumer.", "kafka.producer."].includes(code) &&
        !Metrics.definitions.some(({ attributes }) => attributes.includes(code)) &&
        !["messaging.system", "messaging.client.id"].includes(code)
    )
    assert.deepStrictEqual(other, [])
    // What Java calls so is here as the guide says: the same with underscores.
    for (const [java, here] of rowsOf(under("Java's names"), "| Java |")) {
      const prefix = /^(kafka\.(?:client|consumer|producer)\.) and the same with underscores$/.exec(here!)?.[1]
      if (prefix === undefined) continue
      for (const one of java!.replace(/^of every client.*?:/, "").split(",")) {
        const name = `${prefix}${one
          .trim()
          .replaceAll("-", "_")
          .replace(/_(\*|avg)$/, "")}`
        assert.isTrue(names.has(name), name)
      }
    }
  })

  it("has each span as it is made, and no other", () => {
    // Where there is one for each record, its name is made before.
    const spans =
      /(?:begin\(\s*|const name = )`([a-z]+) \$\{[^`]*`(?:,\s*"([a-z]+)"|[^`]*begin\(\s*name,\s*"([a-z]+)")/g
    const made = Fs.readdirSync(new URL("../../src", import.meta.url), { recursive: true, encoding: "utf8" })
      .filter((file) => file.endsWith(".ts"))
      .flatMap((file) => [...read(`src/${file}`).matchAll(spans)])
      .map(([, name, kind, later]) => `${name} ${kind ?? later}`)
    const told = rowsOf(under("Traces"), "| span |").map(([name, kind]) => `${name!.split(" ")[0]} ${kind}`)
    assert.deepStrictEqual(new Set(made), new Set(told))
    assert.lengthOf(told, new Set(told).size)
  })

  it("has each event at its level, and no other", () => {
    const log = under("The log")
    const named = codeIn(log).filter((code) => /^[a-z]+[A-Za-z]*$/.test(code))
    const settings = ["requestTimeout", "drainTimeout", "commitTimeout", "closeTimeout", "rebalanceTimeout"]
    const noEvents = new Set([...settings, "run", "stream", "onExit"])
    assert.deepStrictEqual(
      [...new Set(named)].filter((code) => !(code in LogEvent.levels) && !noEvents.has(code)),
      []
    )
    assert.deepStrictEqual(
      Object.keys(LogEvent.levels).filter((event) => !named.includes(event)),
      []
    )
    // Where events are listed by their level.
    const lists = [
      ["Debug", /At `Debug`: (.*)/],
      ["Info", /At `Info`, once: (.*)/],
      ["Warn", /Warnings of consumers: (.*)/],
      ["Warn", /Warnings of producers and transactions: (.*?) What may come/],
      ["Error", /Errors: (.*)/]
    ] as const
    for (const [level, list] of lists)
      for (const event of codeIn(list.exec(log)?.[1] ?? assert.fail(String(list))))
        if (event in LogEvent.levels) assert.strictEqual(LogEvent.levels[event as LogEvent.Event], level, event)
  })

  it("has each annotation of the log, and no other", () => {
    const source = read("src/LogEvent.ts")
    const where = /export interface Where \{([^}]*)\}/.exec(source)![1]!
    const keys = [...where.matchAll(/readonly (\w+)\?/g)].map(([, key]) => `kafka.${key}`)
    const told = codeIn(under("The log").split("\n- ")[0]!).filter((code) => code.startsWith("kafka."))
    assert.deepStrictEqual(new Set(told), new Set([...keys, "kafka.event"]))
  })

  it("tells of each metric of client telemetry from what it is, and of no other", () => {
    const told = rowsOf(under("Client telemetry"), "| metric | | standard |").map(
      ([name, kinds, standard]) => `${name} ${kinds} ${standard}`
    )
    const is = Names.rows.map(({ kinds, name, role, ...row }) => {
      const shown = kinds.filter((kind) => kind !== "value").map((kind) => `.${kind}`)
      return `${role === "all" ? "…" : role}.${name} ${shown.join(" ")} ${"standard" in row && row.standard ? "yes" : ""}`
    })
    assert.deepStrictEqual(told.toSorted(), is.toSorted())
  })
})
