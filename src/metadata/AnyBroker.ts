/** A question that any broker can answer: who is asked, in which order. */
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type { Bootstrap, HostPort } from "../Bootstrap.ts"
import type { Broker, Brokers } from "../Broker.ts"
import * as KafkaError from "../KafkaError.ts"
import { firstOf, staggerMillis } from "./Hedge.ts"
import type { MetadataState } from "./MetadataState.ts"

/** How many brokers that are known are asked before the bootstrap servers, and how many between them from then on. */
const triedFirst = 4
const triedBetween = 10

export interface AnyBroker {
  /**
   * Asks brokers until one answers: the one that answered last, some of the others that are known, the bootstrap
   * servers (KIP-899), and again between the rest. `onProgress` is for the request: a long answer is no silence.
   */
  readonly ask: <A>(
    use: (broker: Broker, onProgress: () => void) => Effect.Effect<A, KafkaError.KafkaError>
  ) => Effect.Effect<A, KafkaError.KafkaError>
  /** Where the first brokers were said to be, when that was last asked. */
  readonly bootstrap: () => ReadonlyArray<HostPort>
}

export const make = (
  brokers: Brokers["Service"],
  addresses: Bootstrap["Service"]["addresses"],
  state: MetadataState,
  now: () => number
): AnyBroker => {
  let lastGood = -1
  let firsts: ReadonlyArray<HostPort> = []
  return {
    bootstrap: () => firsts,
    ask: (use) =>
      Effect.gen(function* () {
        const ids = yield* Random.shuffle(state.nodes.map((node) => node.id).filter((id) => id !== lastGood))
        if (state.nodes.length > ids.length) ids.unshift(lastGood)
        let heardAt = -Infinity
        const onProgress = () => void (heardAt = now())
        const isAnswering = () => now() - heardAt < staggerMillis
        const ask = (broker: Effect.Effect<Broker, KafkaError.KafkaError>) =>
          Effect.flatMap(broker, (broker) =>
            Effect.map(use(broker, onProgress), (value) => {
              if (broker.id >= 0) lastGood = broker.id
              return value
            })
          )
        const bootstrap = addresses.pipe(
          Effect.tap((found) => Effect.sync(() => (firsts = found))),
          Effect.flatMap(Random.shuffle),
          Effect.flatMap((found) =>
            found.length === 0
              ? Effect.fail(
                  KafkaError.make({
                    _tag: "Unreachable",
                    attempts: [{ address: "Bootstrap", cause: "it names no broker" }]
                  })
                )
              : firstOf(
                  found.map(({ host, port }) => ask(brokers.at(host, port))),
                  isAnswering
                )
          )
        )
        const known = ids.map((id) => ask(brokers.get(id)))
        // Not behind all of them, and not once: where a hundred are gone, each would have its second, and the bootstrap
        // servers' name may lead elsewhere meanwhile.
        const attempts = known.slice(0, triedFirst)
        for (let i = triedFirst; attempts.push(bootstrap), i < known.length; i += triedBetween)
          attempts.push(...known.slice(i, i + triedBetween))
        return yield* firstOf(attempts, isAnswering)
      })
  }
}
