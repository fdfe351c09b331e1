import { assert, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/testing/TestClock"
import * as Machine from "../../src/engine/Machine.ts"

interface State {
  readonly seen: ReadonlyArray<string>
  readonly deadline: number | undefined
}

/** Writes down what it is given; "by N" sets its deadline, "end" ends it. */
const make = (carryOut: (command: string) => void = () => {}) =>
  Machine.make<State, string, string>({
    initial: { seen: [], deadline: undefined },
    step: (state, event, now) => [
      {
        seen: [...state.seen, `${event}@${now}`],
        deadline: event.startsWith("by ") ? Number(event.slice(3)) : event === "tick" ? undefined : state.deadline
      },
      event.startsWith("do ") ? [event.slice(3)] : []
    ],
    deadline: (state) => state.deadline,
    tick: "tick",
    hasEnded: (state) => state.seen.some((event) => event.startsWith("end@")),
    carryOut
  })

it.effect("events are taken in order, commands carried out within the step, and a deadline is a tick", () =>
  Effect.gen(function* () {
    const done: Array<string> = []
    const machine = yield* make((command) => {
      done.push(command)
      if (command === "more") machine.post("posted within")
    })
    const running = yield* Effect.forkChild(machine.run)
    machine.post("by 100")
    machine.post("do more")
    yield* Effect.yieldNow
    yield* TestClock.adjust(250)
    assert.deepStrictEqual(machine.state().seen, ["by 100@0", "do more@0", "posted within@0", "tick@100"])
    assert.deepStrictEqual(done, ["more"])
    const ended = yield* Effect.forkChild(machine.ended)
    machine.post("end")
    yield* Fiber.join(running)
    yield* Fiber.join(ended)
    yield* machine.ended
  })
)

it.effect("what is advanced is taken at once, and the deadline that it sets is kept", () =>
  Effect.gen(function* () {
    const machine = yield* make()
    yield* Effect.forkChild(machine.run)
    machine.post("by 1000")
    yield* Effect.yieldNow
    yield* TestClock.adjust(10)
    machine.advance("by 50")
    assert.deepStrictEqual(machine.state().seen, ["by 1000@0", "by 50@10"])
    yield* TestClock.adjust(40)
    assert.deepStrictEqual(machine.state().seen, ["by 1000@0", "by 50@10", "tick@50"])
  })
)
