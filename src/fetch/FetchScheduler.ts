/**
 * Pure. Which partitions are asked for, of whom, when, and for how much: what is under way, what is held and the time
 * give the requests to send now, and when to look again.
 *
 * Lanes. A broker holds a Fetch back until it has something, or its wait has passed, and works on one request of a
 * connection at a time. So each broker has two lanes, connections of their own: while one request is held for partitions
 * that are at their end, a partition that has room again is asked for on the other. A request on the last free lane is
 * held for a short time, as long as other partitions of its broker may come to want something.
 *
 * Rotation (KIP-74). A broker fills its answer in the order in which it is asked, and gives a batch that is larger than
 * the answer only to the first. Partitions that were served go behind the others; a broker does so itself in a session.
 *
 * Room. `bufferBytes` is cut in two. One half is divided among all partitions: each may always hold its share, whatever
 * the others do. The other half is a pool: what a partition holds beyond its share, and all that the requests under way
 * may bring. Where the pool is empty, partitions are asked for within their shares. Batches come whole, however large: a
 * request may bring one that nobody has room for; then none is asked for until there is room. Where partitions are short
 * of room, what others have not touched for a second is dropped, and is fetched again when they come back to it. One
 * partition at a time may have a batch decompressed that there was no room for: no batch waits for ever (`Pulls`).
 */
import type { Owner } from "./FetchBuffer.ts"
import type { Why } from "../Backoff.ts"
import type { Answer, Delay, Delays, Look, Request, Settings, Slot } from "./Slot.ts"

export type { Answer, Delay, Delays, Look, Request, Settings, Slot } from "./Slot.ts"

const laneCount = 2

interface Node {
  readonly lanes: Array<object | undefined>
  /** Failures in a row, the waits after them, and when it is tried again. */
  failures: number
  readonly afterFailure: Delay
  asleepUntil: number
  /** Empty answers in a row, and those of them that came at once although they should have been held. */
  quiet: number
  hasty: number
  readonly afterHaste: Delay
}

/** How long a request on the last lane is held at first, in milliseconds. */
const shortWait = 25
/** How long what is fetched may lie before others may have its room. */
const staleAfter = 1000
/** How long after its wait a request is taken for late. */
const lateAfter = 5000

export class FetchScheduler<S extends Slot> {
  /** How many requests of one broker may be under way. */
  static readonly lanes = laneCount
  readonly #settings: Settings
  readonly #delays: Delays
  /** In the order in which they are asked for. */
  readonly #slots = new Set<S>()
  readonly #nodes = new Map<number, Node>()
  readonly #underWay = new Set<Request<S>>()
  #share: number
  #isShareOld = false
  /** What is held beyond the shares, and what requests under way have reserved. */
  #over = 0
  /** Until then another look finds nothing else, as long as every lane is taken: with many partitions looks are dear. */
  #settledUntil = 0
  #reserved = 0

  constructor(settings: Settings, delays: Delays) {
    this.#settings = settings
    this.#delays = delays
    this.#share = settings.bufferBytes >>> 1
  }

  get size(): number {
    return this.#slots.size
  }

