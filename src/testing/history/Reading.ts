/**
 * Pure. What groups read and commit: I4, I5 and I6, one pass over the events. For each partition of a group it follows the
 * windows in which a member had it, what was delivered and done, and what was committed.
 */
import * as TopicPartition from "../../TopicPartition.ts"
import type { Event, Membered, Violation } from "./History.ts"
import type { IndexedLog } from "./IndexedLog.ts"

/** A member's time with a partition. */
interface Window {
  readonly member: string
  readonly delivered: Array<number>
  /** What was delivered of it since it went on from elsewhere: the rest is forgotten. */
  readonly held: Set<number>
  readonly done: Set<number>
  /** What was committed when its first record was delivered. */
  committed: number | undefined
  begun: boolean
  /** The last offset that was delivered in order. */
  last: number | undefined
  /** It went on from elsewhere: where it begins says nothing. */
  moved: boolean
  end: "Revoked" | "Lost" | undefined
  ungraceful: boolean
}

class Book {
  readonly group: string
  readonly place: TopicPartition.TopicPartition
  readonly log: IndexedLog | undefined
  readonly found: Array<Violation>
  /** Topics with contents of records that a reader of committed data must not see. */
  readonly unseen: ReadonlySet<string>
  readonly windows: Array<Window> = []
  /** Windows that another member was given before they had ended. */
  readonly overlaps: Array<{ readonly window: Window; readonly by: string }> = []
  private readonly delivered = new Set<number>()
  /** What was delivered, where it was told. */
  private readonly contents = new Map<number, string>()
  private readonly done = new Set<number>()
  private readonly byHand = new Set<number>()
  /** How many handlers each member has at work. */
  private readonly atWork = new Map<string, number>()
  private committed: number | undefined
  /** From here on what is committed must be done. */
  private floor: number | undefined
  private mayGoBack = false
  private wasMoved = false
  private allOrdered = true

  constructor(
    event: Omit<Membered, "member">,
    log: IndexedLog | undefined,
    found: Array<Violation>,
    unseen: ReadonlySet<string>
  ) {
    this.unseen = unseen
    this.group = event.group
    this.place = { topic: event.topic, partition: event.partition }
    this.log = log
    this.found = found
  }

  violates(invariant: "I4" | "I5" | "I6" | "I7", offsets: ReadonlyArray<number>, message: string): void {
    this.found.push({ invariant, group: this.group, ...this.place, offsets, message })
  }

  /**
   * The window of a member: the open one, or a new one. What it takes in the moment in which it is told of a loss is of the
   * time before: who has it again is told so first, and what is handled beside another owner is judged by itself.
   */
  private of(member: string): Window {
    const last = this.windows.findLast((window) => window.member === member)
    return last !== undefined && last.end !== "Revoked" ? last : this.open(member)
  }

  /** The window of a member that asks for something; undefined where another one has the partition: it will be refused. */
  private own(member: string): Window | undefined {
    const open = this.windows.filter((window) => window.end === undefined)
    return open.length === 0 ? this.open(member) : open.find((window) => window.member === member)
  }

  open(member: string): Window {
    const window: Window = {
      member,
      delivered: [],
      held: new Set(),
      done: new Set(),
      committed: undefined,
      begun: false,
      last: undefined,
      moved: false,
      end: undefined,
      ungraceful: false
    }
    for (const other of this.windows)
      if (other.end === undefined && other.member !== member) this.overlaps.push({ window: other, by: member })
    this.windows.push(window)
    return window
  }

  close(member: string, end: "Revoked" | "Lost"): void {
    const open = this.windows.findLast((window) => window.member === member && window.end === undefined)
    if (open !== undefined) open.end = end
  }

  ungraceful(member: string): void {
    const last = this.windows.findLast((window) => window.member === member)
    if (last !== undefined) last.ungraceful = true
  }

  private gap(from: number, to: number, member: string): void {
    const missing = this.log?.between(Math.max(from, this.log.start), to) ?? []
    if (missing.length > 0) this.violates("I4", missing, `${member} was given ${to} without what lies before it`)
  }

