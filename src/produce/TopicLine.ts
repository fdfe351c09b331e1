/**
 * Who waits for a topic to be known, in the order of coming. As soon as it is, to whomever, all of them go on in that
 * order, before anybody who comes later: records keep the order of their calls.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Cluster from "../Cluster.ts"
import type { KafkaError } from "../KafkaError.ts"

export interface TopicLine {
  /** The topic, where it is known: who waited for it has gone on when this returns. */
  readonly known: (name: string) => Cluster.TopicInfo | undefined
  /** Waits in the line. The time is that of the cluster's look-up, which says best why a topic is not to be had. */
  readonly lookedUp: (name: string) => Effect.Effect<Cluster.TopicInfo, KafkaError>
}

/** Makes it; a topic is looked for `within` so many milliseconds. */
export const make = (
  cluster: Cluster.Cluster["Service"],
  within: number,
  fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>
): TopicLine => {
  const lines = new Map<string, Set<(info: Cluster.TopicInfo) => void>>()
  const admit = (name: string, info: Cluster.TopicInfo): void => {
    // Who goes on may come back here at once.
    for (const goOn of lines.get(name) ?? []) goOn(info)
  }
  return {
    known: (name) => {
      const info = cluster.known(name)
      if (info !== undefined) admit(name, info)
      return info
    },
    lookedUp: (name) =>
      Effect.callback((resume) => {
        let line = lines.get(name)
        if (line === undefined) lines.set(name, (line = new Set()))
        const looking = fork(cluster.topic(name, { within }))
        const leave = () => {
          if (line.delete(goOn) && line.size === 0) lines.delete(name)
          looking.interruptUnsafe()
        }
        const goOn = (info: Cluster.TopicInfo) => {
          leave()
          resume(Effect.succeed(info))
        }
        line.add(goOn)
        looking.addObserver((exit) => {
          if (!line.has(goOn)) return
          if (Exit.isSuccess(exit)) return admit(name, exit.value)
          leave()
          resume(exit)
        })
        return Effect.sync(leave)
      })
  }
}
