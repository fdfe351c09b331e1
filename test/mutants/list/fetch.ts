import { of } from "../Mutant.ts"

export const fetch = of("fetch", {
  "FetchScheduler.ts": [
    ["reservation-kept", "what a request has reserved is never free again", "this.#reserved -= request.reserved", ""],
    ["lane-kept", "the lane of a request that has ended stays taken", "node.lanes[request.lane] = undefined", ""],
    [
      "no-rotation",
      "partitions are asked for in one order: those behind full ones starve (KIP-74)",
      "slot.touchedAt = now\n    if (this.#slots.delete(slot)) this.#slots.add(slot)",
      "slot.touchedAt = now"
    ],
    [
      "idle-polls-take-the-pool",
      "a request that is held for what may come reserves all there is",
      ": Math.min(maxBytes, Math.floor(pool / (8 * Math.max(1, this.#nodes.size))))",
      ": Math.min(maxBytes, pool)"
    ],
    [
      "nothing-within-shares",
      "where the pool is empty nobody is asked for within his share",
      "if (modest.length === 0) return undefined",
      "if (modest.length >= 0) return undefined"
    ],
    [
      "fetches-on-when-full",
      "a partition that is not read is fetched on beyond maxPartitionBytes",
      "slot.held >= this.#settings.maxPartitionBytes || ",
      ""
    ],
    [
      "sleeping-partition-forgotten",
      "nothing looks when the wait of a partition is over",
      "if (asleepUntil < wakeAt) wakeAt = asleepUntil",
      ""
    ],
    [
      "sleeping-broker-forgotten",
      "nothing looks when the wait of a broker is over",
      "if (node.asleepUntil < wakeAt) wakeAt = node.asleepUntil",
      ""
    ],
    [
      "hasty-without-wait",
      "a broker that answers at once, and with nothing, is asked without end",
      "node.asleepUntil = now + (isHasty ? node.afterHaste(node.hasty) : 0)",
      "node.asleepUntil = now"
    ],
    [
      "failed-without-wait",
      "a broker that fails is asked without end",
      "node.asleepUntil = now + node.afterFailure(++node.failures, why)",
      "node.asleepUntil = now"
    ],
    [
      "shares-of-who-left",
      "the shares stay small when partitions have left",
      "if (this.#slots.delete(slot)) this.#isShareOld = true",
      "this.#slots.delete(slot)"
    ],
    [
      "last-lane-held-long",
      "the last lane is held for maxWait: a partition that is read again waits as long",
      "? Math.min(maxWait, shortWait * 2 ** Math.min(node.quiet, 10))",
      "? maxWait"
    ],
    [
      "last-lane-held-for-the-full",
      "the last lane is held for maxWait though one had no room, and will want something",
      "const areOthers = hasOthers || room.slots.length < slots.length",
      "const areOthers = hasOthers"
    ],
    [
      "late-not-looked-at",
      "nothing looks when a request is late: its partitions wait for a silent broker",
      "wakeAt = Math.min(wakeAt, this.#nextLate())",
      ""
    ],
    [
      "settled-without-leader",
      "a partition without a leader is not looked at again",
      "this.#settledUntil = homeless === 0 && drop.length === 0 ? wakeAt : 0",
      "this.#settledUntil = wakeAt"
    ],
    [
      "drops-what-is-fresh",
      "what was fetched a moment ago is dropped for others, and fetched again",
      "if (slot.touchedAt + staleAfter > now) return slot.touchedAt + staleAfter",
      ""
    ]
  ],
  "FetchedPartition.ts": [
    [
      "replica-from-its-name",
      "a replica's time runs from when the leader has named it: it is left before it was asked",
      "this.replica = { node: elsewhere, until: Infinity }",
      "this.replica = { node: elsewhere, until: now + this.#shared.replicaMaxAge }"
    ],
    [
      "replica-for-ever",
      "the leader is never asked again which replica is the best",
      "if (replica.until === Infinity) this.replica =",
      "if (replica.until === 0) this.replica ="
    ],
    [
      "unchanged-replica-is-silent",
      "an answer without news is not the first answer of a replica",
      "this.#replicaAnswered(now)\n    this.attempts = 0",
      "this.attempts = 0"
    ],
    [
      "dropped-is-skipped",
      "what was dropped for lack of room is never fetched again",
      "this.next = this.position\n    this.nextEpoch",
      "this.nextEpoch"
    ],
    [
      "asleep-after-pull",
      "what could not be read on before it was pulled is never fetched again",
      "if (this.#ahead.isEmpty && this.asleepUntil === untilPulled) this.asleepUntil = 0",
      ""
    ],
    [
      "waits-grow-in-spite-of-progress",
      "the waits after failures grow though records have come in between",
      "this.attempts = 0\n    this.isBehind = end < 0",
      "this.isBehind = end < 0"
    ],
    [
      "position-by-arithmetic",
      "the position is that behind the last record, not behind the batch: gaps are read again",
      "this.position = nextOffset\n",
      "this.position = records.length === 0 ? nextOffset : records[records.length - 1]!.offset + 1\n"
    ],
    [
      "truncation-in-silence",
      "the log was cut below the position, and nobody hears of it",
      'if (to < position) this.fail({ _tag: "DataLoss", kind: "truncated", ...place, from: position, to })',
      "if (to < position) void place"
    ],
    [
      "seek-keeps-what-was-fetched",
      "after a seek what was fetched before comes first",
      "this.drop()\n    this.#moveTo(offset, leaderEpoch ?? unknownEpoch)",
      "this.#moveTo(offset, leaderEpoch ?? unknownEpoch)"
    ],
    [
      "damage-never-believed",
      "a damaged batch is fetched for ever",
      'if (reason._tag === "Corrupt" && this.#damagedAt !== at) {',
      'if (reason._tag === "Corrupt") {'
    ],
    [
      "damage-believed-at-once",
      "a damaged transfer is no reason to fetch again",
      'if (reason._tag === "Corrupt" && this.#damagedAt !== at) {',
      'if (reason._tag === "Corrupt" && this.#damagedAt === at) {'
    ],
    [
      "old-hints-believed",
      "a broker that lags behind names a leader, and is believed",
      "if (leaderId >= 0 && leaderEpoch > (this.leader?.epoch ?? unknownEpoch)) {",
      "if (leaderId >= 0) {"
    ],
    [
      "end-told-again-and-again",
      "whoever pulls hears of the end without end",
      "this.#hasToldEnd = true\n    return { records: []",
      "return { records: []"
    ]
  ],
  "Fetcher.ts": [
    [
      "resumed-is-not-looked-at",
      "a partition that was paused is not asked for again",
      "partition.isPaused = false\n        this.#scheduler.resumed()",
      "partition.isPaused = false"
    ],
    ["closed-stays-in-the-scheduler", "partitions that were closed are kept", "this.#scheduler.remove(partition)", ""],
    [
      "closed-keeps-its-bytes",
      "what was fetched of a closed partition stays in memory",
      "partition.isClosed = true\n    partition.drop()",
      "partition.isClosed = true"
    ],
    [
      "session-kept-after-failure",
      "after a request without an answer the session goes on as if it had been answered",
      "if (wasSent) this.#sessionOf(request).reset()",
      ""
    ],
    [
      "failure-told-to-nobody",
      "whoever pulls does not hear what a partition has failed with",
      "for (const partition of asked) this.#pulls.deliver(partition)",
      ""
    ],
    [
      "waits-for-the-silent",
      "a partition whose leader has moved waits for the silent old one",
      "if (locate(one) !== request.node) this.#scheduler.abandon(one)",
      ""
    ],
    [
      "hangs-up-one-lane",
      "closing gives back one of two connections to a broker",
      "for (let lane = 0; lane < FetchScheduler.lanes; lane++) broker.hangUp",
      "for (let lane = 0; lane < 1; lane++) broker.hangUp"
    ],
    [
      "checked-without-word",
      "the epochs were compared, and nobody looks",
      "this.#scheduler.resumed()\n    this.#loop.wake()",
      "this.#scheduler.resumed()"
    ],
    [
      "left-out-without-wait",
      "what an answer leaves out is asked for without a wait",
      '} else this.#again(partition, "the answer leaves it out")',
      "}"
    ],
    [
      "leader-not-looked-for",
      "after NOT_LEADER the metadata are not asked",
      "partition.awaitedRound = this.#lookups.fresh(partition.topic)\n    this.#lookups.needFor(partition)",
      ""
    ]
  ],
  "FetchSession.ts": [
    [
      "session-forgets-nothing",
      "a broker sends what nobody wants any more",
      "for (const [key, one] of before) if (!now.has(key)) forgotten.push(one)",
      ""
    ],
    ["session-without-offsets", "a broker is not told of another position", "a.offset === b.offset &&", ""],
    [
      "session-without-epochs",
      "a broker is not told of another leader epoch",
      "a.currentLeaderEpoch === b.currentLeaderEpoch &&",
      ""
    ],
    [
      "session-epoch-stays",
      "every second request is refused for its epoch",
      "=== 2147483647 ? 1 : this.#epoch + 1",
      "=== 2147483647 ? 1 : 1"
    ]
  ],
  "FetchBuffer.ts": [
    ["dead-weight-kept", "what was read counts for ever", "this.#dead -= size - frame.live", ""],
    ["copied-from-the-beginning", "what is copied out of a frame is read from the wrong place", "other.at = 0\n", "\n"],
    [
      "small-views-keep-frames",
      "ten bytes keep a frame of a megabyte",
      "const own = size > smallFrame && size > bytes.length * copyBelow ? copy(bytes, 0) : bytes",
      "const own = bytes"
    ]
  ],
  "Isolation.ts": [
    [
      "aborted-for-ever",
      "behind an aborted transaction nothing of its producer is shown any more",
      "this.#open.delete(batch.producerId)",
      "void 0"
    ],
    [
      "aborted-of-one-record",
      "a transaction of one record that was aborted is shown (off by one)",
      "ahead[this.#at]!.firstOffset <= batch.lastOffset",
      "ahead[this.#at]!.firstOffset < batch.lastOffset"
    ]
  ],
  "Pulls.ts": [
    ["loading-for-ever", "what was decompressed is counted as under way for ever", "this.#loading--", ""],
    [
      "came-while-yielding",
      "what came between a look and the wait is told to nobody",
      "this.deliver(partition)\n      // It may have been",
      "// It may have been"
    ]
  ],
  "Locate.ts": [
    [
      "late-replica-is-waited-for",
      "a replica that stands still is asked again each time that the leader names it",
      "if (request.node === replica.node) {",
      "if (request.node === node) {"
    ],
    [
      "old-leader-asked-again",
      "after NOT_LEADER the same leader is asked before the metadata have answered",
      "if (!isHinted && lookups.rounds(topic) < partition.awaitedRound) return ask()",
      ""
    ],
    [
      "epochs-not-compared",
      "a new leader's log is not compared with the position (KIP-320)",
      "if (partition.nextEpoch >= 0 && epoch > partition.checkedEpoch) {",
      "if (partition.nextEpoch >= 0 && epoch < partition.checkedEpoch) {"
    ],
    [
      "one-strange-answer-believed",
      "one broker that lags behind makes a topic another one",
      "if (round <= strange.round) return true",
      ""
    ],
    [
      "made-again-unnoticed",
      "a topic that was made again is read on at the old position",
      "if (id === undefined || id === topicId) {",
      "if (id === undefined || topicId !== undefined) {"
    ]
  ],
  "TopicLookups.ts": [
    [
      "failed-question-forgotten",
      "a question that could not be asked is not asked again",
      "for (const topic of topics) this.#end(topic, now, error).isNeeded = true",
      "for (const topic of topics) this.#end(topic, now, error)"
    ],
    [
      "asked-without-end",
      "metadata are asked as fast as they are answered",
      "lookup.nextAt = now + Math.max(leastMillis, lookup.delay(++lookup.attempts, why))",
      "lookup.nextAt = now + 0 * lookup.delay(++lookup.attempts, why)"
    ],
    [
      "next-question-forgotten",
      "nothing looks when the next question is due",
      "wakeAt = Math.min(wakeAt, lookup.nextAt)",
      ""
    ],
    [
      "gone-for-ever",
      "a topic that was not told of once counts as gone when it is not again",
      "if (isKnown(topic)) lookup.gone = 0\n      else",
      "if (!isKnown(topic))"
    ]
  ],
  "EpochCheck.ts": [
    [
      "unknown-end-is-an-end",
      "a leader that cannot say where an epoch ends is taken to say that it ends before everything",
      "endOffset: endOffset >= 0 ? endOffset : undefined,",
      "endOffset,"
    ]
  ],
  "FetchRequest.ts": [
    [
      "min-bytes-beyond-the-room",
      "a broker waits for more than it may send",
      "minBytes: Math.min(settings.minBytes, each, request.maxBytes),",
      "minBytes: settings.minBytes,"
    ]
  ]
})
