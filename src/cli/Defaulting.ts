/** Flags whose help tells their default. */
import * as Flag from "effect/cli/Flag"

/** A description that tells the default, and the default. */
export const defaulting =
  (description: string, value: string | number) =>
  <A extends string | number>(flag: Flag.Flag<A>): Flag.Flag<A> =>
    flag.pipe(Flag.withDescription(`${description}. Default: ${value}`), Flag.withDefault(value as A))
