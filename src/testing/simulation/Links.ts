/**
 * The network between processes and brokers: bytes travel in order on each connection, at once where nothing is wrong.
 * What is wrong with a link is a `Trouble`, for as long as it is in force. A process may also stand still (SIGSTOP), and
 * end without a word.
 */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import * as KafkaError from "../../KafkaError.ts"
import type { Address, Connection, Handler, Network } from "../../Network.ts"
import type * as Script from "./Script.ts"
import type { VirtualTime } from "./VirtualTime.ts"

/** See `Script.Way`. */
export interface Trouble {
  readonly client: string | undefined
  readonly broker: number | undefined
  readonly how: Script.StepOf<"link">["how"]
  readonly amount: number
}

/** Whether it is one of the link between these. */
const concerns = (trouble: Trouble, client: string, broker: number): boolean =>
  (trouble.client ?? client) === client && (trouble.broker ?? broker) === broker

type Direction = "up" | "down"

/** The number of a broker, by its host. */
const brokerOf = (host: string): number => Number(/\d+$/.exec(host)?.[0] ?? 0)

/** Bytes on their way in one direction: each piece arrives when the ones before it have, and nothing holds it back. */
class Pipe {
  private waiting: Array<{ readonly due: number; readonly bytes: Uint8Array }> = []
  private last = 0
  /** When the last piece is on its way: one after the other. */
  private sent = 0
  private isDue = false
  private readonly time: VirtualTime
  private readonly holds: () => boolean
  private readonly arrive: (bytes: Uint8Array) => void
  /** Called when nothing is on its way any more. */
  onEmpty: (() => void) | undefined

  constructor(time: VirtualTime, holds: () => boolean, arrive: (bytes: Uint8Array) => void) {
    this.time = time
    this.holds = holds
    this.arrive = arrive
  }

  get isEmpty(): boolean {
    return this.waiting.length === 0
  }

  /** `takes`: how long it is written; `delay`: how long it is on its way. Milliseconds. */
  push(bytes: Uint8Array, delay: number, takes = 0): void {
    this.sent = Math.max(this.sent, this.time.elapsed) + takes
    const due = Math.max(this.last, Math.ceil(this.sent + delay))
    this.last = due
    this.waiting.push({ due, bytes })
    this.flow()
  }

  /** Everything that is due arrives; what is held back, when it is called again. */
  flow(): void {
    while (this.waiting.length > 0 && !this.holds()) {
      const { bytes, due } = this.waiting[0]!
      if (due > this.time.elapsed) {
        if (this.isDue) return
        this.isDue = true
        this.time.after(due - this.time.elapsed, () => {
          this.isDue = false
          this.flow()
        })
        return
      }
      this.waiting.shift()
      this.arrive(bytes)
    }
    if (this.waiting.length === 0) this.onEmpty?.()
  }

  /** What is on its way is there: nothing is slow any more. */
  hurry(): void {
    this.sent = this.last = this.time.elapsed
    this.waiting = this.waiting.map(({ bytes }) => ({ due: this.last, bytes }))
    this.flow()
  }

  drop(): void {
    this.waiting.length = 0
  }
}

interface Open {
  readonly client: string
  readonly process: string
  readonly broker: number
  readonly up: Pipe
  readonly down: Pipe
  /** Whether the client has it open. */
  readonly isOpen: () => boolean
  /** It loses all that passes, for good. */
  dead: boolean
  /** How many troubles hold back what passes on this one alone. */
  held: number
  /** Ends it as the network does: both sides hear of it. */
  readonly reset: () => void
  /** Ends it, and the client hears nothing any more. */
  readonly kill: () => void
}

/** A process, as the network knows it. */
export interface Holder {
  readonly client: string
  /** One life of that client. */
  readonly process: string
  /** It stands still, or is gone: what would reach it waits. */
  readonly isStill: () => boolean
}

/** What passes: by whom, in which direction, how much. */
export type Passing = (process: string, broker: number, direction: Direction, bytes: Uint8Array) => void

