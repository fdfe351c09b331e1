/**
 * Checking settings: every mistake is collected, so that all of them are told at once, and every value fits what it is
 * carried in: a duration goes to brokers as an int32 of milliseconds, and into timers that ring at once beyond it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import type * as Backoff from "./Backoff.ts"
import * as KafkaError from "./KafkaError.ts"

/** The most that an int32 carries. */
export const maxInt32 = 0x7fffffff

const isObject = (value: unknown): value is object =>
  typeof value === "object" && value !== null && !Array.isArray(value)

/** A value as a mistake names it: what is large, or might be secret, by its kind alone. */
export const shown = (value: unknown): string => {
  if (Array.isArray(value)) return "a list"
  if (typeof value === "function") return "a function"
  if (isObject(value)) return "an object"
  return typeof value === "string" ? JSON.stringify(value.slice(0, 100)) : String(value)
}

/** Collects mistakes; each reader gives the value, or what is taken where there is none or a wrong one. */
export interface Checks {
  readonly mistakes: Array<string>
  /** A duration in whole milliseconds, rounded up: more than 0, at most 2^31-1 (24 days). */
  readonly millis: (name: string, input: Duration.Input | undefined, fallback: number) => number
  /** The same, where nothing is a choice. */
  readonly millisFrom0: (name: string, input: Duration.Input | undefined, fallback: number) => number
  /** The same, where never is a choice: `Infinity`. */
  readonly millisOrNever: (name: string, input: Duration.Input | undefined, fallback: number) => number
  /** A whole number from 1 on, exact as a number. */
  readonly positive: (name: string, input: number | undefined, fallback: number) => number
  /** A whole number from 1 on that fits an int32. */
  readonly positiveInt32: (name: string, input: number | undefined, fallback: number) => number
  /** `true` or `false`: in a text that says "false" there is a mistake, not a choice. */
  readonly boolean: (name: string, input: boolean | undefined, fallback: boolean) => boolean
  readonly schedule: (name: string, input: Backoff.Retry | undefined) => Backoff.Retry | undefined
}

const units = new Set(["weeks", "days", "hours", "minutes", "seconds", "milliseconds", "microseconds", "nanoseconds"])

const isOfOtherWords = (input: unknown): boolean => {
  if (!isObject(input) || Duration.isDuration(input)) return false
  const words = Object.keys(input)
  return words.length === 0 || words.some((word) => !units.has(word))
}

/** Makes `Checks`. */
export const checks = (): Checks => {
  const mistakes: Array<string> = []
  const duration = (
    name: string,
    input: Duration.Input | undefined,
    fallback: number,
    least: number,
    endless: boolean
  ): number => {
    if (input === undefined) return fallback
    let millis = NaN
    try {
      // A number that is none, or an object of other words, would be taken for nothing.
      if (!Number.isNaN(input) && !isOfOtherWords(input))
        millis = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(input)))
    } catch {}
    if (Number.isNaN(millis)) mistakes.push(`${name} is not a duration: ${shown(input)}`)
    else if (millis < least)
      mistakes.push(`${name} must be ${least === 0 ? "0 or more" : "more than 0"}, not ${shown(input)}`)
    else if (millis > maxInt32 && !(endless && millis === Infinity))
      mistakes.push(
        `${name} must be at most ${maxInt32} ms (24 days)${endless ? ", or Infinity" : ""}, not ${shown(input)}`
      )
    else return millis
    return fallback
  }
  const whole = (name: string, input: number | undefined, fallback: number, most: number): number => {
    if (input === undefined) return fallback
    if (Number.isSafeInteger(input) && input > 0 && input <= most) return input
    const upTo = Number.isFinite(input) && input > most ? ` and at most ${most}` : ""
    mistakes.push(`${name} must be a whole number above 0${upTo}, not ${shown(input)}`)
    return fallback
  }
  return {
    mistakes,
    millis: (name, input, fallback) => duration(name, input, fallback, 1, false),
    millisFrom0: (name, input, fallback) => duration(name, input, fallback, 0, false),
    millisOrNever: (name, input, fallback) => duration(name, input, fallback, 1, true),
    positive: (name, input, fallback) => whole(name, input, fallback, Number.MAX_SAFE_INTEGER),
    positiveInt32: (name, input, fallback) => whole(name, input, fallback, maxInt32),
    boolean: (name, input, fallback) => {
      if (input === undefined || typeof input === "boolean") return input ?? fallback
      mistakes.push(`${name} is neither true nor false`)
      return fallback
    },
    schedule: (name, input) => {
      if (input === undefined || Schedule.isSchedule(input)) return input
      mistakes.push(`${name} is not a Schedule`)
      return undefined
    }
  }
}

/** What a setting may be: in words, as in "group is a text, not 5", and whether a value is that. */
export interface Kind {
  readonly is: string
  readonly holds: (value: unknown) => boolean
  /** What is wrong with a value that is not that, where more can be said than of which kind it is. */
  readonly problem?: (value: unknown) => string | undefined
  /** It has to be there. */
  readonly isRequired?: true
  /** What is given in its place may hold a secret, and is not shown. */
  readonly isSecret?: true
}

/** What each setting may be, by name; `true` where whoever reads it says so: a reader of `Checks`. */
export interface Table {
  readonly [name: string]: Kind | true
}

/** A table that has every setting of `Options`, and no other. */
export type TableOf<Options> = { readonly [name in keyof Options]-?: Kind | true }

/** Whether a value has members of these kinds. */
const has = (value: unknown, members: { readonly [name: string]: (value: unknown) => boolean }): boolean =>
  isObject(value) && Object.entries(members).every(([name, holds]) => holds((value as Record<string, unknown>)[name]))