  deliver(
    member: string,
    offsets: ReadonlyArray<number>,
    contents: ReadonlyArray<string> | undefined,
    ordered: boolean
  ) {
    const window = this.of(member)
    if (!window.begun) {
      window.begun = true
      window.committed = this.committed
    }
    if (!ordered) this.allOrdered = false
    offsets.forEach((offset, i) => {
      if (ordered) {
        if (window.last !== undefined && offset <= window.last)
          this.violates("I4", [window.last, offset], `${member} was given ${offset} after ${window.last}`)
        else if (window.last !== undefined) this.gap(window.last + 1, offset, member)
        else if (!window.moved && window.committed !== undefined) this.gap(window.committed, offset, member)
        window.last = offset
      }
      if (!window.moved && window.committed !== undefined && offset < window.committed)
        this.violates("I6", [offset], `${member} was given ${offset} again, although ${window.committed} was committed`)
      const content = contents?.[i]
      const there = this.log?.contents.get(offset)
      if (content !== undefined && this.log !== undefined && there === undefined && this.isUnseen(content))
        this.violates("I7", [offset], `${member} was given a record of a transaction that is not committed`)
      else if (content !== undefined && this.log !== undefined && there !== content)
        if (there !== undefined || !(this.log.log.compacted === true || offset < this.log.start))
          this.violates("I4", [offset], `${member} was given a record at ${offset} that the log does not have there`)
      if (content !== undefined) this.contents.set(offset, content)
      window.delivered.push(offset)
      window.held.add(offset)
      this.delivered.add(offset)
    })
  }

  private isUnseen(content: string): boolean {
    return this.unseen.has(`${this.place.topic} ${content}`)
  }

  /** What is committed in a transaction is its producer's to choose. */
  inTransaction(offset: number): void {
    this.byHand.add(offset)
  }

  begin(member: string, offset: number): void {
    for (const [other, count] of this.atWork)
      if (other !== member && count > 0)
        this.violates("I6", [offset], `${member} began to handle ${offset} while ${other} was still at work`)
    this.atWork.set(member, (this.atWork.get(member) ?? 0) + 1)
  }

  end(member: string): void {
    this.atWork.set(member, (this.atWork.get(member) ?? 0) - 1)
  }

  mark(member: string, offset: number): void {
    this.of(member).done.add(offset)
    this.done.add(offset)
  }

  seek(member: string, offset: number): void {
    const window = this.own(member)
    if (window === undefined) return
    window.begun = true
    window.moved = true
    window.last = undefined
    window.held.clear()
    this.floor = offset
    this.mayGoBack = true
    this.wasMoved = true
  }

  hand(member: string, offset: number): void {
    this.byHand.add(offset)
    // Whoever commits before it was given anything begins where the group stood before that.
    const window = this.own(member)
    if (window !== undefined) window.begun = true
    this.mayGoBack = true
    this.wasMoved = true
  }

  commit(offset: number): void {
    const before = this.committed
    this.committed = offset
    if (before !== undefined && offset < before) {
      if (!this.mayGoBack) this.violates("I5", [before, offset], `the commit went back from ${before} to ${offset}`)
      this.mayGoBack = false
    }
    if (!this.byHand.has(offset) && this.delivered.size > 0) {
      const first = Math.min(...this.delivered)
      const from = this.floor ?? before ?? first
      const below = new Set(this.log?.between(Math.max(from, this.log.start), offset) ?? [])
      for (const each of this.delivered) if (each >= from && each < offset) below.add(each)
      const unfinished = [...below].filter((each) => !this.done.has(each) && !this.isGone(each)).sort((a, b) => a - b)
      if (unfinished.length > 0)
        this.violates("I5", unfinished, `${offset} was committed, but ${unfinished[0]} is not done`)
    }
    this.floor = undefined
  }

  /**
   * The log has it no more, and whoever was given it has given the partition back since, or gone on from elsewhere: nobody
   * can be given it again.
   */
  private isGone(offset: number): boolean {
    return (
      this.mayHaveBeen(offset) && !this.windows.some((window) => window.end === undefined && window.held.has(offset))
    )
  }

