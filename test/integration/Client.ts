/** A client of ours against the server of the suite, and how tests wait. */
import { Deferred, Effect, Exit, Layer } from "effect"
import { Kafka, type KafkaError, Producer, RdKafka } from "samsa"
import * as KafkaServer from "./KafkaServer.ts"

/** How records travel. */
export type Engine = "native" | "librdkafka"

/** A client of an engine; librdkafka's wants `NodeRdkafka.install` before. */
export const kafka = (
  options: Kafka.Options,
  engine: Engine = "native"
): Layer.Layer<Kafka.Kafka, KafkaError.KafkaError> =>
  engine === "native" ? Kafka.layer(options) : RdKafka.layer(options)

/** Gives the effect a client of its own, with a producer, and closes it afterwards. */
export const connected = <A, E, R>(
  effect: Effect.Effect<A, E, R>,
  options: Producer.Options = {},
  engine: Engine = "native"
) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    effect.pipe(
      Effect.scoped,
      Effect.provide(Producer.layer(options).pipe(Layer.provideMerge(kafka({ bootstrap: server.bootstrap }, engine))))
    )
  )

/** What was seen, in order, and waiting for it: nothing here polls. */
export interface Seen<A> {
  readonly all: ReadonlyArray<A>
  readonly add: (value: A) => void
  /** Something of what was seen is other than it was. */
  readonly changed: () => void
  /** Completes as soon as this holds; dies after a minute, with what was seen. */
  readonly until: (what: string, holds: (all: ReadonlyArray<A>) => boolean) => Effect.Effect<void>
}

export const seen = <A>(): Seen<A> => {
  const all: Array<A> = []
  const waiting = new Set<() => void>()
  const changed = (): void => {
    for (const look of waiting) look()
  }
  return {
    all,
    changed,
    add: (value) => {
      all.push(value)
      changed()
    },
    until: (what, holds) =>
      Effect.suspend(() => {
        const done = Deferred.makeUnsafe<void>()
        const look = () => {
          if (!holds(all)) return
          waiting.delete(look)
          Deferred.doneUnsafe(done, Exit.void)
        }
        waiting.add(look)
        look()
        // As long as something comes the machine is slow and nothing is wrong; a test has its own time-out.
        const wait = (before: number): Effect.Effect<void> =>
          Effect.timeoutOrElse(Deferred.await(done), {
            duration: "60 seconds",
            orElse: () =>
              all.length > before
                ? wait(all.length)
                : Effect.die(
                    new Error(
                      `nothing new within 60 seconds: ${what}; seen ${all.length}: …${JSON.stringify(all.slice(-5))}`
                    )
                  )
          })
        return wait(all.length).pipe(Effect.ensuring(Effect.sync(() => waiting.delete(look))))
      })
  }
}

/** The values that occur more than once. */
export const twice = <A>(values: ReadonlyArray<A>): ReadonlyArray<A> => {
  const once = new Set<A>()
  return values.filter((value) => once.size === once.add(value).size)
}
