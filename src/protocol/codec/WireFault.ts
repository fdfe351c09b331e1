/**
 * Pure. What goes wrong inside a reader or writer. It is thrown without a stack and without a path: each struct and array
 * that it passes on its way out puts its own name in front. So the path is exact, and costs nothing while all is well.
 */
import * as KafkaError from "../../KafkaError.ts"

/** Bytes that cannot be read, a value that cannot be written, or one that the version cannot carry. */
export type Kind = "bytes" | "value" | "version"

export class WireFault {
  readonly kind: Kind
  readonly problem: string
  /** The byte position, when reading. */
  readonly position: number | undefined
  /** Such as `topics[3].name`. */
  path = ""

  constructor(kind: Kind, problem: string, position?: number) {
    this.kind = kind
    this.problem = problem
    this.position = position
  }
}

/** Puts the name of a field, or the `[index]` of an element, in front of the path; gives what to throw on. */
export const under = (thrown: unknown, segment: string): unknown => {
  if (thrown instanceof WireFault) {
    const path = thrown.path
    thrown.path = path === "" || path.startsWith("[") ? segment + path : `${segment}.${path}`
  }
  return thrown
}

/** The message that the fault is of. */
export interface Subject {
  readonly name: string
  readonly version: number
  /** The versions that this client knows, as text. */
  readonly known: string
}

/** The typed error of whatever a reader or writer threw. */
export const toError = (thrown: unknown, subject: Subject, direction: "read" | "write"): KafkaError.KafkaError => {
  if (thrown instanceof KafkaError.KafkaError) return thrown
  const fault =
    thrown instanceof WireFault
      ? thrown
      : new WireFault(direction === "read" ? "bytes" : "value", `failed: ${String(thrown)}`)
  const what = `${subject.name} v${subject.version}`
  const where = { api: subject.name.replace(/(Request|Response)$/, ""), version: subject.version }
  switch (fault.kind) {
    case "bytes":
      return KafkaError.make(
        {
          ...where,
          _tag: "Corrupt",
          what,
          path: fault.path === "" ? undefined : fault.path,
          position: fault.position,
          problem: fault.problem
        },
        fault === thrown ? undefined : thrown
      )
    case "version":
      return KafkaError.make({
        ...where,
        _tag: "Unsupported",
        needed: `${fault.path} of ${subject.name} (${fault.problem})`,
        ours: subject.known,
        theirs: `${subject.version}`
      })
    case "value":
      return KafkaError.make(
        {
          ...where,
          _tag: "Misuse",
          message: `${what}${fault.path === "" ? "" : `, ${fault.path}`}: ${fault.problem}`
        },
        fault === thrown ? undefined : thrown
      )
  }
}
