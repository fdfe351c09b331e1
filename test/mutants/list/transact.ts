import { of } from "../Mutant.ts"

export const transact = of("transact", {
  "TransactionMachine.ts": [
    [
      "commits-what-failed",
      "a transaction of which a record has failed is committed",
      "if (state.isRegistered) return close({ ...state, isStale }, commits && state.failure === undefined)",
      "if (state.isRegistered) return close({ ...state, isStale }, commits)"
    ],
    [
      "commits-what-failed-late",
      "a failure that comes while partitions are added does not count",
      "return before(commands, close(next, next.commits && next.failure === undefined))",
      "return before(commands, close(next, next.commits))"
    ],
    [
      "doubt-told-as-failure",
      "a commit without an answer is told as one that was not taken",
      "const told = state.commits && isLost ? inDoubt(transactionalId, error) : (state.failure ?? error)",
      "const told = state.failure ?? error"
    ],
    [
      "epoch-not-raised",
      "what may arrive late arrives under the epoch of the next transaction",
      "isStale: state.isStale || isStale, waiting: none }",
      "isStale: state.isStale, waiting: none }"
    ],
    [
      "added-to-what-ends",
      "partitions are added to a transaction that is ending",
      'if (state.phase !== "open" || state.isEnding || state.failure !== undefined) return nothing(state)',
      'if (state.phase !== "open" || state.failure !== undefined) return nothing(state)'
    ],
    [
      "added-twice",
      "partitions that are being added are added again",
      "!state.added.has(key) && !state.adding.has(key))",
      "!state.added.has(key))"
    ],
    [
      "doubt-not-resolved",
      "after a commit in doubt the next transaction begins before it is known to be over",
      'return before(commands, end(state, false, "resolving"))',
      "return before(commands, init(state))"
    ],
    [
      "fenced-goes-on",
      "a producer that is fenced asks for another epoch, and takes the place back",
      '? [{ ...next, ...closed, phase: "over", error }, told]',
      '? [{ ...next, ...closed, phase: "new", producer: undefined, error }, told]'
    ],
    [
      "last-epoch-is-asked-again",
      "who is told nothing about the last epoch asks for it in vain with each transaction",
      "const isElsewhere = isTaken(event.code, state.producer, contested?.mayBeRaised === true)",
      "const isElsewhere = isFenced(event.code)"
    ],
    [
      "ends-before-what-it-asked",
      "a transaction ends while partitions are being added to it",
      "if (state.adding.size > 0) return nothing({ ...state, isStale, commits, isEnding: true })",
      ""
    ],
    [
      "unknown-error-is-failure",
      "UNKNOWN_SERVER_ERROR is told as not taken",
      "const isUnknown = code === codes.UNKNOWN_SERVER_ERROR",
      "const isUnknown = code === codes.NONE"
    ],
    [
      "refusal-amid-is-fenced",
      "what a coordinator of old refuses amid a transaction ends its producer",
      "const error = isFenced(code) ? answered(code, false, where(api, group)) : refusal(code, api, group)",
      "const error = refusal(code, api, group)"
    ],
    [
      "aborted-by-coordinator-is-fenced",
      "a transaction that was open for too long ends its producer",
      'tell("end", isAborted ? abortedByCoordinator(settings) : error)',
      'tell("end", error)'
    ]
  ],
  "TransactionDriver.ts": [
    [
      "joins-without-time",
      "whoever joins a question whose asker has left has no more time for it than he had",
      'const times = phase === "initializing" || phase === "resolving" ? 1 : 0',
      'const times = phase === "initializing" || phase === "resolving" ? 0 : 0'
    ],
    [
      "cut-off-behind-its-answer",
      "a commit whose layer ends right behind its answer is told as none",
      '(error.reason._tag === "Closed" ? answer.effect : undefined) ??',
      ""
    ],
    [
      "ends-with-records-under-way",
      "a batch that comes after the end is part of the next transaction",
      "engine.settled,\n      Effect.suspend(",
      "Effect.void,\n      Effect.suspend("
    ],
    [
      "commits-without-flush",
      "records that wait are not part of the commit",
      'engine.flush,\n    unlessLeaving(() => {\n      setEnding("commits")',
      'Effect.void,\n    unlessLeaving(() => {\n      setEnding("commits")'
    ],
    [
      "gap-untold",
      "after records that were given up the epoch is not raised",
      "hasGap: engine.takeGap()",
      "hasGap: false"
    ],
    [
      "leaves-it-open",
      "closing leaves a transaction open: readers wait for it until its time-out",
      'return phase === "open" ? abort : isUnknown ? initialize : Effect.void',
      "return isUnknown ? initialize : Effect.void"
    ],
    [
      "admits-what-is-not-added",
      "records go to partitions that are not part of the transaction",
      'return phase === "open" && failure === undefined && added.has(TopicPartition.key({ topic, partition }))',
      'return phase === "open" && failure === undefined && added.size >= 0'
    ],
    [
      "two-at-a-time",
      "the next transaction begins beside the end of the last",
      "Effect.forkIn(turn.withPermits(1)(self), scope, { startImmediately: true }).pipe(",
      "Effect.forkIn(self, scope, { startImmediately: true }).pipe("
    ],
    [
      "failure-after-the-end",
      "what fails while a transaction is aborted fails the next",
      'if (!isEnding) machine.advance({ _tag: "Failed", error })',
      'machine.advance({ _tag: "Failed", error })'
    ]
  ],
  "CoordinatorRequests.ts": [
    [
      "lost-try-untold",
      "a try without an answer is forgotten: what it did may come late",
      "if (isUnderWay) isLost = true\n",
      "void isLost\n"
    ],
    [
      "coordinator-kept",
      "a coordinator that has moved is asked for ever",
      'if (ErrorCode.asks(code, api) === "coordinator") forget()',
      ""
    ],
    [
      "newer-one-aborted",
      "who is fenced aborts what the newer one has open",
      "expected === undefined ? undefined : ofAnother(expected, isContested)",
      "undefined"
    ],
    [
      "id-taken-back",
      "before 2.5 who was fenced takes the id back by asking for an epoch",
      "isFenced(errorCode) ? refusedAs(expected) : undefined",
      "undefined"
    ],
    [
      "fenced-by-itself",
      "before 2.5 a lost answer to the question for an epoch fences whoever asked it",
      "raising === expected || (final",
      "(final"
    ],
    [
      "fenced-by-a-late-one",
      "what a late request has opened under our epoch fences us before the next transaction",
      'if (known !== "ours") return Effect.succeed(known)',
      "if (known !== undefined) return Effect.succeed(undefined)"
    ],
    [
      "question-that-hangs",
      "a question that hangs spends all of closeTimeout: the transaction is left open",
      "Math.max(1, closeTimeout * questionShare)",
      "sending.timeout + 0 * closeTimeout * questionShare"
    ],
    [
      "epoch-of-the-old-version",
      "the epoch that EndTxn gives is not taken",
      "isImplicit ? {} : { maxVersion: endsWithEpochFrom - 1 }",
      "{ maxVersion: endsWithEpochFrom - 1 + 0 * Number(isImplicit) }"
    ]
  ]
})
