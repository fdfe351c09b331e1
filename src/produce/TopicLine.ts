/**
 * Who waits for a topic to be known, or for a partition that it is not known to have, in the order of coming. As soon as
 * it is, to whomever, all of them go on in that order, before anybody who comes later: records keep the order of their
 * calls. Who goes on is called, and no fiber resumed, whose turn might end before its record has its place.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as Backoff from "../Backoff.ts"
import type * as Cluster from "../Cluster.ts"
import { kept } from "../Kept.ts"
import * as KafkaError from "../KafkaError.ts"

/** Called once, unless its owner leaves before. It throws nothing. */
export type GoOn = (exit: Exit.Exit<Cluster.TopicInfo, KafkaError.KafkaError>) => void

/** Out of the line, if still in it. */
type Leave = () => void

export interface TopicLine {
  /**
   * The topic, where it is known: who waited for it has gone on when this returns. Where one of those calls it again as
   * he goes on, it is undefined to him: he comes after the others, and after whoever has them go on.
   */
  readonly known: (name: string) => Cluster.TopicInfo | undefined
  /**
   * Waits in the line. The time is that of the cluster's look-up, which says best why a topic is not to be had; who come
   * within `together` wait by one look-up.
   */
  readonly lookedUp: (name: string, goOn: GoOn) => Leave
  /**
   * Waits for a partition to be known. One question is asked for all who wait for partitions of a topic, again and again
   * while it is told without them, since brokers hear of a new one one after the other; after `hearsay` it is given as it
   * is. Fails as `lookedUp` does, and at the latest when the time since `since` is spent.
   */
  readonly grown: (name: string, partition: number, since: number, goOn: GoOn) => Leave
  /** Nobody waits from here on. */
  readonly close: (error: KafkaError.KafkaError) => void
}

/** So long after it has asked, in milliseconds, who names a partition believes that there is none. */
const hearsay = 2000

/** So long, in milliseconds, others join who has asked for a topic: the last of them wait that much shorter, at most. */
const together = 100

/** A look-up of a topic, and who waits by it, in the order of coming. */
interface Question {
  readonly since: number
  readonly line: Set<GoOn>
  looking: Fiber.Fiber<Cluster.TopicInfo, KafkaError.KafkaError> | undefined
}

/** Who waits for a partition. */
interface Waiting {
  readonly partition: number
  readonly since: number
  readonly goOn: GoOn
}

/** The question whether a topic has grown, and who waits for its answer. */
interface Asked {
  readonly line: Set<Waiting>
  /** Nobody in the line waits for one below, so that what is sent to others need not look through it. */
  lowest: number
  looking: Fiber.Fiber<unknown, KafkaError.KafkaError> | undefined
}

/** Tells what was asked at a time. */
const tell = ({ line }: Asked, exit: Exit.Exit<Cluster.TopicInfo, KafkaError.KafkaError>, asked: number): void => {
  // What is told is an answer to those who had come when it was asked for; who goes on may come back here at once.
  for (const { goOn, partition, since } of Array.from(line)) {
    const known = Exit.isSuccess(exit) && partition < exit.value.partitions.length
    if (known || since + (Exit.isSuccess(exit) ? hearsay : 0) <= asked) goOn(exit)
  }
}

const budget = "deliveryTimeout"
const limit = (millis: number): Backoff.Limit => ({ name: budget, millis })

/** Asks until nobody waits. */
const ask = (
  cluster: Cluster.Cluster["Service"],
  name: string,
  within: number,
  growth: Asked,
  now: () => number
): Effect.Effect<void> => {
  const once = (answers: number): Effect.Effect<void> =>
    Effect.suspend(() => {
      const asked = now()
      return Effect.flatMap(Effect.exit(cluster.topic(name, { within: limit(within), anew: true })), (exit) => {
        tell(growth, exit, asked)
        if (growth.line.size === 0) return Effect.void
        return Effect.andThen(Effect.sleep(Backoff.delay(answers, 0.5)), once(answers + 1))
      })
    })
  return once(1)
}

