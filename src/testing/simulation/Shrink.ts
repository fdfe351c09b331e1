/**
 * Makes a script that fails shorter, as long as it fails in the same way: steps are left out (delta debugging: halves
 * first, then smaller parts), then members, producers and settings; numbers become smaller.
 */
import * as Effect from "effect/Effect"
import type { Script, Step } from "./Script.ts"

/** Whether a script still fails in the way that is looked for. */
export type Fails = (script: Script) => Effect.Effect<boolean>

/** Of what kind a problem is: the same words, whatever the numbers and names in it. */
export const kindOf = (problem: string): string =>
  problem
    .replace(/[a-z]+-?\d+(\.\d+)?/g, "#")
    .replace(/\d+/g, "#")
    .slice(0, 70)

type Mutable<A> = { -readonly [K in keyof A]: A[K] }

/** Leaves out as many of a list as may be. */
const without = <A>(
  list: ReadonlyArray<A>,
  fails: (list: ReadonlyArray<A>) => Effect.Effect<boolean>
): Effect.Effect<ReadonlyArray<A>> =>
  Effect.gen(function* () {
    let left = list
    for (let size = Math.ceil(left.length / 2); size >= 1;) {
      let found = false
      for (let at = 0; at < left.length;) {
        const rest = [...left.slice(0, at), ...left.slice(at + size)]
        if (yield* fails(rest)) {
          left = rest
          found = true
        } else at += size
      }
      if (size > 1) size = Math.ceil(size / 2)
      else if (!found) break
    }
    return left
  })

/** Those that no step and no member or producer needs. */
const withoutIdle = (script: Script): Script => {
  const producers = new Set(script.steps.flatMap((step) => ("producer" in step ? [step.producer] : [])))
  const transactors = new Set(script.steps.flatMap((step) => ("transactor" in step ? [step.transactor] : [])))
  const members = new Set(script.steps.flatMap((step) => ("member" in step ? [step.member] : [])))
  const left = {
    ...script,
    producers: script.producers.filter(({ name }) => producers.has(name)),
    transactors: script.transactors.filter(({ name }) => transactors.has(name)),
    members: script.members.filter(({ name }) => members.has(name))
  }
  // A program of somebody's own has neither.
  if (script.members.length + script.producers.length + script.transactors.length === 0) return script
  const clients = new Set([...left.producers, ...left.transactors, ...left.members].map(({ client }) => client))
  return { ...left, clients: script.clients.filter(({ name }) => clients.has(name)) }
}

const needed = new Set("name client group topics enter from way to transactionalId at do".split(" "))

/** Simpler versions of one thing: each without one of its settings. */
const simpler = <A extends object>(one: A): ReadonlyArray<A> =>
  Object.keys(one)
    .filter((key) => !needed.has(key))
    .map((key) => {
      const rest = { ...one } as Mutable<A>
      delete rest[key as keyof A]
      return rest as A
    })

/** Settings that belong together or are the protocol's own are left alone. */
const isWhole = (step: Step): boolean => step.do === "send" && Number.isInteger(step.count) && step.how !== undefined

const smallerSteps = (step: Step): ReadonlyArray<Step> =>
  step.do === "send"
    ? [
        ...(step.count > 1
          ? [
              { ...step, count: 1 },
              { ...step, count: Math.ceil(step.count / 2) }
            ]
          : []),
        ...(step.bytes > 12 ? [{ ...step, bytes: 12 }] : []),
        ...simpler(step)
          .filter(isWhole)
          .filter((one) => "keys" in one && "bytes" in one && "producer" in one && "topic" in one)
      ]
    : step.do === "transact"
      ? [
          ...(step.times > 1 ? [{ ...step, times: 1 }] : []),
          ...(step.count > 1 ? [{ ...step, count: 1 }] : []),
          ...(step.topics.length > 1 ? [{ ...step, topics: step.topics.slice(0, 1) }] : []),
          ...(["open", "pace", "offsets"] as const)
            .filter((name) => name in step)
            .map((name) => {
              const { [name]: _, ...rest } = step
              return rest
            })
        ]
      : []

/** One thing after the other, each as simple as may be. */
const each = <K extends "producers" | "transactors" | "members" | "clients" | "steps" | "topics">(
  script: Script,
  kind: K,
  versions: (one: Script[K][number]) => ReadonlyArray<Script[K][number]>,
  fails: Fails
): Effect.Effect<Script> =>
  Effect.gen(function* () {
    let left = script
    for (let i = 0; i < left[kind].length; i++) {
      let again = true
      while (again) {
        again = false
        for (const version of versions(left[kind][i]!)) {
          const next = { ...left, [kind]: left[kind].map((one, j) => (j === i ? version : one)) }
          if (!(yield* fails(next))) continue
          left = next
          again = true
          break
        }
      }
    }
    return left
  })

/**
 * The shortest script that was found to fail. `most` bounds how many are tried: what is found until then is given.
 */
export const shrink = (script: Script, stillFails: Fails, most = 400): Effect.Effect<Script> =>
  Effect.gen(function* () {
    let tries = 0
    const fails: Fails = (one) => (tries++ < most ? stillFails(one) : Effect.succeed(false))
    let left = script
    const keep = (next: Script) =>
      Effect.map(fails(next), (still) => {
        if (still) left = next
        return still
      })
    const steps = yield* without(left.steps, (steps) => fails({ ...left, steps }))
    left = { ...left, steps }
    yield* keep(withoutIdle(left))
    const { turns: _, ...plain } = left
    if (left.turns !== undefined) yield* keep(plain)
    for (const key of Object.keys(left.cluster)) {
      if (key === "brokers") continue
      const { [key as keyof Script["cluster"]]: __, ...cluster } = left.cluster
      yield* keep({ ...left, cluster: cluster as Script["cluster"] })
    }
    left = yield* each(
      left,
      "topics",
      (topic) =>
        [1, 2, Math.ceil(topic.partitions / 2)]
          .filter((partitions) => partitions < topic.partitions)
          .map((partitions) => ({ ...topic, partitions })),
      fails
    )
    left = yield* each(left, "members", simpler, fails)
    left = yield* each(left, "producers", simpler, fails)
    left = yield* each(left, "transactors", simpler, fails)
    left = yield* each(left, "clients", simpler, fails)
    left = yield* each(left, "steps", smallerSteps, fails)
    const again = yield* without(left.steps, (steps) => fails({ ...left, steps }))
    left = { ...left, steps: again }
    yield* keep(withoutIdle(left))
    const used = new Set([
      ...left.members.flatMap(({ deadLetter, to, topics }) => [
        ...topics,
        ...[deadLetter, to].flatMap((one) => one ?? [])
      ]),
      ...left.steps.flatMap((step) =>
        "topics" in step ? step.topics : "topic" in step && step.topic !== undefined ? [step.topic] : []
      )
    ])
    yield* keep({ ...left, topics: left.topics.filter(({ name }) => used.has(name)) })
    return left
  })
