/**
 * Fetch sessions (KIP-227): the broker remembers what a client fetches, and requests and responses name only what
 * changed. This is the client's half of one session: what the broker knows, and so what the next request says. Pure.
 *
 * A session is of one lane of one broker, and has one request under way. Whatever is not answered, or answered with an
 * error of the session, ends it: the next request closes it and opens another, which names everything.
 */

/** A partition as a Fetch asks for it. */
export interface Wanted {
  /** Of `topic` (or `topicId`) and partition: what a response is matched by. */
  readonly key: string
  readonly topic: string
  /** Base64url; undefined where it is not known, and the topic is named. */
  readonly topicId: string | undefined
  /** Whether the request names it by its id. */
  readonly isById: boolean
  readonly partition: number
  readonly offset: number
  /** -1 where they are not known. */
  readonly currentLeaderEpoch: number
  readonly lastFetchedEpoch: number
  readonly maxBytes: number
}

/** What the next request says. */
export interface Turn {
  readonly sessionId: number
  /** -1: without a session; 0: opens one (and closes `sessionId`); else continues it. */
  readonly sessionEpoch: number
  /** Those that the broker does not know as they are. */
  readonly wanted: ReadonlyArray<Wanted>
  readonly forgotten: ReadonlyArray<Wanted>
}

/** What is asked for as before is mostly the same object: a thousand partitions at their end cost little. */
export const same = (a: Wanted, b: Wanted): boolean =>
  a === b ||
  (a.key === b.key &&
    a.offset === b.offset &&
    a.maxBytes === b.maxBytes &&
    a.currentLeaderEpoch === b.currentLeaderEpoch &&
    a.lastFetchedEpoch === b.lastFetchedEpoch)

export class FetchSession {
  #id = 0
  #epoch = 0
  /** Whether topics are named by id (v13): one session keeps to one way. */
  #byId = false
  #known = new Map<string, Wanted>()

  /** The next request of a broker that has sessions (v7). */
  next(wanted: ReadonlyArray<Wanted>, byId: boolean): Turn {
    if (byId !== this.#byId) this.reset()
    this.#byId = byId
    if (this.#epoch === 0) {
      this.#known = new Map(wanted.map((one) => [one.key, one]))
      return { sessionId: this.#id, sessionEpoch: 0, wanted, forgotten: [] }
    }
    const before = this.#known
    const now = new Map<string, Wanted>()
    const changed: Array<Wanted> = []
    for (const one of wanted) {
      now.set(one.key, one)
      const known = before.get(one.key)
      if (known === undefined || !same(known, one)) changed.push(one)
    }
    const forgotten: Array<Wanted> = []
    for (const [key, one] of before) if (!now.has(key)) forgotten.push(one)
    this.#known = now
    return { sessionId: this.#id, sessionEpoch: this.#epoch, wanted: changed, forgotten }
  }

  /** Whether a response names only what changed: whoever is left out of it has nothing new. */
  get isIncremental(): boolean {
    return this.#epoch > 0
  }

  /** The last request was answered; `sessionId` 0: the broker keeps no session of ours. */
  answered(sessionId: number): void {
    this.#id = sessionId
    this.#epoch = sessionId === 0 ? 0 : this.#epoch === 2147483647 ? 1 : this.#epoch + 1
  }

  /** Nobody knows what became of the last request, or the broker says that the session is not as we think. */
  reset(): void {
    this.#epoch = 0
  }

  /** The broker has no such session any more. */
  forget(): void {
    this.#id = 0
    this.#epoch = 0
  }
}
