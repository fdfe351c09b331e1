/**
 * Fetch sessions (KIP-227): a broker remembers the partitions that a client fetches, so that later requests and
 * responses name only what changed. Each broker keeps its own; a broker that starts again knows none.
 */
import * as Code from "./Code.ts"

/** Sessions that a broker keeps (`max.incremental.fetch.session.cache.slots`). */
const slots = 1000

/** One partition as a client fetches it. */
export interface Wanted {
  readonly topic: string
  readonly topicId: string
  readonly partition: number
  readonly currentLeaderEpoch: number
  readonly fetchOffset: number
  readonly lastFetchedEpoch: number
  readonly partitionMaxBytes: number
}

/** What the last response said of a partition. */
interface Told {
  readonly highWatermark: number
  readonly logStartOffset: number
}

export interface Session {
  readonly id: number
  epoch: number
  /** In the order in which they are served; those that gave records go to the end, so that none starves. */
  readonly wanted: Map<string, Wanted>
  readonly told: Map<string, Told>
}

const keyOf = (topic: string, topicId: string, partition: number): string => `${topic || topicId}:${partition}`

/** What a request amounts to. */
export interface Context {
  readonly errorCode: number
  /** 0 where there is no session. */
  readonly sessionId: number
  readonly wanted: ReadonlyArray<Wanted>
  /** Whether the response names this partition. Called once for each, in the end. */
  readonly names: (
    wanted: Wanted,
    told: {
      readonly errorCode: number
      readonly records: boolean
      readonly highWatermark: number
      readonly logStartOffset: number
    }
  ) => boolean
}

const always = () => true
const refused = (errorCode: number): Context => ({ errorCode, sessionId: 0, wanted: [], names: always })

export class Sessions {
  private readonly sessions = new Map<number, Session>()
  private readonly random: () => number

  constructor(random: () => number) {
    this.random = random
  }

  get size(): number {
    return this.sessions.size
  }

  clear(): void {
    this.sessions.clear()
  }

  /** Forgets a session, as a full cache does. */
  evict(id: number): void {
    this.sessions.delete(id)
  }

  /** Finds or makes the session of a request; `epoch` -1: none, 0: a new one, else the one of `id`. */
  context(
    id: number,
    epoch: number,
    wanted: ReadonlyArray<Wanted>,
    forgotten: ReadonlyArray<{
      readonly topic: string
      readonly topicId: string
      readonly partitions: ReadonlyArray<number>
    }>
  ): Context {
    if (epoch <= 0) {
      if (id !== 0) this.sessions.delete(id)
      if (epoch < 0 || this.sessions.size >= slots) return { errorCode: Code.none, sessionId: 0, wanted, names: always }
      const session: Session = { id: this.newId(), epoch: 1, wanted: new Map(), told: new Map() }
      for (const each of wanted) session.wanted.set(keyOf(each.topic, each.topicId, each.partition), each)
      this.sessions.set(session.id, session)
      return {
        errorCode: Code.none,
        sessionId: session.id,
        wanted,
        names: (each, told) => {
          remember(session, each, told)
          return true
        }
      }
    }
    const session = this.sessions.get(id)
    if (session === undefined) return refused(Code.fetchSessionIdNotFound)
    if (session.epoch !== epoch) return refused(Code.invalidFetchSessionEpoch)
    session.epoch = epoch === 2147483647 ? 1 : epoch + 1
    for (const each of wanted) {
      const key = keyOf(each.topic, each.topicId, each.partition)
      session.wanted.set(key, each)
    }
    for (const { partitions, topic, topicId } of forgotten)
      for (const partition of partitions) {
        session.wanted.delete(keyOf(topic, topicId, partition))
        session.told.delete(keyOf(topic, topicId, partition))
      }
    if (session.wanted.size === 0) {
      this.sessions.delete(id)
      return { errorCode: Code.none, sessionId: 0, wanted: [], names: always }
    }
    return {
      errorCode: Code.none,
      sessionId: id,
      wanted: Array.from(session.wanted.values()),
      names: (each, told) => {
        const key = keyOf(each.topic, each.topicId, each.partition)
        const before = session.told.get(key)
        const changed =
          told.errorCode !== Code.none ||
          told.records ||
          before === undefined ||
          before.highWatermark !== told.highWatermark ||
          before.logStartOffset !== told.logStartOffset
        remember(session, each, told)
        if (told.records && session.wanted.delete(key)) session.wanted.set(key, each)
        return changed
      }
    }
  }

  private newId(): number {
    for (;;) {
      const id = 1 + Math.floor(this.random() * 2147483646)
      if (!this.sessions.has(id)) return id
    }
  }
}

const remember = (session: Session, each: Wanted, told: Told & { readonly errorCode: number }): void => {
  const key = keyOf(each.topic, each.topicId, each.partition)
  // an error is told again and again, until it is over
  if (told.errorCode !== Code.none) session.told.delete(key)
  else session.told.set(key, { highWatermark: told.highWatermark, logStartOffset: told.logStartOffset })
}
