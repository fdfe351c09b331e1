/** What is waited for, in the log: as a warning within 5 seconds, not before it lasts, and that it is over. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Producer } from "samsa"
import { EmbeddedKafka, Fault } from "samsa/testing"
import { member, orders, pass, scoped, two, until } from "./consume/Harness.ts"
import { heard, levelsOf, loud, of } from "./Heard.ts"

const entry = { key: null, value: "v", partition: 0 }
const running = ({ consumer }: Effect.Success<ReturnType<typeof member>>) =>
  Effect.forkScoped(Effect.exit(consumer.run(() => Effect.void)))

describe("a broker that owes an answer", () => {
  for (const api of ["FindCoordinator", "JoinGroup", "OffsetFetch", "ListOffsets", "Fetch"] as const)
    it.effect(`is told within 5 s, and that it is over (it was told after 15 to 31 s, if ever: ${api})`, () =>
      Effect.gen(function* () {
        const broker = yield* EmbeddedKafka.EmbeddedKafka
        const fault = yield* broker.inject(Fault.on(api, { times: 1 }).withhold)
        yield* running(yield* member())
        yield* pass(5_000)
        assert.include(
          loud().map(({ text }) => text)[0],
          api === "JoinGroup" ? "its coordinator does not answer" : `owes the answer to ${api} for 3 s`
        )
        if (api === "JoinGroup") assert.deepStrictEqual(levelsOf("brokerSlow"), [])
        else assert.deepStrictEqual(levelsOf("brokerSlow"), ["Warn"])
        yield* fault.remove
        yield* until("it goes on", () => of("goesOn").length > 0)
        assert.deepStrictEqual(new Set(levelsOf("goesOn")), new Set(["Info"]))
      }).pipe(scoped, Effect.provide(two), heard)
    )

  it.effect("is told once, on however many connections, and goes on as soon as it answers", () =>
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const producer = yield* Producer.make()
      yield* running(yield* member())
      yield* pass(5_000)
      assert.deepStrictEqual(loud(), [])
      yield* broker.inject(Fault.on("Produce", { times: 1 }).delay(8_000))
      yield* broker.inject(Fault.on("Fetch", { times: 1 }).delay(8_000))
      yield* Effect.forkScoped(producer.send(orders, entry))
      yield* pass(12_000)
      assert.deepStrictEqual(
        loud().map(({ event }) => event),
        ["brokerSlow", "goesOn"]
      )
    }).pipe(scoped, Effect.provide(two), heard)
  )
})