  /** The log does not have it, and may have had it. */
  private mayHaveBeen(offset: number): boolean {
    const { log } = this
    return log !== undefined && !log.contents.has(offset) && log.mayLack(offset, this.contents.get(offset))
  }

  /** What only the end tells. */
  finish(): void {
    for (const { by, window } of this.overlaps)
      // Who was thrown out finds out later; who gives back must have done so before another has it.
      if (window.end === "Revoked" && !window.ungraceful)
        this.violates("I6", [], `${by} was given the partition before ${window.member} had given it back`)
    if (!this.wasMoved) {
      this.repeated()
      this.skipped()
    }
  }

  /** What was done before a partition was given back in peace is not delivered again. */
  private repeated(): void {
    this.windows.forEach((window, i) => {
      if (window.end !== "Revoked" || window.ungraceful || window.delivered.length === 0) return
      // With handlers in any order some below the highest have not even begun, also of those that the log has lost since.
      const lowest = Math.min(...window.delivered)
      const highest = Math.max(...window.delivered)
      const all = [...window.delivered, ...(this.log?.between(lowest, highest) ?? [])]
      const open = all.filter((offset) => !window.done.has(offset))
      if (window.last === undefined)
        for (let o = lowest; o < highest; o++) if (!window.done.has(o) && this.mayHaveBeen(o)) open.push(o)
      const watermark = open.length > 0 ? Math.min(...open) : Infinity
      for (const later of this.windows.slice(i + 1)) {
        const again = later.delivered.filter((offset) => offset < watermark && window.done.has(offset))
        if (again.length > 0)
          this.violates("I6", again, `${later.member} was given again what ${window.member} had done and given back`)
      }
    })
  }

  /** Of what lies in the log none is skipped: up to the last that was delivered, or committed where order is free. */
  private skipped(): void {
    if (this.log === undefined || this.delivered.size === 0) return
    const first = Math.min(...this.delivered)
    const end = this.allOrdered ? Math.max(...this.delivered) + 1 : (this.committed ?? first)
    const missing = this.log.between(Math.max(first, this.log.start), end).filter((offset) => {
      return !this.delivered.has(offset) && !this.done.has(offset)
    })
    if (missing.length > 0) this.violates("I4", missing, `no member of the group was given ${missing[0]}`)
  }
}

/** I4, I5 and I6, and what of I7 readers see. */
export const verify = (
  events: ReadonlyArray<Event>,
  logs: ReadonlyMap<string, IndexedLog>,
  unseen: ReadonlySet<string>
): ReadonlyArray<Violation> => {
  const found: Array<Violation> = []
  const books = new Map<string, Book>()
  const bookOf = (event: Omit<Membered, "member">): Book => {
    const partition = TopicPartition.key(event)
    const key = `${event.group} ${partition}`
    let book = books.get(key)
    if (book === undefined) books.set(key, (book = new Book(event, logs.get(partition), found, unseen)))
    return book
  }
  for (const event of events) {
    switch (event._tag) {
      case "Assigned":
        bookOf(event).open(event.member)
        break
      case "Revoked":
      case "Lost":
        bookOf(event).close(event.member, event._tag)
        break
      case "RevokeTimedOut":
      case "RevokeTooLate":
        bookOf(event).ungraceful(event.member)
        break
      case "Delivered":
        bookOf(event).deliver(event.member, event.offsets, event.contents, event.ordered)
        break
      case "HandlerBegan":
        bookOf(event).begin(event.member, event.offset)
        break
      case "HandlerEnded":
        bookOf(event).end(event.member)
        break
      case "Done":
        bookOf(event).mark(event.member, event.offset)
        break
      case "Seek":
        bookOf(event).seek(event.member, event.offset)
        break
      case "CommitByHand":
        bookOf(event).hand(event.member, event.offset)
        break
      case "TransactionOffset":
        bookOf(event).inTransaction(event.offset)
        break
      case "Committed":
        bookOf(event).commit(event.offset)
        break
    }
  }
  for (const book of books.values()) book.finish()
  return found
}
