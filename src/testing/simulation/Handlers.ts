/** What is done with the records that members are given: it takes time, it fails, and it is told to who watches. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import { kept } from "../../Kept.ts"
import type * as Oracle from "../Oracle.ts"
import { nameOf } from "./Senders.ts"
import type * as Script from "./Script.ts"
import type { World } from "./World.ts"

export interface Handled {
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly value: string
}

/** How long a dead letter may take to be acknowledged: the default of producers. */
const letterTimeout = 120_000

type Place = Omit<Extract<Oracle.Event, { readonly _tag: "HandlerBegan" | "HandlerEnded" }>, "_tag">

/** Whose records they are: a group's, or those of a consumer alone. */
export const readerOf = (spec: Script.Member): string => spec.group ?? `${spec.name} alone`

const isRun = ({ way }: Script.Member): boolean => way === "run" || way === "keys" || way === "none"

/** It copies what it reads in transactions: what it handles counts when its transaction is committed. */
export const isChain = ({ way }: Script.Member): boolean => way === "process"

export class Handlers {
  private readonly world: World
  /** What each member is at work on. */
  private readonly begun = new Map<string, Set<Place>>()
  /** How often each record's handler has failed, by reader. */
  private readonly tries = new Map<string, number>()

  constructor(world: World) {
    this.world = world
  }

  private takes(spec: Script.Member, { partition, topic }: Handled): number {
    const { isOver, now, slow } = this.world
    if (isOver) return 0
    const said = slow.findLast(
      (step) =>
        step.topic === topic &&
        (step.partition ?? partition) === partition &&
        now >= step.at &&
        now < step.at + step.for
    )
    return said?.takes ?? spec.handles ?? 0
  }

  private fails(spec: Script.Member, { partition, topic, value }: Handled): boolean {
    const { failsEvery = 0, failsTimes = 1 } = spec
    if (this.world.isOver || failsEvery === 0 || Number(/\d+$/.exec(nameOf(value))?.[0] ?? 1) % failsEvery !== 0)
      return false
    const key = `${readerOf(spec)} ${topic}-${partition}:${nameOf(value)}`
    const tries = (this.tries.get(key) ?? 0) + 1
    this.tries.set(key, tries)
    return tries <= failsTimes
  }

  /**
   * Whether its handlers are compared with those of others: what cannot be interrupted outlives its partition, and what is
   * left of an array that a stream or a transaction was given before its process stood still is beyond the consumer's
   * reach (what such a transaction writes is refused), as is what a fiber handles that another one has pulled for it
   * (`poll`, whose pulls have a time-out).
   */
  private isTold(spec: Script.Member): boolean {
    // A consumer alone shares with nobody, itself in an earlier life included.
    if (spec.uninterruptible === true || spec.group === undefined || spec.way === "poll") return false
    return isRun(spec) || this.world.standstill(spec.client) === 0
  }

  /** Handles a record. `id` is the member in one of its lives. */
  handle(spec: Script.Member, id: string, record: Handled): Effect.Effect<void, string> {
    const { offset, partition, topic, value } = record
    const reader = readerOf(spec)
    const { oracle, timeline } = this.world
    const place: Place = { group: reader, member: id, topic, partition, offset }
    return Effect.suspend(() => {
      const from = this.world.now
      const takes = this.takes(spec, record)
      const isTold = this.isTold(spec)
      const all = kept(this.begun, id, () => new Set())
      if (isTold) {
        all.add(place)
        oracle.record({ _tag: "HandlerBegan", ...place })
      }
      const working = takes === 0 ? Effect.void : Effect.sleep(takes)
      return (spec.uninterruptible === true ? Effect.uninterruptible(working) : working).pipe(
        Effect.andThen(
          Effect.suspend(() => {
            if (this.fails(spec, record)) return Effect.fail("refused")
            if (!isChain(spec)) timeline.handle(reader, topic, partition, nameOf(value), this.world.now)
            return Effect.void
          })
        ),
        Effect.onExit((exit) =>
          Effect.sync(() => {
            if (all.delete(place)) oracle.record({ _tag: "HandlerEnded", ...place })
            if (takes > 0 || Exit.isFailure(exit))
              // One stream is as slow as the slowest of its partitions.
              timeline.disturb({
                from,
                // A dead letter takes as long as its producer may.
                to: this.world.now + (spec.deadLetter !== undefined && Exit.isFailure(exit) ? letterTimeout : 2000),
                group: reader,
                ...(isRun(spec) || spec.way === "eachPartition" || spec.way === "partitions"
                  ? { topic, partition }
                  : {})
              })
          })
        )
      )
    })
  }

  /** A process that stands still or is gone is at no work: what its handlers do when it wakes nobody can prevent. */
  standStill(id: string): void {
    for (const place of this.begun.get(id) ?? []) this.world.oracle.record({ _tag: "HandlerEnded", ...place })
    this.begun.delete(id)
  }
}
