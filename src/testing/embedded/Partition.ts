/**
 * A partition: its log, its leader and epoch, and its replicas. Every replica holds a prefix of the one log, so a
 * follower is no more than the offset up to which it has copied; followers copy at once unless they are held back.
 *
 * The high watermark is the least end of the replicas in sync; who waits for it, or for records, is woken by `watch`.
 */
import { Log } from "./Log.ts"

export class EmbeddedPartition {
  readonly topic: string
  readonly index: number
  readonly log = new Log()
  replicas: Array<number>
  isr: Array<number>
  /** Node id; -1 while there is none. */
  leader: number
  leaderEpoch = 0
  highWatermark = 0
  /** While its replicas move: those that there were, and those that there are to be. */
  reassignment: { readonly before: ReadonlyArray<number>; readonly target: ReadonlyArray<number> } | undefined
  /** Followers that do not copy now, with the end of what they have. */
  readonly held = new Map<number, number>()
  /** Those of them that would copy again, and have no leader to copy from. */
  private readonly returned = new Set<number>()
  private readonly watchers = new Set<() => void>()

  constructor(topic: string, index: number, replicas: ReadonlyArray<number>, lives: (id: number) => boolean) {
    this.topic = topic
    this.index = index
    this.replicas = [...replicas]
    this.leader = replicas.find(lives) ?? -1
    this.isr = this.leader < 0 ? replicas.slice(0, 1) : replicas.filter(lives)
    for (const id of replicas) if (!lives(id)) this.hold(id)
    this.log.begin(this.leaderEpoch)
  }

  /** The offset up to which a replica has copied. */
  endOf(node: number): number {
    return this.held.get(node) ?? this.log.endOffset
  }

  /** Below it every transaction has ended. It is none that is gone, though records of an open one are. */
  get lastStableOffset(): number {
    const unstable = this.log.producers.firstUnstable(this.highWatermark) ?? this.highWatermark
    return Math.min(Math.max(unstable, this.log.startOffset), this.highWatermark)
  }

  /** Calls `run` whenever the log, the watermark or the leader changes; gives what ends that. */
  watch(run: () => void): () => void {
    this.watchers.add(run)
    return () => this.watchers.delete(run)
  }

  /** Counts the watermark anew, and wakes who waits. */
  changed(): void {
    let least = this.log.endOffset
    for (const node of this.isr) least = Math.min(least, this.endOf(node))
    // it never goes back but by truncation
    this.highWatermark = Math.min(Math.max(this.highWatermark, least), this.log.endOffset)
    if (this.watchers.size > 0) for (const run of Array.from(this.watchers)) run()
  }

  /** Makes a node the leader, in a new epoch; what it had not copied is gone for good. */
  lead(node: number): void {
    this.leaderEpoch++
    this.leader = node
    const end = this.endOf(node)
    this.forget(node)
    if (end < this.log.endOffset) {
      this.log.truncate(end)
      for (const [other, copied] of this.held) this.held.set(other, Math.min(copied, end))
      this.highWatermark = Math.min(this.highWatermark, end)
    }
    // An unclean election: whoever copies is in sync with it as soon as it has cut off what it had beyond.
    if (!this.isr.includes(node)) this.isr = this.replicas.filter((id) => id === node || !this.held.has(id))
    this.log.begin(this.leaderEpoch)
    for (const follower of this.returned) this.release(follower)
    this.changed()
  }

  /** Is led by none: the last replica in sync, its leader, stays so, since only that has everything. */
  resign(): void {
    this.isr = [this.leader]
    this.leader = -1
    this.leaderEpoch++
    this.changed()
  }

  /** Stops a follower's copying at where it is. */
  hold(node: number): void {
    this.returned.delete(node)
    if (!this.held.has(node)) this.held.set(node, this.log.endOffset)
  }

  /** Lets a follower copy again: it catches up at once, or as soon as there is a leader, and is in sync. */
  release(node: number): void {
    if (this.leader < 0) {
      if (this.held.has(node)) this.returned.add(node)
      return
    }
    this.forget(node)
    if (this.replicas.includes(node) && !this.isr.includes(node))
      this.isr = this.replicas.filter((id) => id === node || this.isr.includes(id))
    this.changed()
  }

  /** Gives the place of a replica to another broker, also where replicas move. */
  replace(former: number, node: number): void {
    const replaced = (ids: ReadonlyArray<number>) => ids.map((id) => (id === former ? node : id))
    this.replicas = replaced(this.replicas)
    if (this.reassignment !== undefined)
      this.reassignment = { before: replaced(this.reassignment.before), target: replaced(this.reassignment.target) }
    this.forget(former)
  }

  /** What is no replica any more has nothing. */
  forget(node: number): void {
    this.returned.delete(node)
    this.held.delete(node)
  }

  /** Takes a follower out of the replicas in sync. */
  shrink(node: number): void {
    if (this.isr.length > 1) this.isr = this.isr.filter((id) => id !== node)
    this.changed()
  }
}
