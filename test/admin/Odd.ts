/** What no verb is meant to be given, and what it is given with such in one place of it. */
const circular: { self?: unknown } = {}
circular.self = circular
export const odd: ReadonlyArray<unknown> = [
  5n,
  Symbol("x"),
  null,
  undefined,
  NaN,
  {},
  [5n],
  [null],
  circular,
  Object.create(null),
  () => 1,
  {
    toString() {
      throw new Error("no text")
    }
  },
  {
    toJSON() {
      throw new Error("no JSON")
    }
  }
]

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype

/** The same with one place in it taken by something else, for each place. */
export const replacedBy = (value: unknown, other: unknown): ReadonlyArray<unknown> => {
  const within: ReadonlyArray<unknown> = Array.isArray(value)
    ? value.flatMap((one, i) => replacedBy(one, other).map((changed) => value.with(i, changed)))
    : isPlain(value)
      ? Object.entries(value).flatMap(([key, one]) =>
          replacedBy(one, other).map((changed) => ({ ...value, [key]: changed }))
        )
      : []
  return [other, ...within]
}
