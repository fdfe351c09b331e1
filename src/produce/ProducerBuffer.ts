/**
 * The bounds of a producer's buffer, in records and bytes. Those who find it full wait in line, first come first
 * served, or fail. What is larger than the whole buffer is let in when the buffer is empty: alone it cannot wait for
 * anything.
 *
 * Room is taken and used in one step, so that whoever is interrupted has either not had any, or handed his records over.
 */
import * as Effect from "effect/Effect"
import type * as Fiber from "effect/Fiber"
import * as KafkaError from "../KafkaError.ts"
import type { ProduceRecord } from "../Record.ts"

export interface Limits {
  readonly records: number
  readonly bytes: number
  readonly whenFull: "block" | "fail"
  /** How long at most somebody waits in line, in milliseconds. */
  readonly patience: number
  /** Told of records that are refused since it is full. */
  readonly exhausted?: ((records: number) => void) | undefined
}

/** Who wants room. Exactly one of the two is called, once. */
export interface Wanting {
  readonly records: number
  readonly bytes: number
  /** Since when, on the monotonic clock. */
  readonly since: number
  readonly use: () => void
  readonly refuse: (error: KafkaError.KafkaError) => void
}

/** What a record counts for: its bytes, and a part of what the objects around them take, which is some 500 (`docs/deployment.md`). */
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
  readonly #now: () => number
  readonly #fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>
  /** In the order of coming. */
  readonly #line = new Set<Wanting>()
  #records = 0
  #bytes = 0
  #closed: KafkaError.KafkaError | undefined
  #timer: Fiber.Fiber<void> | undefined
  /** When the line is looked at: -Infinity while it is, Infinity where nothing does. It may be the time of one who has left. */
  #looksAt = Infinity
  #admitting = false
  /** Somebody in line has waited for longer than one before him: his topic was looked up, or his Schema took its time. */
  #mixed = false
  #youngest = -Infinity

  constructor(limits: Limits, now: () => number, fork: (effect: Effect.Effect<void>) => Fiber.Fiber<void>) {
    this.#limits = limits
    this.#now = now
    this.#fork = fork
  }

  get records(): number {
    return this.#records
  }

  get bytes(): number {
    return this.#bytes
  }

  /** How many stand in line. */
  get waiting(): number {
    return this.#line.size
  }

  #fits(records: number, bytes: number): boolean {
    if (this.#records === 0) return true
    return this.#records + records <= this.#limits.records && this.#bytes + bytes <= this.#limits.bytes
  }

  /** Has it use the room at once, or later; or refused. */
  enter(wanting: Wanting): void {
    const { bytes, records } = wanting
    if (this.#closed !== undefined) return wanting.refuse(this.#closed)
    if (records === 0) return wanting.use()
    if (this.#line.size === 0 && this.#fits(records, bytes)) return this.#admit(wanting)
    if (this.#limits.whenFull === "fail") {
      this.#limits.exhausted?.(records)
      return wanting.refuse(KafkaError.make({ _tag: "BufferFull", records: this.#records, bytes: this.#bytes }))
    }
    if (this.#line.size === 0) {
      this.#mixed = false
      this.#youngest = -Infinity
    }
    this.#line.add(wanting)
    if (wanting.since < this.#youngest) this.#mixed = true
    else this.#youngest = wanting.since
    if (this.#looksAt <= wanting.since + this.#limits.patience) return
    this.#timer?.interruptUnsafe()
    this.#looksAt = -Infinity
    this.#timer = this.#fork(this.#watch)
  }

  /** Out of the line again; false where it has had its room. Those behind it may need less. */
  leave(wanting: Wanting): boolean {
    const left = this.#line.delete(wanting)
    if (left) this.#serve()
    return left
  }

  release(records: number, bytes: number): void {
    this.#records -= records
    this.#bytes -= bytes
    this.#serve()
  }

  /** Lets in those who stand first in line, as far as there is room. */
  #serve(): void {
    // Who is let in may have his end at once, and so give his room back: one walk of the line sees that too.
    if (this.#admitting) return
    this.#admitting = true
    for (const first of this.#line) {
      if (!this.#fits(first.records, first.bytes)) break
      this.#line.delete(first)
      this.#admit(first)
    }
    this.#admitting = false
  }

  /** Nobody gets room from here on; those in line hear it. */
  close(error: KafkaError.KafkaError): void {
    this.#closed = error
    this.#timer?.interruptUnsafe()
    const line = [...this.#line]
    this.#line.clear()
    for (const wanting of line) wanting.refuse(error)
  }

  #admit(wanting: Wanting): void {
    this.#records += wanting.records
    this.#bytes += wanting.bytes
    wanting.use()
  }

  /** One timer for the line: who came first has waited for longest, unless it is mixed. */
  readonly #watch: Effect.Effect<void> = Effect.suspend(() => {
    const { patience } = this.#limits
    this.#looksAt = -Infinity
    for (const wanting of this.#line) {
      if (wanting.since + patience > this.#now()) {
        if (!this.#mixed) break
        continue
      }
      this.#line.delete(wanting)
      this.#limits.exhausted?.(wanting.records)
      const waitingFor = "room in the producer's buffer"
      wanting.refuse(KafkaError.make({ _tag: "TimedOut", budget: "deliveryTimeout", millis: patience, waitingFor }))
    }
    this.#serve()
    // After all that: who has heard something may have come again.
    this.#looksAt = Infinity
    for (const { since } of this.#line) {
      this.#looksAt = Math.min(this.#looksAt, since + patience)
      if (!this.#mixed) break
    }
    if (this.#looksAt === Infinity) return Effect.void
    return Effect.andThen(Effect.sleep(Math.max(0, Math.ceil(this.#looksAt - this.#now()))), this.#watch)
  })
}
