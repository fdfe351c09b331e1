/** Pure. What one may be allowed to do (ACL operations), by the names that Kafka's tools use and by number. */

const names = [
  "unknown",
  "any",
  "all",
  "read",
  "write",
  "create",
  "delete",
  "alter",
  "describe",
  "cluster-action",
  "describe-configs",
  "alter-configs",
  "idempotent-write",
  "create-tokens",
  "describe-tokens",
  "two-phase-commit"
] as const

/** An operation. `all` stands for all of them, in rules. */
export type Operation = Exclude<(typeof names)[number], "any">

/** Those that a rule may be about. */
export const grantable = names.filter((name) => name !== "unknown" && name !== "any")

export const numberOf = (operation: Operation | "any"): number => names.indexOf(operation)

export const of = (number: number): Operation => {
  const name = names[number]
  return name === undefined || name === "any" ? "unknown" : name
}

/** Where operations were not asked for. */
const notAsked = -2147483648

/** Operations as bits by their numbers; undefined where none were asked for. */
export const ofBits = (bits: number): ReadonlyArray<Operation> | undefined =>
  bits === notAsked ? undefined : names.flatMap((name, i) => ((bits >>> i) & 1 && name !== "any" ? [name] : []))
