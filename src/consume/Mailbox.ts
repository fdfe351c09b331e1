/**
 * What is ready to be taken, and the one fiber that waits for it. Synchronous on the offering side and on the taking
 * side where something is ready: it costs O(1) an array of records, whatever the number of partitions. No Queue: what was
 * offered can be taken back (`remove`), when a partition is given up.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { KafkaError } from "../KafkaError.ts"
import * as Resume from "../Resume.ts"
import type { AtWork } from "./AtWork.ts"

type Taken<B> = Effect.Effect<B, KafkaError | Cause.Done>

/** A queue of at most one waiting taker. */
export class Mailbox<A> {
  private ready: Array<A> = []
  private head = 0
  private waiter: (() => void) | undefined = undefined
  private closed: Taken<never> | undefined = undefined
  private failed = false
  private readonly atWork: AtWork | undefined

  /** `atWork`: what is taken is at work until more is asked for. */
  constructor(atWork?: AtWork) {
    this.atWork = atWork
  }

  offer(item: A): void {
    if (this.closed !== undefined) return
    this.ready.push(item)
    this.wake()
  }

  /** Takes back what was offered and not taken. */
  remove(item: A): void {
    const index = this.ready.indexOf(item, this.head)
    // Many are mostly taken back in the order in which they were offered.
    if (index === this.head) this.shift()
    else if (index >= 0) this.ready.splice(index, 1)
  }

  /** What is ready may still be taken; then it is done. */
  end(): void {
    this.close(Cause.done(), false)
  }

  /** Fails at once, or dies. */
  fail(failure: Effect.Effect<never, KafkaError>): void {
    this.close(failure, true)
  }

  /**
   * Takes what is ready, and makes of it what is asked for in the same step: whoever is interrupted before that has taken
   * nothing, so that it is there for the next one.
   */
  take<B>(f: (item: A) => Effect.Effect<B, KafkaError>): Taken<B> {
    const taken: Taken<B> = Effect.suspend(() => {
      if (!this.failed && !this.isEmpty) {
        this.work()
        return f(this.shift())
      }
      this.leave()
      return this.closed ?? Effect.andThen(this.offered, taken)
    })
    return taken
  }

  /** What was taken is at work, though more was asked for. */
  work(): void {
    this.atWork?.begins(this)
  }

  /** What was taken is at work no more. */
  leave(): void {
    this.atWork?.ends(this)
  }

  private readonly offered: Effect.Effect<void> = Resume.callback((resume) => {
    // The fiber may have yielded since it looked: what came meanwhile has found nobody waiting.
    if (this.closed !== undefined || !this.isEmpty) return resume(Effect.void)
    const waiter = () => resume(Effect.void)
    this.waiter = waiter
    return Effect.sync(() => {
      if (this.waiter === waiter) this.waiter = undefined
    })
  })

  private wake(): void {
    const waiter = this.waiter
    this.waiter = undefined
    waiter?.()
  }

  /** Whether somebody waits for what comes next. */
  get isAwaited(): boolean {
    return this.waiter !== undefined
  }

  /** Whether it was ended by us, without a failure. */
  get hasEnded(): boolean {
    return this.closed !== undefined && !this.failed
  }

  /** Whether something can be taken at once. */
  get hasReady(): boolean {
    return this.closed === undefined && !this.isEmpty
  }

  private get isEmpty(): boolean {
    return this.head === this.ready.length
  }

  private shift(): A {
    const item = this.ready[this.head++]!
    if (this.head === this.ready.length) {
      this.ready.length = 0
      this.head = 0
    } else if (this.head > 64 && this.head * 2 > this.ready.length) {
      this.ready = this.ready.slice(this.head)
      this.head = 0
    }
    return item
  }

  private close(how: Taken<never>, failed: boolean): void {
    if (this.failed || (this.closed !== undefined && !failed)) return
    this.closed = how
    this.failed = failed
    this.wake()
  }
}
