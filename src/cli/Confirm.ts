/** What destroys is asked about first, on a terminal; elsewhere it takes `--yes`. */
import * as Effect from "effect/Effect"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { failed, wrong } from "./Failed.ts"

export const dryRun = Flag.Boolean("dry-run").pipe(
  Flag.withDescription("Say what would be done, and do nothing"),
  Flag.withDefault(false)
)

export const yes = Flag.Boolean("yes").pipe(
  Flag.withAlias("y"),
  Flag.withDescription("Do not ask; needed where there is no terminal"),
  Flag.withDefault(false)
)

/** Fails where it is not wanted. */
export const wanted = (what: string, yes: boolean) =>
  Effect.gen(function* () {
    if (yes) return
    if (process.stdin.isTTY !== true || process.stdout.isTTY !== true)
      return yield* wrong(`to ${what} without a terminal takes --yes`)
    const sure = yield* Prompt.Confirm({ message: `${what}?`, initial: false }).pipe(
      Effect.mapError((error) => failed("nothing was done", error))
    )
    if (!sure) return yield* failed("nothing was done")
  })
