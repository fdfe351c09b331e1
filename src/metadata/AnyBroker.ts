/** A question that any broker can answer: who is asked, in which order. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Random from "effect/Random"
import type { Bootstrap, HostPort } from "../Bootstrap.ts"
import type { Broker, Brokers } from "../Broker.ts"
import { formatAddress } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import { firstOf, staggerMillis } from "./Hedge.ts"
import type { MetadataState } from "./MetadataState.ts"

/** How many brokers that are known are asked before the bootstrap servers, and how many between them from then on. */
const triedFirst = 4
const triedBetween = 10

/** For how long, in milliseconds, one that did not answer in time is asked behind all others. */
const silentFor = 5000

export interface AnyBroker {
  /**
   * Asks brokers until one answers: the one that answered last, some of the others that are known, the bootstrap
   * servers (KIP-899), and again between the rest. `onProgress` is for the request: a long answer is no silence.
   */
  readonly ask: <A>(
    use: (broker: Broker, onProgress: () => void) => Effect.Effect<A, KafkaError.KafkaError>
  ) => Effect.Effect<A, KafkaError.KafkaError>
  /**
   * What the last answer told has not helped: the next question is put to another broker that answers. One that is cut
   * off from the cluster, and not from us, would be asked for ever, and know nothing of the others' leaders.
   */
  readonly turn: () => void
  /** Where the first brokers were said to be, when that was last asked. */
  readonly bootstrap: () => ReadonlyArray<HostPort>
}

/** Whom the questions that are under way have been put to, as addresses: none of them has answered one. */
export class Asked {
  readonly #now: () => number
  /** Each since when. */
  readonly #questions = new Map<Set<string>, number>()

  constructor(now: () => number) {
    this.#now = now
  }

  /** A question; gives what is to be told whom it is put to. */
  readonly during = <A, E>(
    use: (put: (address: HostPort | undefined) => void) => Effect.Effect<A, E>
  ): Effect.Effect<A, E> =>
    Effect.suspend(() => {
      const asked = new Set<string>()
      this.#questions.set(asked, this.#now())
      const put = (address: HostPort | undefined) => void (address && asked.add(formatAddress(address)))
      return Effect.ensuring(
        use(put),
        Effect.sync(() => this.#questions.delete(asked))
      )
    })

  /** Of questions that have been under way for so long, in milliseconds. */
  addresses(atLeast = 0): ReadonlySet<string> {
    const late = [...this.#questions].filter(([, since]) => this.#now() - since >= atLeast)
    return new Set(late.flatMap(([asked]) => [...asked]))
  }
}

/** An answer that is an error, or cannot be, names who gave it, as whoever cannot be reached is named. */
const saidBy =
  (broker: Broker) =>
  (error: KafkaError.KafkaError): KafkaError.KafkaError => {
    const { cause, reason } = error
    return reason.broker !== undefined || reason._tag === "Unreachable" || reason._tag === "Closed"
      ? error
      : KafkaError.make({ ...reason, broker: formatAddress(broker) }, cause)
  }

export const make = (
  brokers: Brokers["Service"],
  addresses: Bootstrap["Service"]["addresses"],
  state: MetadataState,
  now: () => number,
  asked: Asked
): AnyBroker => {
  let lastGood = -1
  let isTurning = false
  /** The order in which they were asked last: where the next is to be another, each has its turn. */
  const turns = new Map<number, number>()
  let count = 0
  /** Until when: each question that is put to one of them first takes a second longer. */
  const silentUntil = new Map<number, number>()
  const isSilent = (id: number) => (silentUntil.get(id) ?? -Infinity) > now()
  let firsts: ReadonlyArray<HostPort> = []
  return {
    turn: () => void (isTurning = true),
    bootstrap: () => firsts,
    ask: (use) =>
      asked.during(
        Effect.fnUntraced(function* (put) {
          const nodes = new Map(state.nodes.map((node) => [node.id, node]))
          const others = yield* Random.shuffle([...nodes.keys()].filter((id) => id !== lastGood))
          const good = nodes.has(lastGood) ? [lastGood] : []
          if (isTurning) others.sort((a, b) => (turns.get(a) ?? 0) - (turns.get(b) ?? 0))
          const answering = others.filter((id) => !isSilent(id))
          const ids = isTurning ? [...answering, ...good] : [...good, ...answering]
          ids.push(...others.filter(isSilent))
          isTurning = false
          let heardAt = -Infinity
          const onProgress = () => void (heardAt = now())
          const isAnswering = () => now() - heardAt < staggerMillis
          const ask = (address: HostPort | undefined, broker: Effect.Effect<Broker, KafkaError.KafkaError>) =>
            Effect.suspend(() => {
              put(address)
              return Effect.flatMap(broker, (broker) =>
                Effect.mapBoth(use(broker, onProgress), {
                  onFailure: saidBy(broker),
                  onSuccess: (value) => {
                    if (broker.id >= 0) lastGood = broker.id
                    return value
                  }
                })
              )
            })
          const askKnown = (id: number) =>
            Effect.suspend(() => {
              const since = now()
              turns.set(id, ++count)
              return Effect.onExit(ask(nodes.get(id), brokers.get(id)), (exit) =>
                Effect.sync(() => {
                  if (Exit.isSuccess(exit)) silentUntil.delete(id)
                  else if (now() - since >= staggerMillis) silentUntil.set(id, now() + silentFor)
                })
              )
            })
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
                    found.map((address) => ask(address, brokers.at(address.host, address.port))),
                    isAnswering
                  )
            )
          )
          const known = ids.map(askKnown)
          // Not behind all of them, and not once: where a hundred are gone, each would have its second, and the bootstrap
          // servers' name may lead elsewhere meanwhile.
          const attempts = known.slice(0, triedFirst)
          for (let i = triedFirst; attempts.push(bootstrap), i < known.length; i += triedBetween)
            attempts.push(...known.slice(i, i + triedBetween))
          return yield* firstOf(attempts, isAnswering)
        })
      )
  }
}
