import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import { TestClock } from "effect/testing"
import * as Outages from "../../src/zookeeper/Outages.ts"
import type { Sessions, SessionState } from "../../src/zookeeper/Sessions.ts"

it.effect("who tells of outages listens once, however many there were (two more behind each)", () =>
  Effect.gen(function* () {
    const listeners = new Set<(state: SessionState) => void>()
    let state: SessionState | undefined
    const sessions = {
      state: () => state,
      listen: (listener: (state: SessionState) => void) => {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      failures: () => new Map()
    } as unknown as Sessions
    const publish = (next: SessionState) => {
      state = next
      for (const listener of Array.from(listeners)) listener(next)
      return TestClock.adjust(1)
    }
    yield* Effect.forkChild(Outages.told(sessions, []), { startImmediately: true })
    for (let i = 0; i < 5; i++) {
      yield* publish({ _tag: "Connected", session: "1", isNew: false })
      assert.strictEqual(listeners.size, 1)
      yield* publish({ _tag: "Suspended", session: "1" })
      assert.strictEqual(listeners.size, 1)
    }
  })
)
