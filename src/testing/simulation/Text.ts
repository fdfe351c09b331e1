/**
 * A script as lines that people read, and that are read back to the same script. Pure.
 *
 * ```
 * simulation seed=7
 * cluster brokers=3 release=4.4
 * topic t0 partitions=12 replicas=3
 * client c1 requestTimeout=3s
 * producer p1 client=c1 linger=5ms
 *     1.200  send producer=p1 topic=t0 count=40 how=sendAll keys=7 bytes=100
 *    12.000  down broker=2 for=20s
 * ```
 */
import * as Schema from "effect/Schema"
import { Script, type Step } from "./Script.ts"

type Value = string | number | boolean | ReadonlyArray<string | number>
type Fields = { readonly [name: string]: Value | undefined }

/** What is a time, though its name does not say so. */
const times = new Set(
  "for takes pace open interrupt linger handles hooks maxWait metadataMaxAge connectionsMaxIdle commitInterval millis heartbeatInterval sessionLifetime telemetry".split(
    " "
  )
)
const isTime = (name: string): boolean => times.has(name) || name.endsWith("Timeout")

const shown = (name: string, value: Value): string => {
  if (typeof value === "object") return `[${value.join(",")}]`
  if (typeof value !== "number" || !isTime(name)) return String(value)
  return value % 1000 === 0 ? `${value / 1000}s` : `${value}ms`
}

const fields = (all: Fields, ...without: ReadonlyArray<string>): string =>
  Object.entries(all)
    .flatMap(([name, value]) =>
      value === undefined || without.includes(name) ? [] : [` ${name}=${shown(name, value)}`]
    )
    .join("")

/** A step as a line, without its time. */
export const stepLine = (step: Step): string => `${step.do}${fields(step, "at", "do")}`

const atLine = (step: Step): string => `${(step.at / 1000).toFixed(3).padStart(10)}  ${stepLine(step)}`

/** A script as lines. */
export const print = (script: Script): string =>
  [
    `simulation${fields({ seed: script.seed, turns: script.turns })}`,
    `cluster${fields(script.cluster)}`,
    ...(["topics", "clients", "producers", "transactors", "members"] as const).flatMap((kind) =>
      script[kind].map((one: Fields) => `${kind.slice(0, -1)} ${String(one.name)}${fields(one, "name")}`)
    ),
    ...script.steps.map(atLine)
  ].join("\n")

const scalar = (name: string, text: string): string | number | boolean => {
  const time = /^(\d+(?:\.\d+)?)(ms|s)$/.exec(text)
  if (time !== null) return Math.round(Number(time[1]) * (time[2] === "s" ? 1000 : 1))
  if (name === "release") return text
  if (/^-?\d+(\.\d+)?(e-?\d+)?$/.test(text)) return Number(text)
  return text === "true" ? true : text === "false" ? false : text
}

const valueOf = (name: string, text: string): Value =>
  text.startsWith("[")
    ? text
        .slice(1, -1)
        .split(",")
        .filter((one) => one !== "")
        .map((one) => scalar(name, one) as string | number)
    : scalar(name, text)

const fieldsOf = (words: ReadonlyArray<string>): Fields =>
  Object.fromEntries(
    words.map((word) => {
      const at = word.indexOf("=")
      if (at < 0) throw new Error(`"${word}" is no field: name=value`)
      return [word.slice(0, at), valueOf(word.slice(0, at), word.slice(at + 1))]
    })
  )

const decode = Schema.decodeUnknownSync(Script)

/** The script that lines are. Throws where they are none. */
export const parse = (text: string): Script => {
  const read = { topics: [], clients: [], producers: [], transactors: [], members: [], steps: [] } as {
    [kind: string]: Array<Fields>
  }
  let head: Fields = {}
  let cluster: Fields = {}
  for (const line of text.split("\n")) {
    const [first, ...words] = line.trim().split(/\s+/)
    if (first === undefined || first === "" || first.startsWith("#")) continue
    if (first === "simulation") head = fieldsOf(words)
    else if (first === "cluster") cluster = fieldsOf(words)
    else if (/^\d/.test(first))
      read.steps!.push({ at: Math.round(Number(first) * 1000), do: words[0]!, ...fieldsOf(words.slice(1)) })
    else if (read[`${first}s`] === undefined) throw new Error(`what is "${first}"? The line: ${line}`)
    else read[`${first}s`]!.push({ name: words[0]!, ...fieldsOf(words.slice(1)) })
  }
  return decode({ ...head, cluster, ...read })
}
