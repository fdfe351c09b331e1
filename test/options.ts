/**
 * What a program of the tests is told on its command line: `--name value`, or `--name` alone. What it does not know or
 * cannot read ends it with exit code 2 and what it knows.
 */
import { parseArgs } from "node:util"
import { today } from "./today.ts"

export const options = <const Value extends string, const Flag extends string = never>(
  command: string,
  values: ReadonlyArray<Value>,
  flags: ReadonlyArray<Flag> = []
) => {
  const refuse = (why: string): never => {
    const known = [...values.map((name) => `[--${name} VALUE]`), ...flags.map((name) => `[--${name}]`)]
    console.error(`${why}\nusage: npm run ${command} -- ${known.join(" ")}`)
    process.exit(2)
  }
  const read = (): { readonly [name: string]: unknown } => {
    try {
      return parseArgs({
        options: Object.fromEntries([
          ...values.map((name) => [name, { type: "string" }] as const),
          ...flags.map((name) => [name, { type: "boolean" }] as const)
        ])
      }).values
    } catch (error) {
      return refuse((error as Error).message)
    }
  }
  const given = read()
  const text = (name: Value) => given[name] as string | undefined
  const number = (name: Value, fallback: number): number => {
    const said = text(name)
    if (said === undefined) return fallback
    return /^\d+$/.test(said) ? Number(said) : refuse(`--${name} is a whole number, not ${said}`)
  }
  return {
    text,
    number,
    /** A seed: a number, or `today`, which is another one each day. */
    seed: (name: Value, fallback: number, each = 1): number =>
      text(name) === "today" ? today() * each : number(name, fallback),
    flag: (name: Flag): boolean => given[name] === true
  }
}
