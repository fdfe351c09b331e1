/**
 * ListOffsets requests, one at a time to each broker: what is asked of it meanwhile goes into the next, together. A
 * consumer of some hundred partitions that are all out of range asks for each of them by itself.
 */
import * as Clock from "effect/Clock"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import * as KafkaError from "../KafkaError.ts"
import * as TopicPartition from "../TopicPartition.ts"
import type * as ListOffsets from "./ListOffsets.ts"

/** Positions of one partition each, that one request can carry. */
interface Round {
  readonly isolation: number
  readonly isNewest: boolean
  readonly positions: Map<string, ListOffsets.Position>
  readonly done: Deferred.Deferred<ListOffsets.Answer, KafkaError.KafkaError>
  waiting: number
}

/** So long after a broker has refused one of them those that come are gathered: what has failed is tried again at many times. */
const gatheredFor = 100

const closed = () => KafkaError.make({ _tag: "Closed", what: "client" })

/** Makes what asks; `send` asks one broker one question. */
export const make = (scope: Scope.Scope, send: ListOffsets.Ask): Effect.Effect<ListOffsets.Ask> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => Backoff.monotonic(clock)
    /** What waits for each broker that is being asked. */
    const lines = new Map<Broker, Array<Round>>()
    const underWay = new Set<Round>()
    const failedAt = new WeakMap<Broker, number>()

    yield* Scope.addFinalizer(
      scope,
      Effect.sync(() => {
        for (const round of [...underWay, ...[...lines.values()].flat()])
          Deferred.doneUnsafe(round.done, Exit.fail(closed()))
      })
    )

    const isRefused = (exit: Exit.Exit<ListOffsets.Answer, KafkaError.KafkaError>): boolean =>
      Exit.isFailure(exit) || [...exit.value.found.values()].some(Result.isFailure)

    const work = (broker: Broker, line: Array<Round>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const wait = (failedAt.get(broker) ?? -Infinity) + gatheredFor - now()
        return Effect.andThen(wait > 0 ? Effect.sleep(Math.ceil(wait)) : Effect.yieldNow, next(broker, line))
      })

    const next = (broker: Broker, line: Array<Round>): Effect.Effect<void> =>
      Effect.suspend(() => {
        const round = line.shift()
        if (round === undefined) {
          lines.delete(broker)
          return Effect.void
        }
        underWay.add(round)
        // Whatever it ends with, a defect too, is for those who wait for this round: the next one is asked all the same.
        return Effect.flatMap(Effect.exit(send(broker, [...round.positions.values()], round.isolation)), (exit) => {
          if (isRefused(exit)) failedAt.set(broker, now())
          underWay.delete(round)
          Deferred.doneUnsafe(round.done, Exit.hasInterrupts(exit) ? Exit.fail(closed()) : exit)
          return work(broker, line)
        })
      })

    return (broker, positions, isolation) =>
      Effect.suspend(() => {
        if (scope.state._tag === "Closed") return Effect.fail(closed())
        const isNewest = positions.some(({ at }) => at === "max-timestamp")
        const before = lines.get(broker)
        const line = before ?? []
        const fits = (round: Round): boolean =>
          round.isolation === isolation &&
          round.isNewest === isNewest &&
          positions.every(
            (position) => (round.positions.get(TopicPartition.key(position)) ?? position).at === position.at
          )
        let round = line.find(fits)
        if (round === undefined) {
          round = { isolation, isNewest, positions: new Map(), done: Deferred.makeUnsafe(), waiting: 0 }
          line.push(round)
        }
        for (const position of positions) round.positions.set(TopicPartition.key(position), position)
        round.waiting++
        const { done } = round
        // Where nobody waits any more it is not asked.
        const left = Effect.sync(() => {
          const at = --round.waiting === 0 ? line.indexOf(round) : -1
          if (at >= 0) line.splice(at, 1)
        })
        const answer = Effect.onInterrupt(Deferred.await(done), () => left)
        if (before !== undefined) return answer
        lines.set(broker, line)
        // In the Cluster's Scope: whoever asked first may be interrupted while others wait for the same answer.
        return Effect.andThen(Effect.forkIn(work(broker, line), scope, { startImmediately: true }), answer)
      })
  })
