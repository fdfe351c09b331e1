/**
 * Pure. Until when a session can be known to live, and what is due: a heartbeat, giving up a connection, giving up the
 * session. Milliseconds on a clock of the caller's.
 */

/**
 * Parts of a session's time-out. A server tells its leader of us with its next ping, half a tick later, or by the
 * heartbeat before: the leader's clock may be that much ahead, and servers allow of no time-out below two ticks.
 */
const lifePart = 3 / 4
const beatPart = 1 / 6
const silentPart = 1 / 3

/** What is to be done now. */
type Due = "lost" | "silent" | "beat" | undefined

export class Liveness {
  /** The time-out of the session, as the server wants it. */
  timeout = 0
  /** Whether the session can be known to live, as far as it was looked at. */
  live = false
  connected = false
  private aliveUntil = -Infinity
  private beatAt = 0
  private unansweredSince: number | undefined = undefined

  isLive(now: number): boolean {
    return this.live && now < this.aliveUntil
  }
  /** Whether its time is over, said or not. */
  isOver(now: number): boolean {
    return now >= this.aliveUntil
  }
  /** The server has confirmed the session, asked at `since`. */
  connect(since: number, timeout: number, isNew: boolean, now: number): void {
    this.connected = true
    this.timeout = timeout
    const until = since + timeout * lifePart
    this.aliveUntil = isNew || !this.live ? until : Math.max(this.aliveUntil, until)
    this.live = true
    this.unansweredSince = undefined
    this.beatAt = now
  }
  disconnect(): void {
    this.connected = false
    this.unansweredSince = undefined
  }
  /**
   * What was sent at a time was answered, and the leader had a part in it: it heard of us no earlier. A session whose
   * time is over stays so: somebody may have looked.
   */
  heard(sentAt: number, now: number): void {
    // A heartbeat behind many others has its turn yet.
    if (this.unansweredSince !== undefined) this.unansweredSince = now
    if (this.isLive(now)) this.aliveUntil = Math.max(this.aliveUntil, sentAt + this.timeout * lifePart)
  }
  beatSent(now: number): void {
    this.unansweredSince = now
  }
  beatAnswered(sentAt: number, now: number): void {
    this.unansweredSince = undefined
    this.beatAt = Math.max(now, sentAt + this.timeout * beatPart)
    this.heard(sentAt, now)
  }
  private get silentAt(): number {
    return this.unansweredSince === undefined ? Infinity : this.unansweredSince + this.timeout * silentPart
  }
  due(now: number): Due {
    if (this.live && now >= this.aliveUntil) return "lost"
    if (!this.connected) return undefined
    if (now >= this.silentAt) return "silent"
    return this.unansweredSince === undefined && now >= this.beatAt ? "beat" : undefined
  }
  /** When something is due next; Infinity where nothing is. */
  get next(): number {
    const connection = this.unansweredSince === undefined ? this.beatAt : this.silentAt
    return Math.min(this.live ? this.aliveUntil : Infinity, this.connected ? connection : Infinity)
  }
}
