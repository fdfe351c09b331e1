/**
 * Whether a client of librdkafka that sends records has no broker, and finds none: one that was told of none, as a broker
 * tells that has just started alone, can stay so for good (its issue 5301). It is asked once the time of a record is over,
 * or that in which it may learn of its partition, and no broker has said anything of a record since it was handed over.
 * Where our own connections find brokers, before and after, and it found none meanwhile, it is.
 */
import * as Effect from "effect/Effect"
import type { Producer } from "node-rdkafka"
import type { Context } from "./ProducerContext.ts"
import type { Pending } from "./Waiting.ts"

/** How long it may look for a broker: it connects anew within one second. */
const lookMillis = 5000

/** Of one producer, whose clients follow each other. A class, since what is known of a client changes. */
export class Stranded {
  readonly #cluster: Context["cluster"]
  readonly #deliveryTimeout: number
  readonly #now: () => number
  /** When a broker has said anything of a record last. */
  #heardAt = -Infinity
  /** The topic of a record whose time was over. */
  #suspected: string | undefined
  #asking = false

  constructor({ cluster, settings }: Context, now: () => number) {
    this.#cluster = cluster
    this.#deliveryTimeout = settings.deliveryTimeout
    this.#now = now
  }

  /** A broker has said something of a record. */
  hear(): void {
    this.#heardAt = this.#now()
    this.#suspected = undefined
  }

  /** The time of a record is over. */
  late({ deadline, partition }: Pending): void {
    if (deadline - this.#deliveryTimeout >= this.#heardAt) this.#suspected = partition.topic
  }

  /** It is to be asked, or is being asked: until that is known nothing more is to be handed over. */
  get isSuspected(): boolean {
    return this.#suspected !== undefined
  }

  /** It is to be asked now. */
  get isDue(): boolean {
    return this.isSuspected && !this.#asking
  }

  /** Asks a client, and our own connections. */
  ask(client: Producer): Effect.Effect<boolean> {
    return Effect.suspend(() => {
      this.#asking = true
      const reach = Effect.asVoid(this.#cluster.topics([this.#suspected!]))
      const look = Effect.callback<boolean>((resume) => {
        client.getMetadata({ allTopics: false, timeout: lookMillis }, (error) =>
          resume(Effect.succeed(error === null || error === undefined))
        )
      })
      return Effect.flatMap(Effect.andThen(reach, look), (found) =>
        found ? Effect.succeed(false) : Effect.as(reach, true)
      )
    }).pipe(
      // Where we find none either that says nothing of it.
      Effect.orElseSucceed(() => false),
      Effect.ensuring(
        Effect.sync(() => {
          this.#asking = false
          this.#suspected = undefined
        })
      )
    )
  }
}
