/** What a verb leaves that is interrupted amid a change: whoever interrupts it has no answer that could say so. */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"

/** Items by their keys; those that are in neither list were not changed. */
export interface Left {
  /** As the protocol spells it. */
  readonly api: string
  /** Of these a broker has said that it is done. */
  readonly done: ReadonlyArray<string>
  /** These were sent, and not answered: it may be done, and may still be. */
  readonly perhaps: ReadonlyArray<string>
}

/** Hears of it. */
export const Heard: Context.Reference<(left: Left) => Effect.Effect<void>> = Context.Reference<
  (left: Left) => Effect.Effect<void>
>("samsa/admin/Left", { defaultValue: () => () => Effect.void })