const unreachable = ({ host, port }: Address, cause: string) =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: `${host}:${port}`, cause }] })

/** Bytes in small pieces: the first ones alone, as far as the head of a frame. */
const pieces = (bytes: Uint8Array): ReadonlyArray<Uint8Array> => {
  const all: Array<Uint8Array> = []
  for (let at = 0; at < bytes.length;) {
    const to = at < 16 ? at + 1 : Math.min(bytes.length, at + 97)
    all.push(bytes.subarray(at, to))
    at = to
  }
  return all
}

export class Links {
  private readonly time: VirtualTime
  private readonly connect: Network["Service"]["connect"]
  private readonly passing: Passing
  private readonly troubles = new Set<Trouble>()
  private readonly open = new Set<Open>()
  /** Who waits to be let in. */
  private readonly dialing = new Set<() => void>()
  /** Processes that nothing reaches, or leaves, any more. */
  private readonly gone = new Set<string>()

  constructor(time: VirtualTime, connect: Network["Service"]["connect"], passing: Passing) {
    this.time = time
    this.connect = connect
    this.passing = passing
  }

  private isIn(client: string, broker: number, ...ways: ReadonlyArray<Trouble["how"]>): boolean {
    for (const trouble of this.troubles)
      if (ways.includes(trouble.how) && concerns(trouble, client, broker)) return true
    return false
  }

  private amountOf(how: "delay" | "slow", client: string, broker: number): number {
    let most = 0
    for (const trouble of this.troubles)
      if (trouble.how === how && concerns(trouble, client, broker)) most = Math.max(most, trouble.amount)
    return most
  }

  /** Puts a trouble in force; the answer ends it. */
  begin(trouble: Trouble): () => void {
    this.troubles.add(trouble)
    const held: Array<Open> = []
    for (const one of Array.from(this.open)) {
      if (!concerns(trouble, one.client, one.broker)) continue
      if (trouble.how === "dead") one.dead = true
      if (trouble.how === "reset") one.reset()
      if (trouble.how === "duplicate") {
        one.held++
        held.push(one)
      }
    }
    return () => {
      this.troubles.delete(trouble)
      for (const one of held) one.held--
      if (trouble.how === "slow") this.hurry(trouble)
      this.flow()
    }
  }

  /** What was slow is there, where nothing is slow any more. */
  private hurry(trouble: Trouble): void {
    for (const one of Array.from(this.open)) {
      const { broker, client, down, up } = one
      if (!concerns(trouble, client, broker) || this.isIn(client, broker, "slow", "delay")) continue
      up.hurry()
      down.hurry()
    }
  }

  /** What was held back goes on, where nothing holds it any more. */
  flow(): void {
    for (const one of Array.from(this.open)) {
      one.up.flow()
      one.down.flow()
    }
    for (const again of Array.from(this.dialing)) again()
  }

  /** A process is no more. Its connections end, where the system lives that it was on. */
  end(process: string, how: "kill" | "power"): void {
    this.gone.add(process)
    for (const one of Array.from(this.open)) {
      if (one.process !== process) continue
      one.dead = true
      if (how === "kill") one.kill()
    }
  }

  /** Nothing is wrong any more, with any link; what is dead stays so. */
  heal(): void {
    const over = [...this.troubles].filter(({ how }) => how === "slow")
    this.troubles.clear()
    for (const trouble of over) this.hurry(trouble)
    this.flow()
  }

  /** How many connections a process has open. */
  openOf(process: string): number {
    let count = 0
    for (const one of this.open) if (one.process === process && one.isOpen()) count++
    return count
  }

