/**
 * Tells the log of a ZooKeeper that cannot be reached: while it may cure itself nothing, once it lasts a warning with what
 * its servers say, then by doubling; and that it is there again.
 */
import * as Effect from "effect/Effect"
import { listed } from "../Listed.ts"
import * as LogEvent from "../LogEvent.ts"
import { becomes, type SessionState, type Sessions } from "./Sessions.ts"

/** So many servers are named. */
const namedAtMost = 10

const isConnected = (state: SessionState | undefined): boolean => state?._tag === "Connected"
/** It is looked for. */
const isOut = (state: SessionState | undefined): boolean => !isConnected(state) && state?._tag !== "Refused"

/** Tells of them for as long as it runs. */
export const told = (sessions: Sessions, addresses: ReadonlyArray<string>): Effect.Effect<never> =>
  Effect.gen(function* () {
    let isTold = false
    const tells = Effect.gen(function* () {
      for (let millis = 0, wait = LogEvent.lastsAfter; ; wait = millis) {
        yield* Effect.sleep(wait)
        millis += wait
        isTold = true
        const said = addresses.map((address) => `${address} (${sessions.failures().get(address) ?? "no answer"})`)
        const hint = "is ZooKeeper up, and its address right (that in connect)? does a firewall drop packets?"
        const text = `still connecting to ZooKeeper at ${listed(said, namedAtMost)} after ${millis / 1000} s: ${hint}`
        yield* LogEvent.log("connectSlow", text)
      }
    })
    yield* becomes(sessions, isOut)
    yield* Effect.raceFirst(
      becomes(sessions, (state) => !isOut(state)),
      tells
    )
    if (isTold && isConnected(sessions.state())) yield* LogEvent.log("goesOn", "connected to ZooKeeper again")
  }).pipe(Effect.forever)
