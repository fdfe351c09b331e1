/**
 * Checking settings: every mistake is collected, so that all of them are told at once, and every value fits what it is
 * carried in: a duration goes to brokers as an int32 of milliseconds, and into timers that ring at once beyond it.
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schedule from "effect/Schedule"
import type * as Backoff from "./Backoff.ts"
import * as KafkaError from "./KafkaError.ts"

/** The most that an int32 carries. */
export const maxInt32 = 0x7fffffff

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
      // A number that is none would be taken for nothing.
      if (!Number.isNaN(input)) millis = Math.ceil(Duration.toMillis(Duration.fromInputUnsafe(input)))
    } catch {}
    if (Number.isNaN(millis)) mistakes.push(`${name} is not a duration: ${String(input)}`)
    else if (millis < least)
      mistakes.push(`${name} must be ${least === 0 ? "0 or more" : "more than 0"}, not ${String(input)}`)
    else if (millis > maxInt32 && !(endless && millis === Infinity))
      mistakes.push(
        `${name} must be at most ${maxInt32} ms (24 days)${endless ? ", or Infinity" : ""}, not ${String(input)}`
      )
    else return millis
    return fallback
  }
  const whole = (name: string, input: number | undefined, fallback: number, most: number): number => {
    if (input === undefined) return fallback
    if (Number.isSafeInteger(input) && input > 0 && input <= most) return input
    const upTo = Number.isFinite(input) && input > most ? ` and at most ${most}` : ""
    mistakes.push(`${name} must be a whole number above 0${upTo}, not ${String(input)}`)
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

/** Says each name that is none of a setting. `of`: whose settings they are, such as `tls.`. */
export const checkNames = (
  given: object,
  known: { readonly [name: string]: true },
  mistake: (text: string) => void,
  of = ""
): void => {
  for (const [name, value] of Object.entries(given))
    if (value !== undefined && !Object.hasOwn(known, name)) mistake(`"${of}${name}" is no setting`)
}

/** Fails with `Misconfigured` where there are mistakes. */
export const settle = <A>(self: Checks, value: A): Effect.Effect<A, KafkaError.KafkaError> =>
  self.mistakes.length === 0
    ? Effect.succeed(value)
    : Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: self.mistakes }))