  /** What all of them hold: a walk over them. */
  get bytes(): number {
    let bytes = 0
    for (const { held } of this.#slots) bytes += held
    return bytes
  }

  /** How large the arrays that are pulled should be, so that those that all partitions have out stay small together. */
  get arrayBytes(): number {
    const { bufferBytes, maxPartitionBytes } = this.#settings
    const fair = Math.floor(bufferBytes / 4 / Math.max(1, this.#slots.size))
    return Math.min(Math.max(fair, 65_536), maxPartitionBytes)
  }

  /** How many bytes a partition may become more when it is decompressed. */
  room(slot: S, dead: number): number {
    return Math.max(0, this.#poolLeft(dead)) + Math.max(0, this.#share - slot.held)
  }

  /** Whether a partition holds more than its share. */
  isOver(slot: S): boolean {
    return slot.held > this.#share
  }

  add(slot: S): void {
    this.#slots.add(slot)
    this.#settledUntil = 0
    this.#isShareOld = true
  }

  remove(slot: S): void {
    if (this.#slots.delete(slot)) this.#isShareOld = true
  }

  /** A partition's bytes in the buffer have changed. */
  readonly count = (slot: Owner, delta: number): void => {
    const share = this.#share
    this.#over -= Math.max(0, slot.held - share)
    slot.held += delta
    this.#over += Math.max(0, slot.held - share)
  }

  /** It was given something: the others come first from now on. */
  served(slot: S, now: number): void {
    slot.touchedAt = now
    if (this.#slots.delete(slot)) this.#slots.add(slot)
  }

  /**
   * Keeps only some partitions of a request: what a broker before v3 might send of them must fit, and they are of one
   * rack. It is held for their part of the time, so that all have their turn within the whole of it.
   */
  narrow(request: Request<S>, slots: ReadonlyArray<S>): void {
    const kept = new Set(slots)
    for (const slot of request.slots) if (!kept.has(slot) && slot.asked === request) slot.asked = undefined
    const part = Math.floor((request.maxWait * slots.length) / request.slots.length)
    request.maxWait = Math.min(request.maxWait, Math.max(shortWait, part))
    request.slots = slots
    for (const slot of slots) if (this.#slots.delete(slot)) this.#slots.add(slot)
  }

  /** A request was answered. */
  answered(request: Request<S>, answer: Answer, now: number): void {
    const node = this.#end(request)
    node.failures = 0
    node.quiet = answer === "empty" ? node.quiet + 1 : 0
    const isHasty = answer === "empty" && now - request.sentAt < request.maxWait / 2
    node.hasty = isHasty ? node.hasty + 1 : 0
    node.asleepUntil = now + (isHasty ? node.afterHaste(node.hasty) : 0)
  }

  /** A request failed on its way. */
  failed(request: Request<S>, now: number, why?: Why): void {
    const node = this.#end(request)
    node.asleepUntil = now + node.afterFailure(++node.failures, why)
  }

  /** A request was never sent. */
  cancelled(request: Request<S>): void {
    this.#end(request)
  }

  /**
   * What to do now. `dead` is what the buffer keeps beside what partitions hold; `locate` says which broker a partition
   * is asked for at, undefined where that is not known; `needed`: what somebody waits for to decompress a batch.
   */
  look(now: number, dead: number, locate: (slot: S) => number | undefined, needed = 0): Look<S> {
    this.#newShares()
    if (needed === 0 && now < this.#settledUntil && this.#areLanesTaken) {
      return { requests: none, drop: none, late: none, wakeAt: this.#settledUntil }
    }
    let wakeAt = Infinity
    let homeless = 0
    const byNode = new Map<number, Array<S>>()
    const outside = new Set<number>()
    for (const slot of this.#slots) {
      if (slot.asked !== undefined) continue
      const { asleepUntil } = slot
      if (!slot.isWanted || slot.held >= this.#settings.maxPartitionBytes || (slot.isParked && !slot.isAwaited)) {
        if (slot.node !== undefined) outside.add(slot.node)
        continue
      }
      if (asleepUntil > now) {
        if (slot.node !== undefined) outside.add(slot.node)
        if (asleepUntil < wakeAt) wakeAt = asleepUntil
        continue
      }
      const at = (slot.node = locate(slot))
      if (at === undefined) {
        homeless++
        continue
      }
      const node = this.#nodeOf(at)
      if (node.asleepUntil > now) {
        if (node.asleepUntil < wakeAt) wakeAt = node.asleepUntil
        continue
      }
      const of = byNode.get(at)
      if (of === undefined) byNode.set(at, [slot])
      else of.push(slot)
    }
    const drop: Array<S> = []
    const requests: Array<Request<S>> = []
    let nodes = byNode.size
    let isShort = needed > 0
    for (const [at, slots] of byNode) {
      const request = this.#request(at, slots, nodes--, outside.has(at), now, dead)
      if (request === undefined) continue
      if (request === "short") isShort = true
      else {
        if (request.reserved === 0) isShort = true
        requests.push(request)
      }
    }
    if (isShort) wakeAt = Math.min(wakeAt, this.#dropStale(now, dead, needed, drop))
    const late = this.#late(now)
    wakeAt = Math.min(wakeAt, this.#nextLate())
    this.#settledUntil = homeless === 0 && drop.length === 0 ? wakeAt : 0
    return { requests, drop, late, wakeAt }
  }

  /** A partition does not wait any longer for the request under way. */
  abandon(slot: S): void {
    slot.asked = undefined
    this.#settledUntil = 0
  }

  /** A partition is wanted again: where it is to be asked for may not be known yet. */
  resumed(): void {
    this.#settledUntil = 0
  }

  get #areLanesTaken(): boolean {
    for (const { lanes } of this.#nodes.values()) if (lanes.includes(undefined)) return false
    // Where nothing is under way, no answer would free one.
    return this.#underWay.size > 0
  }

  /** What is left of the pool. */
  #poolLeft(dead: number): number {
    return this.#pool - this.#over - this.#reserved - dead
  }

  get #pool(): number {
    return this.#settings.bufferBytes - this.#share * this.#slots.size
  }

  #newShares(): void {
    if (!this.#isShareOld) return
    this.#isShareOld = false
    this.#share = Math.floor(this.#settings.bufferBytes / 2 / Math.max(1, this.#slots.size))
    this.#over = 0
    for (const { held } of this.#slots) this.#over += Math.max(0, held - this.#share)
  }

  /** The request for these partitions of a broker; `"short"` where there is no room for one. */
  #request(
    at: number,
    slots: ReadonlyArray<S>,
    nodes: number,
    hasOthers: boolean,
    now: number,
    dead: number
  ): Request<S> | "short" | undefined {
    const node = this.#nodeOf(at)
    const lane = node.lanes.indexOf(undefined)
    if (lane < 0) return undefined
    const isLast = node.lanes.indexOf(undefined, lane + 1) < 0
    const isBehind = isBehindAmong(slots)
    const { maxWait } = this.#settings
    const room = this.#room(slots, nodes, isBehind, dead)
    if (room === undefined) return "short"
    // Whom there is no room for comes to want something, too, as soon as it has given some.
    const areOthers = hasOthers || room.slots.length < slots.length
    const isShort = isLast && areOthers && !isBehindAmong(room.slots)
    const wait = room.slots.some((slot) => slot.isNew)
      ? 0
      : isShort
        ? Math.min(maxWait, shortWait * 2 ** Math.min(node.quiet, 10))
        : maxWait
    const request: Request<S> = {
      node: at,
      lane,
      ...room,
      maxWait: wait,
      sentAt: now,
      lateAt: now + wait + lateAfter
    }
    for (const slot of request.slots) slot.asked = request
    node.lanes[lane] = request
    this.#underWay.add(request)
    this.#reserved += request.reserved
    return request
  }

  /** For whom, and for how much, there is room. */
  #room(
    slots: ReadonlyArray<S>,
    nodes: number,
    isBehind: boolean,
    dead: number
  ): Pick<Request<S>, "slots" | "maxBytes" | "partitionBytes" | "reserved"> | undefined {
    const { bufferBytes, maxBytes, maxPartitionBytes } = this.#settings
    const pool = this.#pool
    const left = this.#poolLeft(dead)
    // A request that is held for what may come takes little of the pool, so that many can be held at a time.
    const wanted = isBehind
      ? Math.min(maxBytes, Math.max(maxPartitionBytes, bufferBytes >>> 3), Math.floor(left / (nodes + 1)))
      : Math.min(maxBytes, Math.floor(pool / (8 * Math.max(1, this.#nodes.size))))
    const least = isBehind ? Math.min(maxPartitionBytes, maxBytes, pool >>> 3) : wanted
    if (wanted >= Math.max(1, least) && left >= wanted) {
      return { slots, maxBytes: wanted, partitionBytes: maxPartitionBytes, reserved: wanted }
    }
    if (this.#over + dead > pool) return undefined
    // Within the shares: half of one, to those that hold no more than the other half.
    const half = Math.max(1, Math.min(this.#share >>> 1, maxPartitionBytes))
    const modest = slots.filter((slot) => slot.held === 0 || slot.held < half)
    if (modest.length === 0) return undefined
    return { slots: modest, maxBytes: Math.min(maxBytes, half * modest.length), partitionBytes: half, reserved: 0 }
  }

  /**
   * Lets go of what has not been touched for long, until what is needed is free, and a quarter of the pool. Gives when
   * there may be more.
   */
  #dropStale(now: number, dead: number, needed: number, drop: Array<S>): number {
    const holding = [...this.#slots].filter((slot) => slot.held > 0).sort((a, b) => a.touchedAt - b.touchedAt)
    const keepsDead = dead > this.#pool >>> 2
    let missing = Math.max(needed, this.#pool >>> 2) - (this.#pool - this.#over - dead)
    for (const slot of holding) {
      const gain = Math.max(0, slot.held - this.#share) + (keepsDead ? slot.held : 0)
      if (gain === 0) continue
      if (missing <= 0) return Infinity
      if (slot.touchedAt + staleAfter > now) return slot.touchedAt + staleAfter
      drop.push(slot)
      missing -= gain
    }
    return Infinity
  }

  #late(now: number): ReadonlyArray<Request<S>> {
    let late: Array<Request<S>> | undefined
    for (const request of this.#underWay) {
      if (request.lateAt > now) continue
      request.lateAt = now + lateAfter
      ;(late ??= []).push(request)
    }
    return late ?? none
  }

  #nextLate(): number {
    let next = Infinity
    for (const { lateAt } of this.#underWay) if (lateAt < next) next = lateAt
    return next
  }

  #nodeOf(id: number): Node {
    let node = this.#nodes.get(id)
    if (node === undefined) {
      const lanes = Array.from({ length: laneCount }, () => undefined)
      const [afterFailure, afterHaste] = [this.#delays(), this.#delays()]
      this.#nodes.set(id, (node = { lanes, failures: 0, afterFailure, asleepUntil: 0, quiet: 0, hasty: 0, afterHaste }))
    }
    return node
  }

  #end(request: Request<S>): Node {
    const node = this.#nodeOf(request.node)
    if (!this.#underWay.delete(request)) return node
    node.lanes[request.lane] = undefined
    this.#reserved -= request.reserved
    for (const slot of request.slots) {
      if (slot.asked === request) slot.asked = undefined
    }
    return node
  }
}

/** Whether one of them has something to be fetched, as far as is known. */
const isBehindAmong = (slots: ReadonlyArray<Slot>): boolean => slots.some((slot) => slot.isBehind && !slot.isNew)

const none: ReadonlyArray<never> = []
