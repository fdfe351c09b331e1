/**
 * Who waits for a topic to be known, or for a partition that it is not known to have, in the order of coming. As soon as
 * it is, to whomever, all of them go on in that order, before anybody who comes later: records keep the order of their
 * calls.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Backoff from "../Backoff.ts"
import type * as Cluster from "../Cluster.ts"
import type * as KafkaError from "../KafkaError.ts"

export interface TopicLine {
  /** The topic, where it is known: who waited for it has gone on when this returns. */
  readonly known: (name: string) => Cluster.TopicInfo | undefined
  /** Waits in the line. The time is that of the cluster's look-up, which says best why a topic is not to be had. */
  readonly lookedUp: (name: string) => Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError>
  /**
   * Waits for a partition to be known. One question is asked for all who wait for partitions of a topic, again and again
   * while it is told without them, since brokers hear of a new one one after the other; after `hearsay` it is given as it
   * is. Fails as `lookedUp` does.
   */
  readonly grown: (name: string, partition: number) => Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError>
}

/** So long after it has asked, in milliseconds, who names a partition believes that there is none. */
const hearsay = 2000

/** Who waits for a partition. */
interface Waiting {
  readonly partition: number
  readonly since: number
  readonly goOn: (exit: Exit.Exit<Cluster.TopicInfo, KafkaError.KafkaError>) => void
}

/** The question whether a topic has grown, and who waits for its answer. */
interface Asked {
  readonly line: Set<Waiting>
  /** Nobody in the line waits for one below, so that what is sent to others need not look through it. */
  lowest: number
  looking: Fiber.Fiber<unknown, KafkaError.KafkaError> | undefined
}

/** Makes it; a topic is looked for `within` so many milliseconds. */
export const make = (
  cluster: Cluster.Cluster["Service"],
  within: number,
  fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>,
  now: () => number
): TopicLine => {
  const lines = new Map<string, Set<(info: Cluster.TopicInfo) => void>>()
  const admit = (name: string, info: Cluster.TopicInfo): void => {
    // Who goes on may come back here at once.
    for (const goOn of lines.get(name) ?? []) goOn(info)
  }
  const growing = new Map<string, Asked>()
  const tell = ({ line }: Asked, exit: Exit.Exit<Cluster.TopicInfo, KafkaError.KafkaError>, asked: number): void => {
    // What is told is an answer to those who had come when it was asked for.
    for (const { goOn, partition, since } of line) {
      const known = Exit.isSuccess(exit) && partition < exit.value.partitions.length
      if (known || since + (Exit.isSuccess(exit) ? hearsay : 0) <= asked) goOn(exit)
    }
  }
  const grow = (growth: Asked, info: Cluster.TopicInfo): void => {
    let lowest = Infinity
    // Who goes on may come back here at once.
    for (const { goOn, partition } of growth.line) {
      if (partition < info.partitions.length) goOn(Exit.succeed(info))
      else lowest = Math.min(lowest, partition)
    }
    growth.lowest = lowest
  }
  const ask = (name: string, growth: Asked): Effect.Effect<void> => {
    const look = (answers: number): Effect.Effect<void> =>
      Effect.suspend(() => {
        const asked = now()
        return Effect.flatMap(Effect.exit(cluster.topic(name, { within, anew: true })), (exit) => {
          tell(growth, exit, asked)
          if (growth.line.size === 0) return Effect.void
          return Effect.andThen(Effect.sleep(Backoff.delay(answers, 0.5)), look(answers + 1))
        })
      })
    return look(1)
  }
  return {
    known: (name) => {
      const info = cluster.known(name)
      if (info === undefined) return undefined
      admit(name, info)
      const growth = growing.get(name)
      if (growth !== undefined && growth.lowest < info.partitions.length) grow(growth, info)
      return info
    },
    grown: (name, partition) =>
      Effect.callback((resume) => {
        const before = growing.get(name)
        const growth: Asked = before ?? { line: new Set(), lowest: Infinity, looking: undefined }
        const leave = () => {
          if (!growth.line.delete(one)) return false
          if (growth.line.size === 0 && growing.get(name) === growth) growing.delete(name)
          return true
        }
        const one: Waiting = {
          partition,
          since: now(),
          goOn: (exit) => {
            if (leave()) resume(exit)
          }
        }
        growth.line.add(one)
        growth.lowest = Math.min(growth.lowest, partition)
        if (before === undefined) {
          growing.set(name, growth)
          growth.looking = fork(ask(name, growth))
        }
        return Effect.sync(() => {
          if (leave() && growth.line.size === 0) growth.looking?.interruptUnsafe()
        })
      }),
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
