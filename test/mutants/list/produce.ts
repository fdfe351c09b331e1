import { of } from "../Mutant.ts"

export const produce = of("produce", {
  "Accumulator.ts": [
    [
      "never-expires",
      "records outlive deliveryTimeout, for ever where there is no leader",
      "let wakeAt = this.#ledger.expire(now)",
      "let wakeAt = Infinity"
    ],
    [
      "first-batch-overtaken",
      "a broker that knows nothing of a producer takes any first sequence: the second batch may come first",
      "if (!numbered || queue.establishedUntil < now) return Infinity",
      "if (!numbered) return Infinity"
    ],
    [
      "without-sequences-beside",
      "without sequences two batches are under way at once, and may change places",
      "if (!numbered || queue.establishedUntil < now) return Infinity",
      ""
    ],
    [
      "beside-what-recovers",
      "a batch has come back, and others go beside what is in flight",
      "if (queue.recovering || queue.restart !== undefined) return Infinity",
      "if (queue.restart !== undefined) return Infinity"
    ],
    [
      "new-leader-beside-old",
      "the leader has moved, and batches go to the new one while others are with the old one",
      "if (queue.inFlight >= maxInFlight || queue.node !== node) return Infinity",
      "if (queue.inFlight >= maxInFlight) return Infinity"
    ],
    [
      "made-again-beside",
      "a topic that was made again takes what stands behind a batch of the old one",
      "if (queue.topicId !== topicId) return Infinity",
      ""
    ],
    [
      "one-beyond-memory",
      "one more batch passes than a broker knows again (off by one)",
      "behind >= capability.remembers) return Infinity",
      "behind > capability.remembers) return Infinity"
    ],
    [
      "retries-at-once",
      "what was refused is sent again without a wait",
      "if (batch.attempts > 0 && queue.retryAt > now) return queue.retryAt",
      ""
    ],
    [
      "requests-never-end",
      "requests to a broker are counted and not counted down: after some nothing goes",
      "this.#inFlight.set(node, (this.#inFlight.get(node) ?? 1) - 1)",
      "this.#inFlight.set(node, this.#inFlight.get(node) ?? 1)"
    ],
    [
      "linger-without-end",
      "a batch that lingers is not looked at again when linger is over",
      "return Math.min(batch.createdAt + linger, (batch.createdAt + batch.deadline) / 2)",
      "return Infinity"
    ],
    [
      "flush-lingers",
      "a flush waits for linger",
      "for (const { batches } of this.#ledger.active) batches[batches.length - 1]!.closed = true",
      ""
    ],
    [
      "no-turns",
      "the first partitions of a broker are always served first: others starve",
      "this.#ledger.active.delete(queue)",
      ""
    ],
    [
      "another-sequence-each-time",
      "what is sent again has another sequence: it is there twice, or is a gap",
      "if (this.#isSequenced(queue, capability, now) && batch.sequence < 0) {",
      "if (this.#isSequenced(queue, capability, now)) {"
    ],
    [
      "sequence-counts-batches",
      "the next sequence is one further, and not as many as there were records",
      "queue.nextSequence = Batch.addSequence(queue.nextSequence, batch.records.length)",
      "queue.nextSequence = Batch.addSequence(queue.nextSequence, 1)"
    ],
    [
      "too-large-in-silence",
      "the sender of a record that is too large hears nothing",
      "delivery.failed(i, 1, error)",
      ""
    ],
    [
      "withdrawn-is-counted",
      "a flush waits for a record whose sender was interrupted",
      "this.#ledger.flushes.add(batch.generation, -count)",
      ""
    ],
    [
      "requests-without-bound",
      "a request takes all that is ready, however large",
      "else if (request.bytes + batch.bytes <= this.#settings.maxRequestBytes) {",
      "else {"
    ],
    [
      "one-leaderless-stops-all",
      "a partition without a leader stops those behind it",
      'queue.obstacle = "no leader of the partition is known, or it is not there any more"\n          continue',
      'queue.obstacle = "no leader of the partition is known, or it is not there any more"\n          break'
    ]
  ],
  "Ledger.ts": [
    [
      "new-id-in-another-order",
      "under another producer id the batches of a partition go out in another order",
      "    queue.nextSequence = 0\n    queue.establishedUntil",
      "    queue.batches.reverse()\n    queue.nextSequence = 0\n    queue.establishedUntil"
    ],
    [
      "gap-of-one-restarts-all",
      "where a record of one partition is given up, what may be there of the others is failed",
      'if (!numbered || (at === 0 && batch.persistence === "not")) queue.restart ??= "gap"',
      'if (!numbered || (at === 0 && batch.persistence === "not"))\n      for (const one of [queue, ...this.active]) one.restart ??= one === queue ? "gap" : "fenced"'
    ],
    [
      "too-early-is-gap",
      "the last out of order of several counts as a gap, though it was only too early",
      "if (!first) this.#comeBack(batch, now, true)",
      "if (false) this.#comeBack(batch, now, true)"
    ],
    [
      "refusal-proves-nothing-there",
      "every refusal is taken for the proof that nothing was appended",
      'const proves = this.#settings.acks !== -1 && asks === "metadata" ? "not" : ErrorCode.produceProves(code)',
      'const proves = "not" as string'
    ],
    [
      "silence-proves-nothing-there",
      "a request without an answer is taken for one that never arrived",
      "if (batch.sent) Batch.doubt(batch)",
      ""
    ],
    [
      "duplicate-is-failure",
      "DUPLICATE_SEQUENCE_NUMBER at another try is a failure, though the record is there",
      "if (acknowledges(batch, outcome)) return",
      "if (acknowledges(batch, outcome) && batch.attempts === 1) return"
    ],
    ["gap-without-restart", "after a gap the old sequences are sent for ever", 'queue.restart = "gap"', ""],
    [
      "fenced-is-gap",
      "what may be there is sent again under another epoch, where it cannot be told from new records",
      'queue.restart ??= "fenced"',
      'queue.restart ??= "gap"'
    ],
    [
      "restart-under-same-epoch",
      "sequences start anew under the epoch that has used them",
      "queue.producer = { id: producer.id, epoch: producer.epoch + 1 }",
      "queue.producer = { id: producer.id, epoch: producer.epoch }"
    ],
    [
      "halves-go-last",
      "halves of a batch that was too large stand behind what was submitted after them",
      "queue.batches.splice(queue.batches.indexOf(batch), 1, ...others)",
      "queue.batches.splice(queue.batches.indexOf(batch), 1)\n    queue.batches.push(...others)"
    ],
    [
      "halves-overtaken",
      "halves do not wait for what is in flight behind them",
      "queue.unsent = undefined\n    queue.recovering = queue.inFlight > 0",
      "queue.unsent = undefined"
    ],
    [
      "come-back-overtaken",
      "a batch that comes back does not wait for what is in flight behind it",
      "if (batch.told || now >= batch.deadline) return this.fail(batch)\n    queue.recovering = queue.inFlight > 0",
      "if (batch.told || now >= batch.deadline) return this.fail(batch)"
    ],
    [
      "recovers-for-ever",
      "a partition that has recovered sends one batch at a time, or none",
      "if (queue.inFlight === 0) queue.recovering = false",
      ""
    ],
    [
      "outcome-told-twice",
      "a record whose time was spent in flight has two outcomes",
      "if (batch.told) return\n    batch.told = true",
      "batch.told = true"
    ],
    [
      "given-up-without-gap",
      "a sequence was given up, and what comes after it goes on as if it had not been",
      'if (!numbered || (at === 0 && batch.persistence === "not")) queue.restart ??= "gap"',
      ""
    ],
    [
      "offset-of-the-batch",
      "every record of a batch has the offset of the first",
      "offset === undefined ? undefined : offset + at, timestamp)",
      "offset, timestamp)"
    ],
    [
      "expires-the-first-alone",
      "of records with mixed deadlines only the first one's is looked at",
      "if (!queue.mixed) break",
      "break"
    ],
    [
      "dishonest",
      "an error that says nothing of persistence stands for a record that may be there",
      'return error.reason._tag !== "NotDelivered" && persistenceOf(batch) === "possibly"',
      "return false"
    ],
    [
      "empty-stays-active",
      "a partition with nothing to send is looked at for ever",
      "Batch.isUnsentNoMore(batch)\n    if (queue.batches.length === 0) this.active.delete(queue)",
      "Batch.isUnsentNoMore(batch)"
    ]
  ],
  "Batch.ts": [
    [
      "halves-of-one-sequence",
      "the second half has the sequence of the first: the broker takes it for a duplicate",
      "parts[1].sequence = batch.sequence < 0 ? -1 : addSequence(batch.sequence, half)",
      "parts[1].sequence = batch.sequence"
    ],
    [
      "split-without-the-middle",
      "a record in the middle of a batch that is split vanishes (off by one)",
      "part(batch, [[half, batch.records.length]], sizeOf)",
      "part(batch, [[half + 1, batch.records.length]], sizeOf)"
    ],
    ["sequence-overflows", "sequences go beyond int32", "(sequence + count) % 0x80000000", "sequence + count"],
    [
      "places-after-withdrawal",
      "behind a record that was taken back the others have the outcomes of their neighbours",
      "segments.push({ ...segment, at })",
      "segments.push(segment)"
    ],
    [
      "named-records-leave-no-gap",
      "records that a broker named have left, and what follows has sequences behind a gap",
      "rest.leavesGap = batch.sequence >= 0",
      "rest.leavesGap = false"
    ]
  ],
  "Flushes.ts": [
    [
      "flush-waits-for-later",
      "a flush does not end while others send",
      "if (generation <= flush) return false",
      "if (generation >= 0) return false"
    ]
  ],
  "Sender.ts": [
    [
      "acks-0-not-drained",
      "closing waits for nothing where no answer is due",
      "    flush.pipe(\n      Effect.timeoutOrElse({ duration: settings.closeTimeout",
      "    (acks === 0 ? Effect.void : flush).pipe(\n      Effect.timeoutOrElse({ duration: settings.closeTimeout"
    ],
    [
      "one-connection-for-all",
      "producers of a client share their connections, and wait for each other",
      "const channel = `produce-${++producers}`",
      "const channel = `produce-${((producers = 1), 1)}`"
    ],
    [
      "flush-not-told",
      "a flush that is over is not told so",
      "for (const one of flushes) if (accumulator.isFlushed(one.flush)) one.over()",
      ""
    ],
    [
      "closing-without-bound",
      "closing waits for a broker that is away",
      "Effect.timeoutOrElse({ duration: settings.closeTimeout, orElse: () => Effect.void }),",
      ""
    ],
    [
      "append-does-not-wake",
      "records lie until something else happens",
      "partition.topicId)\n      loop.wake()",
      "partition.topicId)"
    ],
    [
      "closed-in-silence",
      "who waits for an outcome when the producer is closed never hears one",
      'accumulator.failAll({ cause: "the producer was closed" })',
      ""
    ],
    [
      "unreachable-not-looked-for",
      "of a leader that cannot be reached the metadata are not asked again",
      "connections.connect(node, (error) => unreachable(error, queues))",
      "connections.connect(node, () => void [unreachable, queues])"
    ]
  ],
  "Requests.ts": [
    [
      "near-deadline-ends-connection",
      "a request near its batch's deadline has no more time than that, and ends the connection that all share",
      "timeout: settings.requestTimeout,",
      "timeout: Math.min(settings.requestTimeout, request.batches[0]!.deadline - loop.now()),"
    ],
    [
      "not-leader-not-looked-for",
      "after NOT_LEADER the metadata are asked only where the answer named the leader",
      "outcome.hinted !== true && movesLeaders(outcome.code)",
      "outcome.hinted === true && movesLeaders(outcome.code)"
    ],
    [
      "silence-not-looked-for",
      "after a time-out the same broker is asked for ever",
      "cluster.doubtLeader({ topic, partition })\n        loop.lookFor(topic, partition)",
      ""
    ],
    [
      "acks-0-lost-in-silence",
      "with acks 0 a lost connection refreshes no metadata",
      "for (const { partition, topic } of unanswered.get(node) ?? []) loop.refresh(topic, partition)",
      ""
    ],
    [
      "left-out-is-acknowledged",
      "a partition that the answer leaves out counts as appended",
      'if (answer === undefined) return { _tag: "Unknown", cause: "the response leaves it out" }',
      'if (answer === undefined) return { _tag: "Appended", offset: undefined, timestamp: undefined }'
    ],
    [
      "lost-keeps-version",
      "after a lost connection the version of the old one is spoken",
      'if (outcome._tag === "Unknown") connections.lost(request.node, outcome.cause)',
      ""
    ],
    [
      "empty-request-is-lost",
      "where all records of a request were given up before it was sent, the connection counts as lost",
      "isEmpty ? ended(request, () => notSent) : answered(request, topicIds, exit, spoken)",
      "answered(request, topicIds, exit, spoken)"
    ],
    [
      "told-are-sent",
      "what was told to have failed is sent all the same",
      'handedOver = request.batches.filter(({ queue, told }) => !told && queue.restart !== "foreign")',
      'handedOver = request.batches.filter(({ queue }) => queue.restart !== "foreign")'
    ]
  ],
  "Handover.ts": [
    [
      "room-of-failures-kept",
      "what fails keeps its room",
      "    failed: (from, count, error) => settle(from, count, () => Result.fail(error)),",
      "    failed: (from, count, error) => {\n      for (let i = from; i < from + count; i++) batch.settle(indexes[i]!, Result.fail(error))\n    },"
    ],
    [
      "interrupted-stays-in-line",
      "who is interrupted while his array waits for room has it sent later",
      "    return () => void buffer.leave(wanting)",
      "    return () => {}"
    ],
    [
      "room-not-given-back",
      "a record that has its outcome keeps its room",
      "isOpen = false\n      buffer.release(1, bytes)",
      "isOpen = false"
    ]
  ],
  "ProducerBuffer.ts": [
    [
      "line-not-served",
      "room that is given back is told to nobody",
      "this.#bytes -= bytes\n    this.#serve()",
      "this.#bytes -= bytes"
    ],
    [
      "line-not-closed",
      "who waits for room when the producer is closed never hears of it",
      "for (const wanting of line) wanting.refuse(error)",
      "void line"
    ],
    ["leaving-serves-nobody", "who leaves the line holds up those behind him", "if (left) this.#serve()", ""],
    [
      "line-overtaken",
      "who needs little goes before who waits",
      "if (this.#line.size === 0 && this.#fits(records, bytes)) return this.#admit(wanting)",
      "if (this.#fits(records, bytes)) return this.#admit(wanting)"
    ],
    [
      "larger-than-the-buffer-waits",
      "what is larger than the buffer waits for ever",
      "if (this.#records === 0) return true",
      ""
    ]
  ],
  "SendAll.ts": [
    [
      "taken-is-forgotten",
      "what waits for room as the time of the rest is spent has no end, and its sendAll waits for ever",
      "    this.#taken = slice\n",
      ""
    ],
    [
      "handed-over-fails-with-the-rest",
      "what the engine has fails as the time of the rest is spent, and is sent all the same",
      "    if (slice === this.#taken) this.#taken = undefined\n    for (const part of slice.parts)",
      "    for (const part of slice.parts)"
    ],
    [
      "added-is-handed-over-failed",
      "what failed with the rest before it was taken is handed over all the same",
      "    this.#drop()\n    for (const { indexes } of together)",
      "    for (const { indexes } of together)"
    ],
    ["sink-hears-late", "a stream hears of a failure many arrays later", "this.#failed?.(outcome.failure)", ""],
    [
      "rest-begins-one-late",
      "of what fails together the first has no outcome (off by one)",
      "for (let i = this.#reached; i < this.#outcomes.length; i++)",
      "for (let i = this.#reached + 1; i < this.#outcomes.length; i++)"
    ]
  ],
  "Placement.ts": [
    [
      "any-partition",
      "a partitioner may choose a partition that is not there: the record waits for its leader",
      "if (Number.isInteger(chosen) && chosen >= 0 && chosen < count) return chosen",
      "if (count > 0) return chosen"
    ]
  ],
  "PlaceAll.ts": [
    [
      "entries-without-reach",
      "what waits for its partition has two outcomes where the rest fails",
      "      into.reach(filled.next)\n",
      ""
    ],
    [
      "line-left-late",
      "what waits for room as the time of the rest is spent fails, and is sent all the same",
      "  call.waiting.leave()\n  call.into.failRest(error)",
      "  call.into.failRest(error)"
    ],
    [
      "fills-for-nobody",
      "the producer is closed amid a step, and what stands behind is still encoded, and placed",
      "i < end && !call.isLeft; i++",
      "i < end; i++"
    ],
    [
      "hands-over-for-nobody",
      "who is interrupted in the very step that has his entries go on has them sent, with what his bytes hold by then",
      "        call.isLeft = true\n        waiting.leave()\n        for",
      "        waiting.leave()\n        for"
    ]
  ],
  "ProducerImpl.ts": [
    [
      "placed-for-nobody",
      "who is interrupted by his own partitioner has his record sent",
      "            isLeft = true\n",
      ""
    ]
  ],
  "Ownership.ts": [
    [
      "entry-is-there",
      "where the caller has emptied the place of an entry that waits, it fails",
      "entries[indexes[i]!] ?? undefined",
      "entries[indexes[i]!]!"
    ]
  ],
  "PlaceInLine.ts": [
    [
      "left-behind-line",
      "who waits in a second line, as the first has him go on at once, cannot leave it: it is sent though interrupted",
      "if (turn === this.#turn) this.#leave = leave",
      "this.#leave = leave"
    ]
  ],
  "TopicLine.ts": [
    [
      "topic-line-overtaken",
      "who comes when a topic is known goes before who has waited for it",
      "if (questions.has(name) || growing.has(name)) whileGoingOn(name, () => admit(name, info))",
      ""
    ],
    [
      "topic-line-without-partitions",
      "who waits for the topic goes before who has waited for a partition of it, since before it was made again",
      "if (growth !== undefined && growth.lowest < info.partitions.length) grow(growth, info)",
      ""
    ],
    [
      "topic-line-of-nobody",
      "who comes back amid those who go on joins a look-up that has been left, and waits for ever",
      "if (goingOn.get(name) === question) goingOn.set(name, undefined)",
      ""
    ],
    [
      "topic-line-fails-again",
      "who tries again as he hears of a failure hears of the same one, for as long as others may join a look-up",
      "for (const { goOn, partition, since } of Array.from(line)) {",
      "for (const { goOn, partition, since } of line) {"
    ],
    [
      "topic-line-nested",
      "who comes back as he goes on goes before who has him go on, and ever deeper",
      "if (goingOn.has(name)) return undefined\n",
      "\n"
    ]
  ],
  "ProducerIds.ts": [
    [
      "id-of-one-broker",
      "a broker that is silent holds up the producer id",
      "if (asking.size > 0 && now() < askedAt + staggerMillis) return",
      "if (asking.size > 0) return"
    ],
    [
      "id-not-asked-beside",
      "nothing looks again when a broker has been silent for a second",
      "fork(Effect.andThen(Effect.sleep(staggerMillis), Effect.sync(wake)))",
      ""
    ]
  ],
  "Connections.ts": [
    [
      "connected-without-word",
      "a connection is there, and nobody looks",
      "node.connecting = false\n        wake()",
      "node.connecting = false"
    ],
    ["connects-once", "a connection that could not be made is never tried again", "node.connecting = false\n", "\n"]
  ],
  "InTransaction.ts": [
    [
      "transaction-beside-the-last",
      "records of a transaction go while some of the last are under way",
      "if (producer === undefined || (queue.producer !== producer && queue.inFlight > 0)) {",
      "if (producer === undefined) {"
    ]
  ],
  "Encoder.ts": [
    [
      "all-in-one-turn",
      "however much is compressed at once in one turn of the event loop",
      "left: codec.id === 0 ? turnBytes : compressedTurnBytes",
      "left: turnBytes * 9"
    ]
  ],
  "EncodingLines.ts": [
    [
      "two-in-one-turn",
      "two batches are compressed in one turn of the event loop, where a codec's threads are of no use",
      "turns.withPermits(1)",
      "permits.withPermits(1)"
    ]
  ],
  "Sink.ts": [
    [
      "failure-heard-late",
      "a sink hears of a failure when its stream ends, or never",
      "return Effect.raceFirst(all, Effect.andThen(failed.await, Effect.andThen(isWell, Effect.never)))",
      "return all"
    ]
  ],
  "TopicEncoder.ts": [
    [
      "timestamp-unchecked",
      "a timestamp that is none fails everybody's request",
      "if (Number.isSafeInteger(timestamp) && timestamp >= 0) return timestamp",
      "if (timestamp !== undefined) return timestamp"
    ],
    [
      "header-unchecked",
      "a header that is none fails everybody's request",
      "if (value !== null && !(value instanceof Uint8Array))\n      throw",
      "if (value === undefined && name.length < 0)\n      throw"
    ]
  ],
  "Reports.ts": [
    [
      "reports-never-end",
      "who reads deliveryReports waits for ever, once the producer is closed",
      "for (const queue of queues) Queue.endUnsafe(queue)",
      ""
    ]
  ]
})
