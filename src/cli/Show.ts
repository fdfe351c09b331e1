/** Prints what was asked for; what was refused goes to the other stream, a line each, and fails the command. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type * as Admin from "../Admin.ts"
import { failed } from "./Connection.ts"
import * as Output from "./Output.ts"

/** A table, or lines of JSON. */
export const rows = <A>(
  json: boolean,
  values: ReadonlyArray<A>,
  heads: ReadonlyArray<string>,
  cells: (value: A) => ReadonlyArray<Output.Cell>
): Effect.Effect<void> =>
  json
    ? Effect.forEach(values, (value) => Console.log(Output.json(value)), { discard: true })
    : Console.log(Output.table(heads, values.map(cells)))

/** What was answered for; then fails, where items were refused, with all of those. */
export const answers = <I, A, R>(
  items: ReadonlyArray<I>,
  all: ReadonlyArray<Admin.Answer<A>>,
  nameOf: (item: I) => string,
  show: (values: ReadonlyArray<A>) => Effect.Effect<void, never, R>
) =>
  Effect.gen(function* () {
    const values = all.flatMap((one) => (Result.isSuccess(one) ? [one.success] : []))
    if (values.length > 0) yield* show(values)
    const refused = all.flatMap((one, i) =>
      Result.isFailure(one) ? [`${nameOf(items[i]!)}: ${one.failure.message}`] : []
    )
    if (refused.length > 0) return yield* failed(refused.join("\n"))
  })