/** Makes it; a topic is looked for `within` so many milliseconds. */
export const make = (
  cluster: Cluster.Cluster["Service"],
  within: number,
  fork: <A, E>(effect: Effect.Effect<A, E>) => Fiber.Fiber<A, E>,
  now: () => number
): TopicLine => {
  /** The look-ups of a topic, in the order of their beginnings: so all that wait have one order. */
  const questions = new Map<string, Set<Question>>()
  const latest = new Map<string, Question>()
  /** Topics whose waiting ones go on just now, with the look-up that those wait by who come back meanwhile. */
  const goingOn = new Map<string, Question | undefined>()
  const whileGoingOn = (name: string, f: () => void): void => {
    goingOn.set(name, undefined)
    try {
      f()
    } finally {
      goingOn.delete(name)
    }
  }
  const growing = new Map<string, Asked>()
  let closed: Exit.Exit<never, KafkaError.KafkaError> | undefined
  /** Where it closes nobody waits any more. */
  const unlessClosed = (goOn: GoOn, wait: () => Leave): Leave => {
    if (closed === undefined) return wait()
    goOn(closed)
    return () => {}
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
  const admit = (name: string, info: Cluster.TopicInfo): void => {
    const all = [...(questions.get(name) ?? [])]
    const waiting = all.flatMap(({ line }) => Array.from(line, (goOn) => ({ line, goOn })))
    // First who waits for a partition: the topic was known as he came, before all who wait for it now.
    const growth = growing.get(name)
    if (growth !== undefined && growth.lowest < info.partitions.length) grow(growth, info)
    for (const { goOn, line } of waiting) if (line.has(goOn)) goOn(Exit.succeed(info))
  }
  const isOver = (name: string, question: Question): void => {
    const all = questions.get(name)
    if (all?.delete(question) !== true) return
    if (all.size === 0) questions.delete(name)
    if (latest.get(name) === question) latest.delete(name)
    if (goingOn.get(name) === question) goingOn.set(name, undefined)
    question.looking?.interruptUnsafe()
  }
  const begin = (name: string): Question => {
    const question: Question = { since: now(), line: new Set(), looking: undefined }
    kept(questions, name, () => new Set<Question>()).add(question)
    latest.set(name, question)
    return question
  }
  const look = (name: string, question: Question, isBack: boolean): void => {
    const lookUp = cluster.topic(name, { within: limit(within) })
    question.looking = fork(isBack ? Effect.andThen(Effect.yieldNow, lookUp) : lookUp)
    question.looking.addObserver((exit) => {
      if (question.line.size === 0) return
      whileGoingOn(name, () => {
        if (Exit.isSuccess(exit)) return admit(name, exit.value)
        for (const goOn of question.line) goOn(exit)
      })
    })
  }
  return {
    known: (name) => {
      if (goingOn.has(name)) return undefined
      const info = cluster.known(name)
      if (info === undefined) return undefined
      if (questions.has(name) || growing.has(name)) whileGoingOn(name, () => admit(name, info))
      return info
    },
    lookedUp: (name, goOn) =>
      unlessClosed(goOn, () => {
        const isBack = goingOn.has(name)
        const before = isBack ? goingOn.get(name) : latest.get(name)
        const isJoined = before !== undefined && now() - before.since < together
        const question = isJoined ? before : begin(name)
        const leave = () => {
          if (question.line.delete(one) && question.line.size === 0) isOver(name, question)
        }
        const one: GoOn = (exit) => {
          leave()
          goOn(exit)
        }
        question.line.add(one)
        if (isBack) goingOn.set(name, question)
        if (!isJoined) look(name, question, isBack)
        return leave
      }),
    grown: (name, partition, since, goOn) =>
      unlessClosed(goOn, () => {
        const left = Math.ceil(since + within - now())
        if (left <= 0) {
          goOn(Exit.fail(late(within)))
          return () => {}
        }
        const before = growing.get(name)
        const growth: Asked = before ?? { line: new Set(), lowest: Infinity, looking: undefined }
        let timer: Fiber.Fiber<void> | undefined
        const leave = () => {
          if (!growth.line.delete(one)) return false
          timer?.interruptUnsafe()
          if (growth.line.size > 0) return true
          if (growing.get(name) === growth) growing.delete(name)
          growth.looking?.interruptUnsafe()
          return true
        }
        const one: Waiting = {
          partition,
          since: now(),
          goOn: (exit) => {
            if (leave()) goOn(exit)
          }
        }
        growth.line.add(one)
        timer = fork(
          Effect.andThen(
            Effect.sleep(left),
            Effect.sync(() => one.goOn(Exit.fail(late(within))))
          )
        )
        growth.lowest = Math.min(growth.lowest, partition)
        if (before === undefined) {
          growing.set(name, growth)
          growth.looking = fork(ask(cluster, name, within, growth, now))
        }
        return () => void leave()
      }),
    close: (error) => {
      closed = Exit.fail(error)
      const growths = [...growing.values()].flatMap(({ line }) => Array.from(line, ({ goOn }) => goOn))
      const waiting = [...questions.values()].flatMap((all) => [...all]).flatMap(({ line }) => [...line])
      for (const goOn of [...growths, ...waiting]) goOn(closed)
    }
  }
}

const late = (millis: number) =>
  KafkaError.make({ _tag: "TimedOut", budget, millis, waitingFor: "the partition to be known" })
