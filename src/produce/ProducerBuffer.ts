/**
 * The bounds of a producer's buffer, in records and bytes. Those who find it full wait in line, first come first
 * served, or fail. What is larger than the whole buffer is let in when the buffer is empty: alone it cannot wait for
 * anything.
 */
import * as Effect from "effect/Effect"
import * as KafkaError from "../KafkaError.ts"
import type { ProduceRecord } from "../Record.ts"

export interface Limits {
  readonly records: number
  readonly bytes: number
  readonly whenFull: "block" | "fail"
}

interface Waiting {
  readonly records: number
  readonly bytes: number
  readonly admit: () => void
}

/** What a record counts for: its bytes, and about what the objects around them take. */
export const sizeOf = (record: ProduceRecord): number => {
  let bytes = 64
  if (record.key !== null) bytes += record.key.length
  if (record.value !== null) bytes += record.value.length
  if (record.headers.length > 0) {
    for (const [name, value] of record.headers) bytes += 16 + name.length + (value === null ? 0 : value.length)
  }
  return bytes
}

export class ProducerBuffer {
  readonly #limits: Limits
  readonly #line: Array<Waiting> = []
  #records = 0
  #bytes = 0

  constructor(limits: Limits) {
    this.#limits = limits
  }

  #fits(records: number, bytes: number): boolean {
    if (this.#records === 0) return true
    return this.#records + records <= this.#limits.records && this.#bytes + bytes <= this.#limits.bytes
  }

  #take(records: number, bytes: number): void {
    this.#records += records
    this.#bytes += bytes
  }

  /** Takes room if there is some and nobody waits for it. */
  tryAcquire(records: number, bytes: number): boolean {
    if (this.#line.length > 0 || !this.#fits(records, bytes)) return false
    this.#take(records, bytes)
    return true
  }

  /** Takes room, and waits for it where the settings say so. */
  acquire(records: number, bytes: number): Effect.Effect<void, KafkaError.KafkaError> {
    return Effect.suspend(() => {
      if (this.tryAcquire(records, bytes)) return Effect.void
      if (this.#limits.whenFull === "fail") {
        return Effect.fail(KafkaError.make({ _tag: "BufferFull", records: this.#records, bytes: this.#bytes }))
      }
      return Effect.callback<void>((resume) => {
        const waiting: Waiting = { records, bytes, admit: () => resume(Effect.void) }
        this.#line.push(waiting)
        return Effect.sync(() => {
          const at = this.#line.indexOf(waiting)
          // Not in line any more: it was let in, and interrupted before it could use its room.
          if (at < 0) this.release(records, bytes)
          else this.#line.splice(at, 1)
        })
      })
    })
  }

  release(records: number, bytes: number): void {
    this.#records -= records
    this.#bytes -= bytes
    while (this.#line.length > 0) {
      const first = this.#line[0]!
      if (!this.#fits(first.records, first.bytes)) return
      this.#line.shift()
      this.#take(first.records, first.bytes)
      first.admit()
    }
  }
}
