/**
 * The client of librdkafka that the fetching half reads from. Where it can be of no use any more another one is opened
 * beside it, and takes its place between two reads.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { KafkaConsumer, Message, RdError } from "node-rdkafka"
import type * as KafkaError from "../KafkaError.ts"
import type { TopicPartition } from "../TopicPartition.ts"
import * as Client from "./Client.ts"

/** What a read has brought. */
export interface Brought {
  readonly error: RdError | null | undefined
  readonly messages: ReadonlyArray<Message>
}

/** A class, since one client follows another. */
export class ConsumerClients {
  readonly #open: Effect.Effect<KafkaConsumer, KafkaError.KafkaError, Scope.Scope>
  readonly #ready: () => void
  #current: Client.Apart<KafkaConsumer> | undefined
  #next: Client.Apart<KafkaConsumer> | undefined
  /** Those that are being ended. */
  readonly #left = new Set<Client.Apart<KafkaConsumer>>()
  #isOpening = false

  /** `ready`: another one is there. */
  constructor(open: Effect.Effect<KafkaConsumer, KafkaError.KafkaError, Scope.Scope>, ready: () => void) {
    this.#open = open
    this.#ready = ready
  }

  /** There is one from `begin` to `end`. */
  get client(): KafkaConsumer {
    return this.#current!.client
  }

  /** Not interruptible: a client must not be disconnected while a thread reads from it. */
  read(most: number, millis: number): Effect.Effect<Brought> {
    return Effect.uninterruptible(
      Effect.callback((resume) => {
        this.client.setDefaultConsumeTimeout(millis)
        this.client.consume(most, (error, messages) => resume(Effect.succeed({ error, messages: messages ?? [] })))
      })
    )
  }

  /** As the last response told; undefined before the first. */
  highWatermark({ partition, topic }: TopicPartition): number | undefined {
    try {
      const { highOffset } = this.client.getWatermarkOffsets(topic, partition)
      return highOffset < 0 ? undefined : highOffset
    } catch {
      return undefined
    }
  }

  /** Opens the first. */
  readonly begin: Effect.Effect<void, KafkaError.KafkaError> = Effect.suspend(() =>
    Client.openApart(this.#open, (opened) => {
      this.#current = opened
    })
  )

  /** Opens another, unless one is there or under way; where that fails it is tried by who asks again. */
  renew(why: string): Effect.Effect<void> {
    return Effect.suspend(() => {
      if (this.#isOpening || this.#next !== undefined) return Effect.void
      this.#isOpening = true
      return Effect.logWarning(`${why}: another consumer`).pipe(
        Effect.andThen(
          Client.openApart(this.#open, (opened) => {
            this.#next = opened
            this.#ready()
          })
        ),
        Effect.catch((error) => Effect.logWarning(`librdkafka keeps its old consumer: ${error.message}`)),
        Effect.ensuring(
          Effect.sync(() => {
            this.#isOpening = false
          })
        )
      )
    })
  }

  /** Takes the next one where it is there: what ends the one before. Nothing may be read meanwhile. */
  take(): Effect.Effect<void> | undefined {
    const [left, next] = [this.#current, this.#next]
    if (left === undefined || next === undefined) return undefined
    this.#current = next
    this.#next = undefined
    this.#left.add(left)
    return Effect.ensuring(
      left.end,
      Effect.sync(() => this.#left.delete(left))
    )
  }

  /** Ends all. */
  readonly end: Effect.Effect<void> = Effect.suspend(() =>
    Effect.forEach([...this.#left, this.#next, this.#current], (one) => one?.end ?? Effect.void, { discard: true })
  )
}