const isFunction = (value: unknown): boolean => typeof value === "function"
const isString = (value: unknown): boolean => typeof value === "string"

const isCount = (value: unknown): boolean => Number.isSafeInteger(value) && (value as number) > 0

/** Whether a request can carry it. */
const isText = (value: unknown): value is string =>
  typeof value === "string" && value.isWellFormed() && Buffer.byteLength(value) <= 0x7fff

/** What is wrong with a topic's name; undefined for what is no name, too. */
const problemOfName = (value: unknown): string | undefined => {
  const name: unknown = isObject(value) ? (value as { readonly name?: unknown }).name : value
  return typeof name !== "string" || isText(name)
    ? undefined
    : `${shown(name)} is no topic's name: 1 to 249 letters, digits, ".", "_" and "-"`
}

const isTopic = (value: unknown): boolean =>
  isText(value) || has(value, { name: isText, key: Schema.isSchema, value: Schema.isSchema })
const isTopicOfSchemas = (value: unknown): boolean => isObject(value) && isTopic(value)

const isPlace = (value: unknown): boolean => has(value, { topic: isString, partition: Number.isSafeInteger })

const listOf = (holds: (value: unknown) => boolean) => (value: unknown) => Array.isArray(value) && value.every(holds)

/** One of some words. */
export const oneOf = (...words: ReadonlyArray<unknown>): Kind => ({
  is: `one of ${words.join(", ")}`,
  holds: (value) => words.includes(value)
})

/** The same setting, where it has to be there. */
export const required = (kind: Kind): Kind => ({ ...kind, isRequired: true })

/** What settings of several modules may be. */
export const kinds = {
  text: { is: "a text of at most 32767 bytes", holds: isText },
  name: { is: "a text of 1 to 32767 bytes", holds: (value) => isText(value) && value !== "" },
  function: { is: "a function", holds: isFunction },
  settings: { is: "an object of settings", holds: isObject },
  schedule: { is: "a Schedule", holds: Schedule.isSchedule },
  count: { is: "a whole number above 0", holds: isCount },
  countOrInfinity: {
    is: "a whole number above 0, or Infinity",
    holds: (value) => value === Infinity || isCount(value)
  },
  regExp: { is: "a RegExp", holds: (value) => value instanceof RegExp },
  topic: { is: "a Topic, or the name of one", holds: isTopic, problem: problemOfName },
  topics: {
    is: "a list of Topics, or names of them",
    holds: listOf(isTopic),
    problem: (value) => (Array.isArray(value) ? value.map(problemOfName).find((one) => one !== undefined) : undefined)
  },
  partitions: {
    is: "a list of partitions: numbers of one topic, or { topic, partition } each",
    holds: listOf((one) => typeof one === "number" || isPlace(one))
  },
  deadLetter: {
    is: "a Topic, or { topic, when }",
    holds: (value) => isTopicOfSchemas(value) || has(value, { topic: isTopicOfSchemas, when: isFunction }),
    problem: (value) => problemOfName((value as { readonly topic?: unknown } | null)?.topic ?? value)
  },
  onUndecodable: {
    is: `"fail", "skip" or a function`,
    holds: (value) => value === "fail" || value === "skip" || isFunction(value)
  },
  membership: {
    is: "a Membership, such as Membership.classic()",
    holds: (value) => has(value, { name: isString, mistakes: listOf(isString), join: isFunction })
  },
  assignors: {
    is: "a list of assignors, such as Assignor.range, at least one",
    holds: (value) =>
      Array.isArray(value) && value.length > 0 && value.every((one) => has(one, { name: isString, assign: isFunction }))
  },
  partitioner: {
    is: "a Partitioner, such as Partitioner.sticky()",
    holds: (value) => has(value, { name: isString, make: isFunction })
  }
} satisfies { readonly [name: string]: Kind }

/**
 * The settings, as far as they are of a table. Each that is none of its names or not what it says is a mistake, and is
 * left out, so that whoever goes on finds nothing of another kind. `of`: whose settings they are, such as `tls.`;
 * `elsewhere`: who else knows a name.
 */
export const known = <A extends object>(
  given: A,
  table: Table,
  mistake: (text: string) => void,
  of = "",
  elsewhere: (name: string) => string | undefined = () => undefined
): A => {
  if (!isObject(given)) {
    // A text may be an address with a password in it.
    mistake(`the settings are an object, not ${typeof given === "string" ? "a text" : shown(given)}`)
    return {} as A
  }
  for (const [name, value] of Object.entries(given)) {
    if (value === undefined || Object.hasOwn(table, name)) continue
    const other = elsewhere(name)
    mistake(`"${of}${name}" is no setting${other === undefined ? "" : ` here: it is one of ${other}`}`)
  }
  const found: Record<string, unknown> = {}
  for (const [name, kind] of Object.entries(table)) {
    const value = (given as Record<string, unknown>)[name]
    if (value !== undefined && (kind === true || kind.holds(value))) found[name] = value
    else if (value !== undefined && kind !== true)
      mistake(kind.problem?.(value) ?? `${of}${name} is ${kind.is}${kind.isSecret ? "" : `, not ${shown(value)}`}`)
    else if (kind !== true && kind.isRequired) mistake(`${of}${name} is missing: it is ${kind.is}`)
  }
  return found as A
}

/** Fails with `Misconfigured` where there are mistakes. */
export const settle = <A>(self: Checks, value: A): Effect.Effect<A, KafkaError.KafkaError> =>
  self.mistakes.length === 0
    ? Effect.succeed(value)
    : Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: self.mistakes }))
