/**
 * Records of a partition that wait for a handler, where several are at work: in one lane without any order, or in a lane
 * for each of so many keys. Taking the next one costs the same however many wait. No Queue: taking a record that is there
 * runs no Effect, since it is done once a record.
 */
import * as Effect from "effect/Effect"
import * as Resume from "../Resume.ts"

/** A record, and the position that it was delivered from: a seek makes it void. */
export interface Waiting<A> {
  readonly record: A
  readonly epoch: number
}

/** Records that wait for one of the fibers of a lane. */
export class Lane<A> {
  private records: Array<Waiting<A>> = []
  private head = 0
  private idle: Array<() => void> = []
  closed = false

  push(waiting: Waiting<A>): void {
    this.records.push(waiting)
    this.idle.shift()?.()
  }

  shift(): Waiting<A> | undefined {
    if (this.head === this.records.length) return undefined
    const next = this.records[this.head++]
    if (this.head === this.records.length || (this.head > 1024 && this.head * 2 > this.records.length)) {
      this.records = this.records.slice(this.head)
      this.head = 0
    }
    return next
  }

  get isEmpty(): boolean {
    return this.head === this.records.length
  }

  close(): void {
    this.closed = true
    const { idle } = this
    this.idle = []
    for (const wake of idle) wake()
  }

  readonly arrived: Effect.Effect<void> = Resume.callback((resume) => {
    if (this.closed || this.head < this.records.length) return resume(Effect.void)
    const wake = () => resume(Effect.void)
    this.idle.push(wake)
    return Effect.sync(() => {
      const index = this.idle.indexOf(wake)
      if (index >= 0) this.idle.splice(index, 1)
    })
  })
}

// FNV-1a: any hash will do, it never leaves this process.
export const laneOf = (key: Uint8Array | null, offset: number, lanes: number): number => {
  if (key === null) return offset % lanes
  let hash = 0x811c9dc5
  for (let i = 0; i < key.length; i++) hash = Math.imul(hash ^ key[i]!, 0x01000193)
  return (hash >>> 0) % lanes
}
