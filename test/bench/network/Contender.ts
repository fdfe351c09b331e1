/** What each client does in the benchmark: the same work, by the means that its own documentation shows first. */
import type { Meter } from "./Meter.ts"

export interface Target {
  readonly bootstrap: string
  readonly topic: string
}

export interface Contender {
  /** Five calls under way, each of `perCall` records; `acks: all`, no compression. */
  readonly sendAll: (target: Target, meter: Meter) => Promise<void>
  /** A hundred loops, each of which sends one record and waits for its acknowledgement. */
  readonly send: (target: Target, meter: Meter) => Promise<void>
  /** One transaction after the other, each of `perCall` records. */
  readonly transactions?: (target: Target, meter: Meter) => Promise<void>
  /** As a group's only member, from the beginning, looking at each key and value; then commits. */
  readonly consume: (target: Target, meter: Meter, how: How) => Promise<void>
}

/**
 * How records are consumed: as bytes array by array, or by a handler that is called for each; keys and values as text;
 * or values as the objects that their JSON stands for, array by array.
 */
export type How = "arrays" | "each" | "text" | "json"

export const inFlight = 5
export const perCall = 1000
export const senders = 100

/** Text: 100 bytes, unless told otherwise. */
export const value = Buffer.from(
  Array.from({ length: Number(process.env.BENCH_VALUE ?? 100) }, (_, i) => 32 + ((i * 7919 + (i >> 3)) % 90))
)

/** JSON of five fields, some 80 bytes; each is another. */
export const json = (i: number): Buffer =>
  Buffer.from(
    JSON.stringify({
      id: `order-${i}`,
      customer: `c-${i % 977}`,
      total: (i % 9973) * 1.25,
      count: i % 17,
      paid: i % 2 === 0
    })
  )

let keys = 0
/** A key that was not there before: they spread over the partitions. */
export const key = (): string => `k${keys++}`
