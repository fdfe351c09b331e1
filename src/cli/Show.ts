/** Prints what was asked for; what was refused goes to the other stream, a line each, and fails the command. */
import * as Console from "effect/Console"
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import { TerminalCapabilities } from "effect/cli/TerminalCapabilities"
import * as Admin from "../Admin.ts"
import { exitOf, exits, explained, Failed, failed } from "./Failed.ts"
import * as Output from "./Output.ts"
import * as Stopped from "./Stopped.ts"

/** A table, or lines of JSON. */
export const rows = <A>(
  json: boolean,
  values: ReadonlyArray<A>,
  heads: ReadonlyArray<string>,
  cells: (value: A) => ReadonlyArray<Output.Cell>
): Effect.Effect<void> =>
  json
    ? Effect.forEach(values, (value) => Console.log(Output.json(value)), { discard: true })
    : Effect.flatMap(TerminalCapabilities, ({ canColor }) =>
        Console.log(Output.table(heads, values.map(cells), canColor))
      )

/** What was refused, a line each; undefined where nothing was. */
export const refusal = <I, A>(
  items: ReadonlyArray<I>,
  all: ReadonlyArray<Admin.Answer<A>>,
  nameOf: (item: I) => string
): Failed | undefined => {
  const refused = all.flatMap((one, i) =>
    Result.isFailure(one) ? [{ name: nameOf(items[i]!), error: one.failure }] : []
  )
  if (refused.length === 0) return undefined
  const codes = new Set(refused.map(({ error }) => exitOf(error)))
  // Of a group that has members each partition is refused in the same words.
  const lines = new Set(refused.map(({ error, name }) => Output.printable(`${name}: ${explained(error)}`)))
  return new Failed({
    message: [...lines].join("\n"),
    // Where all failed for one kind of reason that is the command's; for several, it was refused.
    exitCode: codes.size === 1 && refused.length === all.length ? [...codes][0]! : exits.refused,
    cause: refused[0]!.error
  })
}

/** What was answered for, where there is something to show of it; then fails, where items were refused, with all of those. */
export const answers = <I, A, R = never>(
  items: ReadonlyArray<I>,
  all: ReadonlyArray<Admin.Answer<A>>,
  nameOf: (item: I) => string,
  show: (values: ReadonlyArray<A>) => Effect.Effect<void, never, R> = () => Effect.void
): Effect.Effect<void, Failed, R> =>
  Effect.gen(function* () {
    const values = all.flatMap((one) => (Result.isSuccess(one) ? [one.success] : []))
    const failure = refusal(items, all, nameOf)
    yield* Stopped.owing(failure)
    if (values.length > 0) yield* show(values)
    if (failure !== undefined) return yield* failure
  })

/** Fails where brokers do not speak what a change is asked by: --dry-run does not say that it would be done. */
export const spoken = (api: string, least: number = 0) =>
  Effect.gen(function* () {
    const admin = yield* Admin.Admin
    const { brokers } = yield* admin.describeCluster()
    const all = yield* admin.brokerApis(brokers.map(({ id }) => id)).pipe(Admin.orFail)
    const without = all.find(({ apis }) => !apis.some(({ max, name }) => name === api && max >= least))
    if (without !== undefined)
      return yield* failed(`Unsupported: ${api} v${least} is needed, which broker ${without.broker} does not offer`)
  })

/** A line for each thing that was done, or an object of JSON. */
export const done = (json: boolean, word: string, names: ReadonlyArray<string>): Effect.Effect<void> =>
  Effect.forEach(
    names,
    (name) => Console.log(json ? Output.json({ [word]: name }) : Output.printable(`${word} ${name}`)),
    {
      discard: true
    }
  )

/** What was done, or would be, of all that was asked, a line each; then fails, where items were refused, with all of those. */
export const changed = <I, A>(
  json: boolean,
  word: string,
  items: ReadonlyArray<I>,
  all: ReadonlyArray<Admin.Answer<A>>,
  nameOf: (item: I) => string
): Effect.Effect<void, Failed> =>
  answers(items, all, nameOf, () => done(json, word, items.filter((_, i) => Result.isSuccess(all[i]!)).map(nameOf)))
