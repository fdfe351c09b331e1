import { of } from "../Mutant.ts"

export const consume = of("consume", {
  "OffsetTracker.ts": [
    [
      "watermark-one-beyond",
      "a record that is at work counts as done (off by one)",
      "? this.base : offsetAt(segment, segment.prefix)\n  }",
      "? this.base : offsetAt(segment, segment.prefix) + 1\n  }"
    ],
    [
      "marks-beyond-forgotten",
      "what was done out of order holds the watermark for ever",
      "if (marked !== undefined) while (prefix < segment.count && marked[prefix] === 1) prefix++",
      ""
    ],
    ["base-stays", "what is done in whole is not committed", "this.base = segments[this.head]!.next", ""],
    [
      "gap-behind-the-last-forgotten",
      "control records and gaps behind the last record are not committed",
      "else tail!.next = next",
      ""
    ],
    ["done-twice", "a record that is marked twice counts twice", "if (marked[index] === 1) return false", ""],
    [
      "cut-one-short",
      "the first record of what was written anew counts as done (off by one)",
      "while (offsetAt(tail, count - 1) >= to) count--",
      "while (offsetAt(tail, count - 1) > to) count--"
    ]
  ],
  "Committer.ts": [
    [
      "commits-of-the-lost",
      "partitions that were given up are committed by who had them",
      '([partition]) => partition.status !== "ended" && (byHand || (isCurrent(partition) && !isApart(partition)))',
      "([partition]) => byHand || (isCurrent(partition) && !isApart(partition))"
    ],
    [
      "commits-beside-each-other",
      "an older commit may overtake a younger one",
      "return Effect.raceFirst(turn.withPermits(1)(begun), tooLate)",
      "return Effect.raceFirst(begun, tooLate)"
    ],
    [
      "commits-go-back",
      "a commit goes back without a seek",
      "&& tracker.watermark > committed",
      "&& tracker.watermark !== committed"
    ],
    [
      "commits-after-the-session",
      "a member whose session must have ended commits",
      "if (!isAlive()) return yield* notOwned(left[0]![0], settings.group)",
      ""
    ],
    [
      "answer-from-before-a-seek",
      "the answer to a commit from before a seek counts for the new position",
      "if (epoch !== sent?.epoch) return",
      ""
    ],
    [
      "committed-not-noted",
      "the same offsets are committed again and again",
      "partition.committed = commit.offset",
      ""
    ],
    [
      "failed-commit-forgotten",
      "marks whose commit has failed are told only with later ones",
      "marked(1)\n    const isOurs",
      "const isOurs"
    ],
    ["commits-without-pause", "after the first mark commits follow each other", "marks.count = 0", ""],
    [
      "deleted-topic-stops-all",
      "the commits of a topic that was deleted hold up the others",
      "if (!byHand && isUnknown(code, partition)) {",
      "if (false) {"
    ],
    [
      "doubted-is-given-up",
      "what is given back is not committed where a leader does not know its topic for a moment",
      "(isSoon || !isDoubted(place))",
      "true"
    ],
    [
      "refusal-not-told",
      "a member does not hear that its commit was refused",
      "for (const code of new Set(codes)) if (code !== 0) refused(as, code)",
      ""
    ],
    [
      "commit-of-the-last-generation",
      "a commit that a rebalance has overtaken is lost, though its partitions stay",
      "if (goesOn(as, code)) {",
      "if (goesOn(as, code) && code === 0) {"
    ]
  ],
  "AssignedPartition.ts": [
    [
      "stopped-delivers",
      "what was fetched is delivered after the partition was to be given back",
      'this.status = "ending"\n    this.drop()',
      'this.status = "ending"'
    ],
    [
      "drained-unheard",
      "who waits until all is done waits for the whole drainTimeout",
      "if (this.onDrained !== undefined) this.checkDrained()",
      ""
    ],
    [
      "arrays-without-bound",
      "maxRecords is not heeded",
      "const end = Math.min(from + this.host.maxRecords, from + limit, fetched.records.length)",
      "const end = Math.min(from + limit, fetched.records.length)"
    ],
    [
      "delivers-after-the-session",
      "a member whose session must have ended is given records",
      "if (!this.host.isAlive()) return nothing",
      ""
    ],
    [
      "begins-after-the-session",
      "a process that stood still begins what another handles by now",
      "return this.isLive && this.host.isAlive()",
      "return this.isLive"
    ],
    [
      "seek-voids-nothing",
      "what was delivered before a seek is handled after it",
      "this.voided()\n    this.tracker?.reset(offset)\n    this.epochs.reset()",
      "this.tracker?.reset(offset)\n    this.epochs.reset()"
    ],
    [
      "rest-of-an-array-lies",
      "the rest of an array is never offered",
      "this.slot = { fetched, from: end }\n        this.host.ready(this)",
      "this.slot = { fetched, from: end }"
    ],
    ["pump-stands", "nothing is pulled after the first array", "else this.pump?.resume()", ""],
    [
      "unpaused-lies",
      "what was there when a partition was paused is not offered after it",
      "if (this.isReady) this.host.ready(this)",
      ""
    ],
    [
      "jump-forgets-work",
      "who goes on elsewhere forgets what is at work",
      "} else this.tracker?.deliver([], offset)",
      "} else this.tracker?.reset(offset)"
    ],
    [
      "opened-though-paused",
      "what is paused is fetched where it was assigned anew",
      "if (this.paused) reader.pause()",
      ""
    ],
    [
      "failure-not-offered",
      "what a partition has failed with is told to nobody",
      "this.failure = failure\n      this.host.ready(this)",
      "this.failure = failure"
    ]
  ],
  "PartitionPump.ts": [
    [
      "taken-without-word",
      "the pump is not told that its array was taken",
      "this.waits = false\n    this.taken.fire()",
      "this.waits = false"
    ]
  ],
  "Mailbox.ts": [
    [
      "offered-while-yielding",
      "what was offered between a look and the wait wakes nobody",
      "if (this.closed !== undefined || !this.isEmpty) return resume(Effect.void)",
      ""
    ],
    [
      "offered-in-silence",
      "what is offered wakes nobody",
      "this.ready.push(item)\n    this.wake()",
      "this.ready.push(item)"
    ]
  ],
  "Revocation.ts": [
    [
      "given-back-without-commit",
      "what was done is not committed before the partition is another's",
      "if (settings.group !== undefined) {",
      "if (settings.group === undefined) {"
    ],
    [
      "given-back-at-work",
      "partitions are given back while their records are at work",
      "(yield* cutAt(drainShare, Effect.timeoutOption(each, within.millis))) === undefined",
      "(void each, false)"
    ],
    [
      "late-goes-on",
      "what is not through in time goes on beside the next owner",
      "yield* interrupt(late.filter((partition) => context.everMarked() || !partition.isAwaited()))",
      ""
    ],
    [
      "lost-goes-on",
      "what handles a lost partition goes on",
      "const fibers = cut(atWork)",
      "const fibers = cut(atWork.slice(0, 0))"
    ],
    ["released-stays-known", "a consumer keeps what it has given back", "context.forget(partition)", ""],
    ["closing-cuts-nothing", "closing waits for a revocation that takes longer than it may", "closes.fire()", ""],
    [
      "drains-beyond-its-time",
      "draining takes drainTimeout, though the group waits for less",
      'drain: lesser({ name: "drainTimeout", millis: drainTimeout }, { name, millis: millis * drainShare }),',
      'drain: { name: "drainTimeout", millis: drainTimeout },'
    ],
    [
      "ours-after-loss",
      "what the group gave to others during the drain is told as revoked",
      'release(left, wasLost ? "Lost" : "Revoked")',
      'release(left, "Revoked")'
    ]
  ],
  "GoneTopics.ts": [
    [
      "gone-by-one-word",
      "one broker that has just started makes a topic gone",
      "for (const last of [false, true]) {",
      "for (const last of [true]) {"
    ]
  ],
  "StartPositions.ts": [
    [
      "given-back-waits",
      "a partition that was given back is told of as one that waits for where it begins",
      "              options.while(partition)\n                ?",
      "              (options.while(partition) || true)\n                ?"
    ],
    [
      "latest-not-committed",
      "a start from the end is not the group's: what comes until the first commit is skipped at a rebalance",
      'const found = isOwn || at === "latest" || (typeof at === "object" && at._tag === "AtTime")',
      "const found = isOwn"
    ],
    [
      "added-from-the-end",
      "what was written to a partition before it was noticed is skipped",
      'if (at === undefined && added) at = "earliest"',
      ""
    ],
    [
      "start-not-found-is-forgotten",
      "a start that could not be committed is looked for again, further on",
      'if (before !== undefined) at = { _tag: "At", offset: before }',
      ""
    ],
    [
      "leaderless-together",
      "partitions without a leader wait with each other",
      "leaders.delete(-1)\n",
      "without.clear()\n"
    ],
    [
      "leaderless-by-another-name",
      "who waits with others for a leader hears why one of the others waits",
      "waits(partition, placed(error, partition))",
      "waits(partition, error)"
    ],
    [
      "leaderless-until-the-first",
      "partitions that have a leader wait until the first that has none is led",
      "(partitions?.[partition.partition]?.leader ?? -1) >= 0 || !options.while(partition)",
      "!options.while(partition)"
    ],
    [
      "leaderless-held-by-each-round",
      "where leaders come one by one, as many lists of partitions are held as there are partitions",
      "handed(group, waiting)",
      "waiting(group)"
    ]
  ],
  "Opening.ts": [
    [
      "opened-though-given-back",
      "a partition that was given back meanwhile is fetched all the same",
      'if (partition.status !== "opening") return\n    if (outdated',
      "if (outdated"
    ],
    ["new-position-unsaid", "where it goes on after a loss is not committed", "else yield* commitSoon(partition)", ""],
    [
      "found-never-committed",
      "a start that was found is never committed",
      "if (unsaid.size > 1) return Effect.void",
      "if (unsaid.size >= 1) return Effect.void"
    ],
    [
      "another-log-overtaken",
      "what retention deletes of a topic made again before it is read is a loss",
      'if (where !== "same") partition.beginning = offset',
      ""
    ],
    [
      "out-of-range-moves-only-the-reader",
      "after a position out of range the partition counts from the old one",
      'if (where === "another") partition.moved(offset)\n    else partition.jumped(offset)',
      ""
    ]
  ],
  "Run.ts": [
    [
      "paused-goes-on",
      "a pause takes no effect in the array that is being handled",
      "while: () => isDue() && !partition.paused,",
      "while: isDue,"
    ],
    [
      "abandoned-is-done",
      "a record that was left unfinished is marked",
      "if (outcome !== abandoned) doneUnsafe(record)",
      "if (outcome !== held) doneUnsafe(record)"
    ],
    [
      "retried-after-loss",
      "a record is tried again after its partition was lost",
      "if (!partition.mayBegin || !partition.isCurrent(epoch, record)) return abandoned",
      ""
    ],
    [
      "lanes-full-for-ever",
      "beyond 1024 records that wait nothing is taken any more",
      "if (--waiting < maxWaiting) room.fire()",
      "--waiting"
    ],
    [
      "begun-after-loss",
      "who waited for his turn begins a record of a partition that was lost",
      "if (!partition.mayBegin || !partition.isCurrent(epoch, record)) return Effect.succeed(abandoned)",
      ""
    ],
    [
      "failure-swallowed",
      "a handler that fails ends its partition in silence",
      "Deferred.doneUnsafe(failed, Exit.failCause(exit.cause))",
      "void failed"
    ],
    [
      "drained-run-unheard",
      "a worker that has ended is still waited for",
      "partition.checkDrained()\n          })",
      "})"
    ]
  ],
  "Lanes.ts": [
    [
      "one-key-in-two-lanes",
      "records of one key are handled beside each other",
      "return (hash >>> 0) % lanes",
      "return ((hash >>> 0) + offset) % lanes"
    ]
  ],
  "Processing.ts": [
    [
      "doubt-is-failure",
      "a transaction whose commit may have been taken is taken again",
      'if (how === "doubt") return',
      'if (how === "doubt" && failures < 0) return'
    ]
  ],
  "Taking.ts": [
    [
      "back-behind-the-failed",
      "a batch that was aborted is not taken again",
      "partition.goBack(tracker.lowestUnfinished ?? tracker.watermark)",
      "partition.goBack(tracker.position)"
    ]
  ]
})
