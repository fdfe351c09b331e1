/** Pure. What a message is, apart from the notation that defines it. */
import type * as Schema from "effect/Schema"
import type { Versions } from "./Versions.ts"

/** A message: its name, API key (-1 where it is neither request nor response), versions, and its Schema. */
export interface Message<S extends Schema.Top> {
  readonly name: string
  readonly key: number
  /** Every version that is known. */
  readonly versions: Versions
  /** The versions that may be negotiated: those that the published definitions do not call unstable. */
  readonly stable: Versions
  /** The versions with compact types and tagged fields. */
  readonly flexible: Versions
  /** The type of all versions together. Built when it is first asked for. */
  readonly schema: S
}
