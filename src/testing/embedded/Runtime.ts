/**
 * What the broker takes from the world: time, a seeded choice, and the next tick. The broker itself knows no fiber and
 * no clock; `EmbeddedKafka` gives it an `Runtime` over the Clock service, so that TestClock drives every wait.
 */

/** A wait that may be called off. */
export interface Timer {
  readonly cancel: () => void
}

export interface Runtime {
  /** Milliseconds since 1970. */
  readonly now: () => number
  /** Runs once after so many milliseconds, unless it is called off or the broker's Scope closes first. */
  readonly after: (millis: number, run: () => void) => Timer
  /** Runs in the next tick of the scheduler. */
  readonly soon: (run: () => void) => void
  /** From 0 (included) to 1 (excluded), the same series for the same seed. */
  readonly random: () => number
}

/** A series of numbers from a seed (mulberry32). */
export const randomOf = (seed: number): (() => number) => {
  let state = seed | 0
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let t = Math.imul(state ^ (state >>> 15), 1 | state)
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296
  }
}

/** The id of nothing: sixteen zeros. */
export const zeroId = "AAAAAAAAAAAAAAAAAAAAAA"

const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"

/** A random (version 4) uuid as base64url text of 22 characters. */
export const uuid = (random: () => number): string => {
  let text = ""
  for (let i = 0; i < 22; i++) {
    // 128 bits are 21 characters and 2 bits; the version and variant bits stand in characters 8 and 10
    let bits = Math.floor(random() * 64)
    if (i === 0 && bits === 62) bits = 0 // as Kafka: never a leading dash, which command lines read as an option
    if (i === 8) bits = 16 | (bits & 15)
    if (i === 10) bits = (bits & 3) | ((8 | ((bits >> 4) & 3)) << 2)
    if (i === 21) bits &= 48
    text += alphabet[bits]
  }
  return text
}
