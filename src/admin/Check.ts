/** Pure. Whether values can be sent: what is wrong with them, in words. */
import { kinds, shown } from "../Checks.ts"

const maxInt32 = 0x7fffffff
const maxInt16 = 0x7fff

/** A whole number within bounds. */
export const whole = (name: string, value: unknown, least: number, most: number): ReadonlyArray<string> =>
  typeof value === "number" && Number.isInteger(value) && value >= least && value <= most
    ? []
    : [`${name} must be a whole number from ${least} to ${most}, not ${shown(value)}`]

/** A number that fits an int32, from `least` on. */
export const int32 = (name: string, value: unknown, least = 0): ReadonlyArray<string> =>
  whole(name, value, least, maxInt32)

/** A number that fits an int16, from `least` on. */
export const int16 = (name: string, value: unknown, least = 0): ReadonlyArray<string> =>
  whole(name, value, least, maxInt16)

/** An offset, or whatever else is an int64 that a number holds. */
export const int64 = (name: string, value: unknown, least = 0): ReadonlyArray<string> =>
  whole(name, value, least, Number.MAX_SAFE_INTEGER)

/** A text with something in it, that a request can carry. */
export const text = (name: string, value: unknown): ReadonlyArray<string> =>
  kinds.name.holds(value) ? [] : [`${name} must be ${kinds.name.is}, not ${shown(value)}`]

/** A topic and a partition of it. */
export const partition = (value: { readonly topic: string; readonly partition: number }): ReadonlyArray<string> => [
  ...text("topic", value.topic),
  ...int32("partition", value.partition)
]

/** Broker ids, each once. */
export const replicas = (name: string, ids: ReadonlyArray<number>): ReadonlyArray<string> => [
  ...ids.flatMap((id) => int32(name, id)),
  ...(ids.length === 0 ? [`${name} must name a broker`] : []),
  ...(new Set(ids).size < ids.length ? [`${name} names a broker twice: ${ids.join(", ")}`] : [])
]

/** A list. */
export const list = (name: string, value: unknown): ReadonlyArray<string> =>
  Array.isArray(value) ? [] : [`${name} must be a list, not ${shown(value)}`]

/** A list, each of which is looked at by itself. */
export const each = <A>(
  name: string,
  values: ReadonlyArray<A>,
  one: (value: A) => ReadonlyArray<string>
): ReadonlyArray<string> => (Array.isArray(values) ? values.flatMap(one) : list(name, values))

/** An object of names and what they stand for. */
export const object = (name: string, value: unknown): ReadonlyArray<string> =>
  kinds.settings.holds(value) ? [] : [`${name} must be an object, not ${shown(value)}`]

/** A topic and a partition of it, of which nothing is known yet. */
export const place = (value: { readonly topic: string; readonly partition: number }): ReadonlyArray<string> =>
  kinds.settings.holds(value) ? partition(value) : object("a partition", value)

/** Settings by name, each a text, a number or a boolean. */
export const settings = (name: string, given: object | null | undefined): ReadonlyArray<string> =>
  given === undefined || kinds.settings.holds(given)
    ? Object.entries(given ?? {}).flatMap(([key, value]) =>
        ["string", "number", "boolean", "bigint"].includes(typeof value)
          ? []
          : [`${name}: ${key} must be a text, a number or a boolean, not ${shown(value)}`]
      )
    : object(name, given)
