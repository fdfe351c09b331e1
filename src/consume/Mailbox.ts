/**
 * What is ready to be taken, and the one fiber that waits for it. Synchronous on the offering side and on the taking
 * side where something is ready: it costs O(1) an array of records, whatever the number of partitions. No Queue: what was
 * offered can be taken back (`remove`), when a partition is given up.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import type { KafkaError } from "../KafkaError.ts"

type Taken<A> = Effect.Effect<A, KafkaError | Cause.Done>

/** A queue of at most one waiting taker. */
export class Mailbox<A> {
  private ready: Array<A> = []
  private head = 0
  private waiter: ((taken: Taken<A>) => void) | undefined = undefined
  private closed: Taken<never> | undefined = undefined
  private failed = false

  offer(item: A): void {
    if (this.closed !== undefined) return
    const waiter = this.waiter
    if (waiter !== undefined && this.isEmpty) {
      this.waiter = undefined
      waiter(Effect.succeed(item))
    } else {
      this.ready.push(item)
    }
  }

  /** Takes back what was offered and not taken. */
  remove(item: A): void {
    const index = this.ready.indexOf(item, this.head)
    if (index >= 0) this.ready.splice(index, 1)
  }

  /** What is ready may still be taken; then it is done. */
  end(): void {
    this.close(Cause.done(), false)
  }

  /** Fails at once, or dies. */
  fail(failure: Effect.Effect<never, KafkaError>): void {
    this.close(failure, true)
  }

  readonly take: Taken<A> = Effect.suspend(() => {
    if (!this.failed && !this.isEmpty) return Effect.succeed(this.shift())
    if (this.closed !== undefined) return this.closed
    return Effect.callback<A, KafkaError | Cause.Done>((resume) => {
      // The fiber may have yielded since it looked: what came meanwhile has found nobody waiting.
      if (this.closed !== undefined || !this.isEmpty) return resume(this.take)
      this.waiter = resume
      return Effect.sync(() => {
        if (this.waiter === resume) this.waiter = undefined
      })
    })
  })

  /** Whether somebody waits for what comes next. */
  get isAwaited(): boolean {
    return this.waiter !== undefined
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
    const waiter = this.waiter
    this.waiter = undefined
    waiter?.(how)
  }
}