  private send(one: Open, pipe: Pipe, bytes: Uint8Array): void {
    const { broker, client } = one
    if (one.dead || this.gone.has(one.process)) return
    const delay = this.amountOf("delay", client, broker)
    const rate = this.amountOf("slow", client, broker)
    if (rate > 0) {
      const size = Math.max(1, Math.ceil(rate / 10))
      for (let at = 0; at < bytes.length; at += size) {
        const piece = bytes.subarray(at, at + size)
        pipe.push(piece, delay, (1000 * piece.length) / rate)
      }
    } else if (this.isIn(client, broker, "bytes")) for (const piece of pieces(bytes)) pipe.push(piece, delay)
    else pipe.push(bytes, delay)
  }

  /** Waits until the link lets a new connection through. */
  private dialled({ client, isStill, process }: Holder, broker: number): Effect.Effect<void> {
    const mayPass = () => !isStill() && !this.gone.has(process) && !this.isIn(client, broker, "cut", "up", "down")
    return Effect.callback((resume) => {
      const look = () => {
        if (!mayPass()) return
        this.dialing.delete(look)
        resume(Effect.void)
      }
      this.dialing.add(look)
      look()
      return Effect.sync(() => void this.dialing.delete(look))
    })
  }

  /** The network of a process. */
  network(holder: Holder): Network["Service"] {
    return {
      connect: (address, handler) =>
        Effect.acquireRelease(
          Effect.interruptible(this.dialled(holder, brokerOf(address.host))).pipe(
            Effect.andThen(Effect.suspend(() => this.opened(holder, address, handler)))
          ),
          (connection) => Effect.sync(() => connection.close())
        )
    }
  }

  private opened(
    { client, isStill, process }: Holder,
    address: Address,
    handler: Handler
  ): Effect.Effect<Connection, KafkaError.KafkaError> {
    const broker = brokerOf(address.host)
    if (this.isIn(client, broker, "refuse")) return Effect.fail(unreachable(address, "ECONNREFUSED"))
    return Effect.gen({ self: this }, function* () {
      // Its own: what a client had written when it closed still arrives.
      const scope = yield* Scope.make()
      let isOpen = true
      let closedByBroker: string | undefined
      const tell = () => {
        if (!isOpen || closedByBroker === undefined || !down.isEmpty || holdsDown() || one.dead) return
        isOpen = false
        this.open.delete(one)
        handler.onClose(closedByBroker)
      }
      const inner = yield* Scope.provide(
        this.connect(address, {
          onData: (bytes) => {
            if (isOpen) this.send(one, down, bytes)
          },
          onClose: (cause) => {
            closedByBroker = cause
            tell()
          }
        }),
        scope
      ).pipe(Effect.onError(() => Scope.close(scope, Exit.void)))
      const holdsUp = () => one.held > 0 || this.isIn(client, broker, "cut", "up")
      const holdsDown = () => isStill() || one.held > 0 || this.isIn(client, broker, "cut", "down")
      const up = new Pipe(this.time, holdsUp, (bytes) => {
        if (one.dead) return
        this.passing(process, broker, "up", bytes)
        inner.write([bytes])
      })
      const down = new Pipe(this.time, holdsDown, (bytes) => {
        if (!isOpen || one.dead) return
        this.passing(process, broker, "down", bytes)
        handler.onData(bytes)
      })
      down.onEmpty = tell
      const forget = () => {
        this.open.delete(one)
        inner.close()
      }
      const one: Open = {
        client,
        process,
        broker,
        up,
        down,
        isOpen: () => isOpen,
        dead: false,
        held: 0,
        reset: () => {
          up.drop()
          down.drop()
          forget()
          if (!isOpen) return
          isOpen = false
          handler.onClose("ECONNRESET")
        },
        kill: () => {
          isOpen = false
          forget()
        }
      }
      this.open.add(one)
      return {
        write: (chunks, written) => {
          if (!isOpen) return
          for (const chunk of chunks) this.send(one, up, chunk)
          if (written !== undefined) queueMicrotask(() => (isOpen ? written() : undefined))
        },
        close: () => {
          if (!isOpen) return
          isOpen = false
          if (one.dead || this.gone.has(process)) return
          up.onEmpty = forget
          up.flow()
        }
      }
    })
  }
}
