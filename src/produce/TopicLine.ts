/**
 * Who waits for a topic to be known, or for a partition that it is not known to have, in the order of coming. As soon as
 * it is, to whomever, all of them go on in that order, before anybody who comes later: records keep the order of their
 * calls.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import type * as Cluster from "../Cluster.ts"
import * as KafkaError from "../KafkaError.ts"

export interface TopicLine {
  /** The topic, where it is known: who waited for it has gone on when this returns. */
  readonly known: (name: string) => Cluster.TopicInfo | undefined
  /** Waits in the line. The time is that of the cluster's look-up, which says best why a topic is not to be had. */
  readonly lookedUp: (name: string) => Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError>
  /** Whether a partition may have been added since the topic was last told of: not where that has just been asked. */
  readonly mayHaveGrown: (name: string) => boolean
  /** Waits for a partition to be known; gives the topic, also where it is told without it. Asked for once by all. */
  readonly grown: (name: string, partition: number) => Effect.Effect<Cluster.TopicInfo, KafkaError.KafkaError>
}

/** So long an answer without the partition holds, in milliseconds: a mistaken number does not ask for each record. */
const answerHolds = 1000

/** Who waits for a partition. */
interface Waiting {
  readonly partition: number
  readonly goOn: (exit: Exit.Exit<Cluster.TopicInfo, KafkaError.KafkaError>) => void
}

/** The question whether a topic has grown, and who waits for its answer. */
interface Asked {
  readonly line: Set<Waiting>
  readonly looking: Fiber.Fiber<unknown, KafkaError.KafkaError>
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
  const answered = new Map<string, number>()
  const ask = (name: string): Asked => {
    const asked: Asked = { line: new Set(), looking: fork(cluster.topics([name])) }
    growing.set(name, asked)
    asked.looking.addObserver((exit) => {
      growing.delete(name)
      answered.set(name, now())
      const info = cluster.known(name)
      const gone = KafkaError.make({ _tag: "UnknownTopic", topic: name })
      const end = info === undefined ? Exit.fail(gone) : Exit.succeed(info)
      for (const { goOn } of asked.line) goOn(Exit.isFailure(exit) ? Exit.failCause(exit.cause) : end)
    })
    return asked
  }
  return {
    known: (name) => {
      const info = cluster.known(name)
      if (info === undefined) return undefined
      admit(name, info)
      for (const { goOn, partition } of growing.get(name)?.line ?? [])
        if (partition < info.partitions.length) goOn(Exit.succeed(info))
      return info
    },
    mayHaveGrown: (name) => growing.has(name) || (answered.get(name) ?? -Infinity) + answerHolds <= now(),
    grown: (name, partition) =>
      Effect.callback((resume) => {
        const { line, looking } = growing.get(name) ?? ask(name)
        const one: Waiting = {
          partition,
          goOn: (exit) => {
            if (line.delete(one)) resume(exit)
          }
        }
        line.add(one)
        return Effect.sync(() => {
          if (line.delete(one) && line.size === 0) looking.interruptUnsafe()
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
