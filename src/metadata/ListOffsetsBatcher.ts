/**
 * ListOffsets requests, one at a time to each broker: what is asked of it meanwhile goes into the next, together. A
 * consumer of some hundred partitions that are all out of range asks for each of them by itself.
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Result from "effect/Result"
import type * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Broker } from "../Broker.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as TopicPartition from "../TopicPartition.ts"
import * as Batcher from "./Batcher.ts"
import type * as ListOffsets from "./ListOffsets.ts"

interface Question {
  readonly positions: ReadonlyArray<ListOffsets.Position>
  readonly isolation: number
}

/** Positions of one partition each, that one request can carry. */
interface Batch {
  readonly isolation: number
  readonly isNewest: boolean
  readonly positions: Map<string, ListOffsets.Position>
}

/** So long after a broker has refused one of them those that come are gathered: what has failed is tried again at many times. */
const gatheredFor = 100

const isNewest = ({ positions }: Question): boolean => positions.some(({ at }) => at === "max-timestamp")

const isRefused = (exit: Exit.Exit<ListOffsets.Answer, KafkaError.KafkaError>): boolean =>
  Exit.isFailure(exit) || [...exit.value.found.values()].some(Result.isFailure)

/** Makes what asks; `send` asks one broker one question. */
export const make = (scope: Scope.Scope, send: ListOffsets.Ask): Effect.Effect<ListOffsets.Ask> =>
  Effect.gen(function* () {
    const clock = yield* Clock.Clock
    const now = () => Backoff.monotonic(clock)
    const failedAt = new WeakMap<Broker, number>()
    const ask = yield* Batcher.make(scope, {
      open: (question: Question): Batch => ({
        isolation: question.isolation,
        isNewest: isNewest(question),
        positions: new Map()
      }),
      fits: (batch, question) =>
        batch.isolation === question.isolation &&
        batch.isNewest === isNewest(question) &&
        question.positions.every(
          (position) => (batch.positions.get(TopicPartition.key(position)) ?? position).at === position.at
        ),
      add: (batch, { positions }) => {
        for (const position of positions) batch.positions.set(TopicPartition.key(position), position)
      },
      send: (broker: Broker, { isolation, positions }) =>
        Effect.onExit(send(broker, [...positions.values()], isolation), (exit) =>
          Effect.sync(() => {
            if (isRefused(exit)) failedAt.set(broker, now())
          })
        ),
      pause: (broker) => {
        const wait = (failedAt.get(broker) ?? -Infinity) + gatheredFor - now()
        return wait > 0 ? Effect.sleep(Math.ceil(wait)) : Effect.yieldNow
      }
    })
    return (broker, positions, isolation) => ask(broker, { positions, isolation })
  })
