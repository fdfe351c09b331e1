/** What a scenario is, and the lines that most of them share. */
import type { Oracle } from "samsa/testing"

/** A test that is a scenario, or a part of one that no script can say. */
export interface Elsewhere {
  readonly file: string
  /** What its title has. */
  readonly title: string
}

/** A trouble that clients are known to have met, and what must hold all the same. */
export interface Scenario {
  readonly number: number
  /** The fault, and what must hold. */
  readonly words: string
  /** In the simulator's language; each is a beginning that others go on from. */
  readonly scripts: ReadonlyArray<string>
  readonly elsewhere?: ReadonlyArray<Elsewhere>
  /** What must have happened in each of the scripts, or it is not this scenario. Every fault of theirs strikes. */
  readonly shows?: (history: ReadonlyArray<Oracle.Event>) => boolean
}

/** A script: a cluster of three, clients c1 to c4, a producer `p1` of c1, and what is given. */
export const script = (...lines: ReadonlyArray<string | ReadonlyArray<string>>): string =>
  ["simulation seed=1", ...lines.flat()].join("\n")

export const three = (more = ""): ReadonlyArray<string> => [
  `cluster brokers=3 ${more}`,
  "topic t0 partitions=3 replicas=3",
  "client c1 requestTimeout=3s",
  "client c2 requestTimeout=3s",
  "client c3 requestTimeout=3s",
  "client c4 requestTimeout=3s"
]

/** A member of `g1`; what is said last counts. */
export const member = (name: string, client: string, more = ""): string =>
  `member ${name} client=${client} group=g1 topics=[t0] enter=subscribe from=earliest way=run sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s ${more}`

export const producer = (more = ""): string => `producer p1 client=c1 requestTimeout=2s deliveryTimeout=60s ${more}`

export const join = (...names: ReadonlyArray<string>): ReadonlyArray<string> =>
  names.map((name) => `0 join member=${name}`)

/** `p1` sends to `t0`. */
export const send = (at: number, count: number, more = ""): string =>
  `${at} send producer=p1 topic=t0 count=${count} how=send keys=7 bytes=40 ${more}`

/** Lines, one for each of these. */
export const each = <A>(list: ReadonlyArray<A>, line: (one: A, i: number) => string): ReadonlyArray<string> =>
  list.map(line)

export const upTo = (count: number): ReadonlyArray<number> => Array.from({ length: count }, (_, i) => i)

export const has =
  (tag: Oracle.Event["_tag"]) =>
  (history: ReadonlyArray<Oracle.Event>): boolean =>
    history.some(({ _tag }) => _tag === tag)

export const hasNo =
  (tag: Oracle.Event["_tag"]) =>
  (history: ReadonlyArray<Oracle.Event>): boolean =>
    !has(tag)(history)
