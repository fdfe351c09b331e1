/**
 * Drives a pure state machine: one event after the other, each a step whose commands are carried out at once, and a step
 * of its own at each of the machine's deadlines on the Clock.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Backoff from "../Backoff.ts"
import { Signal } from "../Signal.ts"

/** A machine, as its driver sees it. Times are milliseconds. */
export interface Machine<State, Event, Command> {
  readonly initial: State
  /** Its time; left out: the monotonic clock's. */
  readonly now?: () => number
  readonly step: (state: State, event: Event, now: number) => readonly [State, ReadonlyArray<Command>]
  /** Where it wants a step though nothing has happened: `tick`. */
  readonly deadline: (state: State) => number | undefined
  readonly tick: Event
  readonly hasEnded: (state: State) => boolean
  readonly carryOut: (command: Command) => void
  /** After every step. */
  readonly stepped?: (state: State) => void
}

/** A machine that is driven. */
interface Driven<State, Event> {
  readonly now: () => number
  readonly state: () => State
  /** The event's turn comes, in order. */
  readonly post: (event: Event) => void
  /** The event is taken at once, before those that wait: for what must be known before the machine's own turn comes. */
  readonly advance: (event: Event) => void
  /** The turns, until the machine has ended. */
  readonly run: Effect.Effect<void>
  /** Completes when the machine has ended. */
  readonly ended: Effect.Effect<void>
}

/** Makes the driver; nothing moves before `run`, but by `advance`. */
export const make = <State, Event, Command>(
  machine: Machine<State, Event, Command>
): Effect.Effect<Driven<State, Event>> =>
  Effect.map(Clock.Clock, (clock) => {
    let state = machine.initial
    /** A turn is due: something was posted, or the deadline is another. */
    let isDue = false
    const events: Array<Event> = []
    const due = new Signal(() => isDue)
    const end = new Signal(() => machine.hasEnded(state))
    const now = machine.now ?? (() => Backoff.monotonic(clock))
    const wake = () => {
      isDue = true
      due.fire()
    }
    const step = (event: Event): void => {
      const [next, commands] = machine.step(state, event, now())
      state = next
      for (const command of commands) machine.carryOut(command)
      machine.stepped?.(state)
      if (machine.hasEnded(state)) end.fire()
    }
    const turn = Effect.suspend(() => {
      isDue = false
      const event = events.shift()
      if (event !== undefined) return Effect.sync(() => step(event))
      const at = machine.deadline(state)
      if (at === undefined) return due.await
      if (at > now()) return Effect.raceFirst(due.await, Effect.sleep(at - now()))
      return Effect.sync(() => step(machine.tick))
    })
    return {
      now,
      state: () => state,
      post: (event) => {
        events.push(event)
        wake()
      },
      advance: (event) => {
        step(event)
        wake()
      },
      run: Effect.repeat(turn, { while: () => !machine.hasEnded(state) }),
      ended: end.await
    }
  })
