import { of } from "../Mutant.ts"

export const connection = of("connection", {
  "BrokerConnection.ts": [
    [
      "time-counts-in-line",
      "the time of a request counts while it waits to be written",
      "pending.deadline = now + pending.budget\n",
      "\n"
    ],
    [
      "no-deadline",
      "a request that is sent is never given up",
      "this.#connection?.write(chunks, () => this.#written(pending))\n    this.#sweep.start()",
      "this.#connection?.write(chunks, () => this.#written(pending))"
    ],
    [
      "acks-0-without-end",
      "what nobody answers has no end",
      "if (this.#leaving.delete(pending)) pending.resume?.(Effect.undefined)",
      "this.#leaving.delete(pending)"
    ],
    [
      "acks-0-when-handed-over",
      "what nobody answers is done before it is written out",
      "if (pending.noResponse) this.#leaving.add(pending)",
      "if (pending.noResponse) pending.resume?.(Effect.undefined)"
    ],
    [
      "line-dies-in-silence",
      "what waits to be written when a connection ends never hears of it",
      "...this.#leaving, ...this.#line.clear()]",
      "...this.#leaving]"
    ],
    [
      "loss-untold",
      "who sent without an answer does not hear that the connection is lost",
      "for (const told of this.#onLost) told()",
      ""
    ],
    [
      "answers-unchecked",
      "the answer to another request is taken",
      "if (pending === undefined || pending.correlationId !== correlationId) {",
      "if (pending === undefined) {"
    ],
    [
      "strangers-without-bound",
      "who is not authenticated may send as much as a broker",
      ": Math.min(strangerBytes, this.#context.maxResponseBytes)",
      ": Math.max(strangerBytes, this.#context.maxResponseBytes)"
    ],
    [
      "silent-neighbours-kept",
      "connections beside a dead one are found dead one after the other",
      "this.#context.onSilence(this, since)",
      ""
    ],
    [
      "late-keeps-the-connection",
      "what stands behind a late answer waits for it",
      "this.close(`given up: ${pending.api} was not ${what} within ${pending.budget} ms`)",
      "void what"
    ],
    [
      "throttle-without-bound",
      "one number of a broker silences a connection for days",
      "this.#line.mute(now + Math.min(throttle, requestTimeout))",
      "this.#line.mute(now + throttle + 0 * requestTimeout)"
    ],
    [
      "throttle-ignored",
      "a broker that throttles is asked all the same",
      "this.#line.mute(now + Math.min(throttle, requestTimeout))",
      "void [now, requestTimeout]"
    ]
  ],
  "ConnectionSlot.ts": [
    [
      "connects-without-wait",
      "a broker that cannot be reached is dialled without end",
      "const wait = this.#failures === 0 ? 0 : this.#notBefore - Backoff.monotonic(this.#context.clock)",
      "const wait = this.#failures === 0 ? 0 : 0 * this.#notBefore"
    ],
    [
      "waits-grow-for-ever",
      "the waits before a connection grow though connections were of use",
      "if (session.served) this.#failures = 0",
      "if (session.served) void 0"
    ],
    [
      "dead-connection-kept",
      "a connection that has ended is given out",
      "if (this.#session !== session) return\n    this.#session = undefined",
      "if (this.#session !== session) return"
    ],
    [
      "idle-connection-used",
      "a connection that a load balancer has forgotten is used",
      "if (!session.isIdle || Backoff.monotonic(this.#context.clock) - session.usedAt < this.#context.maxIdle)",
      "if (!session.isIdle || session.usedAt > -Infinity)"
    ],
    [
      "scope-kept",
      "a connection that could not be made leaves its Scope",
      "Effect.onError(() => Scope.close(scope, Exit.void)),",
      ""
    ],
    [
      "first-takes-others-along",
      "who asked first for a connection is interrupted, and others wait for ever",
      "Effect.forkIn(this.#open, this.#context.scope, { startImmediately: true })",
      "Effect.forkChild(this.#open, { startImmediately: true })"
    ]
  ],
  "RequestLine.ts": [
    [
      "shorter-throttle-wins",
      "a later and shorter throttle ends the longer one",
      "this.#mutedUntil = Math.max(this.#mutedUntil, until)",
      "this.#mutedUntil = until"
    ],
    [
      "line-stands-after-throttle",
      "what waited for the end of a throttle is not written",
      "if (this.#exchange !== undefined) this.#mustWait(now)\n      this.#advance(now)",
      "if (this.#exchange !== undefined) this.#mustWait(now)"
    ],
    [
      "late-in-line-untold",
      "who waited in line for too long never hears of it",
      "this.#waiting.splice(i, 1)\n        late(request)",
      "this.#waiting.splice(i, 1)"
    ],
    [
      "interrupted-is-sent",
      "a request whose sender is gone is sent",
      "if (request?.resume !== undefined) this.#context.write(request)",
      "if (request !== undefined) this.#context.write(request)"
    ],
    [
      "token-without-bound",
      "a token that never comes silences a connection",
      "duration: connectTimeout,",
      "duration: connectTimeout * 1e9,"
    ]
  ],
  "ResponseLine.ts": [
    [
      "held-for-ever",
      "what was read in turns counts as held for ever",
      "this.#line.shift()\n      this.#owner.onHeld(-reading.bytes)",
      "this.#line.shift()"
    ],
    [
      "overtaken-answers",
      "a short answer is read before a long one that came first",
      "if (this.#line.length === 0 && this.#hasRead(reading)) return",
      "if (this.#hasRead(reading)) return"
    ]
  ],
  "Sweep.ts": [
    [
      "late-by-standing-still",
      "a process that stood still calls late what has come meanwhile",
      "if (now - this.#ringsAt >= stoodStillMillis) {",
      "if (now - this.#ringsAt >= 1e9 * stoodStillMillis) {"
    ],
    ["sweeps-once", "after a moment without requests no deadline is kept", "this.#isOn = false", ""]
  ],
  "IdleReaper.ts": [
    [
      "closes-what-is-busy",
      "a connection with a request under way is closed as idle",
      "if (!session.isIdle) continue",
      ""
    ],
    [
      "reaps-once",
      "after the first look no idle connection is closed",
      "return Effect.andThen(Effect.sleep(Math.ceil(wait)), look)",
      "return Effect.sleep(Math.ceil(wait))"
    ]
  ],
  "Negotiation.ts": [
    [
      "old-by-one-closing",
      "a broker that goes down is taken for one of 0.8, and spoken to as such for an hour",
      "if (release === before) {",
      "if (release === before || i === 0) {"
    ],
    [
      "old-for-ever",
      "a broker that was upgraded is taken for an old one for ever",
      "memory.until = now() + oldReleaseMillis",
      "memory.until = Infinity + 0 * now() * oldReleaseMillis"
    ],
    [
      "old-though-it-answered",
      "a broker that has answered is taken for an older one as soon as it looks like that",
      "now() - memory.looks.since >= replacedMillis",
      "now() - memory.looks.since >= 0 * replacedMillis"
    ],
    [
      "old-by-one-answer",
      "a broker whose links end all the time is taken for one of 0.8",
      "i < answersAtLeast; i++",
      "i < 0 * answersAtLeast + 1; i++"
    ],
    [
      "version-kept-after-failure",
      "a broker of another release is asked at the version of the old one",
      "Effect.onError(() => Effect.sync(() => failed(memory)))",
      "Effect.onError(() => Effect.void)"
    ]
  ],
  "Dialer.ts": [
    ["sessions-kept", "connections that have ended are kept", "sessions.delete(ended)", ""],
    [
      "responses-without-bound",
      "unfinished responses over all connections have no bound",
      "if (bytes > 0 && held + bytes > maxPendingResponseBytes) {",
      "if (bytes > 0 && held + bytes > Infinity * maxPendingResponseBytes) {"
    ],
    [
      "connects-without-bound",
      "a broker that takes a connection and says nothing holds up whoever waits for it",
      "tooLong(address, config.connectTimeout)",
      "tooLong(address, config.connectTimeout * 1e6)"
    ],
    [
      "defect-holds-up",
      "what a network of one's own dies of is a defect of everybody's",
      "Effect.catchDefect((defect) => Effect.andThen(tellDefect(address, defect), dead(address, defect))),",
      ""
    ]
  ],
  "Authentication.ts": [
    [
      "prolonged-too-late",
      "a session is prolonged when it is over",
      "due: Math.max(now() + soonest, from + lifetime * share),",
      "due: from + lifetime * (share + 1),"
    ]
  ],
  "Throttle.ts": [
    [
      "waits-twice",
      "who was made to wait by the broker waits once more",
      "version >= (waitsFrom.get(apiKey) ?? 0)",
      "version >= 0 * (waitsFrom.get(apiKey) ?? 0)"
    ]
  ]
})
