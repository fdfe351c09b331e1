/**
 * The recorded answers: `answers/RELEASE.jsonl` of the real broker, one case a line, and `answers/RELEASE.embedded.jsonl`
 * of the embedded one where it differs, which docs/embedded-broker.md explains.
 *
 * SAMSA_PARITY_RECORD=real (with the integration tests) or =embedded (with the unit tests) writes them anew.
 */
import * as Fs from "node:fs"
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import type { Answer } from "./Answer.ts"
import type { Transcript } from "./Client.ts"
import type { Release } from "./Lab.ts"

const file = (name: string) => fileURLToPath(new URL(`answers/${name}.jsonl`, import.meta.url))
const docs = fileURLToPath(new URL("../../docs/embedded-broker.md", import.meta.url))
const recording = process.env.SAMSA_PARITY_RECORD

/** What explains the differences. */
export const guide = (): string => Fs.readFileSync(docs, "utf8")

type Answers = Map<string, Answer>

const read = (name: string): Answers =>
  Fs.existsSync(file(name))
    ? new Map(
        Fs.readFileSync(file(name), "utf8")
          .split("\n")
          .filter((line) => line !== "")
          .map((line) => JSON.parse(line) as { readonly case: string; readonly answer: Answer })
          .map((entry) => [entry.case, entry.answer])
      )
    : new Map()

const write = (name: string, answers: Answers): void =>
  Fs.writeFileSync(
    file(name),
    Array.from(answers, ([name, answer]) => `${JSON.stringify({ case: name, answer })}\n`)
      .sort()
      .join("")
  )

const shown = (transcript: Transcript) =>
  transcript.map((line) => (line.length > 2000 ? `${line.slice(0, 2000)}… ${line.length / 2} bytes` : line)).join("\n")

const compare = (actual: Answer, expected: Answer | undefined, transcript: Transcript, what: string): void => {
  try {
    assert.deepStrictEqual(actual, expected as never, what)
  } catch (error) {
    process.stderr.write(`${what}\n${shown(transcript)}\n`)
    throw error
  }
}

export const open = (release: Release) => {
  const real = read(release)
  const own = read(`${release}.embedded`)
  return {
    get names() {
      return Array.from(real.keys())
    },
    get differences() {
      return Array.from(own.keys())
    },
    /** Compares what the real broker said with what it said when it was recorded. */
    real: (name: string, answer: Answer, transcript: Transcript): void => {
      if (recording === "real") {
        real.set(name, answer)
        return write(release, real)
      }
      compare(answer, real.get(name), transcript, `Apache Kafka ${release}, ${name}`)
    },
    /** Compares what the embedded broker said with what the real one said. */
    embedded: (name: string, answer: Answer, transcript: Transcript): void => {
      const differs = JSON.stringify(answer) !== JSON.stringify(real.get(name))
      if (recording === "embedded") {
        if (differs) own.set(name, answer)
        else own.delete(name)
        return write(`${release}.embedded`, own)
      }
      const expected = own.get(name)
      if (expected !== undefined) assert.isTrue(differs, `${name} is written down as a difference, and is none`)
      compare(answer, expected ?? real.get(name), transcript, `the embedded broker as ${release}, ${name}`)
    },
    /** The differences that the documentation names. */
    get written(): ReadonlyArray<string> {
      const rows = guide().matchAll(/^\| `([A-Za-z]+: [^`]*)` \| ([^|]*) \|/gm)
      return Array.from(rows).flatMap(([, name, releases]) => (releases!.split(", ").includes(release) ? [name!] : []))
    }
  }
}
