/** How often the event loop comes round while something is at work. */
export interface TurnsOfTheLoop {
  readonly soFar: () => number
  /** Looks no more, and says how often it was. */
  readonly stop: () => number
}

/** Counts from here on, until it is stopped. */
export const turnsOfTheLoop = (): TurnsOfTheLoop => {
  let looks = 0
  let goesOn = true
  const look = () => {
    looks++
    if (goesOn) setImmediate(look)
  }
  look()
  return {
    soFar: () => looks,
    stop: () => {
      goesOn = false
      return looks
    }
  }
}
