/** A connection alone, over a link that takes what is written when the test says so. */
import { Clock, Effect } from "effect"
import { BrokerConnection } from "../../src/connection/BrokerConnection.ts"
import { BrokerMetrics } from "../../src/metrics/BrokerMetrics.ts"
import * as Meter from "../../src/metrics/Meter.ts"

/** Negotiated with a broker of these APIs; `taken` are what says that a piece was written out, `told` what is called slow. */
export const linked = ({
  ranges,
  requestTimeout
}: {
  readonly ranges: ReadonlyMap<number, readonly [min: number, max: number]>
  readonly requestTimeout: number
}) =>
  Effect.gen(function* () {
    const run = Effect.runForkWith(yield* Effect.context<never>())
    const told: Array<string> = []
    const taken: Array<() => void> = []
    const session = new BrokerConnection({
      address: "b:1",
      connectTimeout: 10_000,
      onHeld: () => {},
      onSilence: () => {},
      clientId: "test",
      requestTimeout,
      maxResponseBytes: 1e6,
      authenticates: false,
      clock: yield* Clock.Clock,
      metrics: new BrokerMetrics(Meter.none, "b", 1),
      fork: (effect) => void run(effect),
      onEnd: () => {},
      onSlow: (_session, what) => void told.push(what),
      onAnswered: () => {},
      hasServed: () => false,
      onThrottled: () => {}
    })
    session.attach({ write: (_chunks, written) => void taken.push(written ?? (() => {})), close: () => {} })
    session.offer = { by: 0, ranges, finalizedFeatures: new Map(), featuresEpoch: -1 }
    session.ready(undefined)
    return { session, taken, told }
  })
