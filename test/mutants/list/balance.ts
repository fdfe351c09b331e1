import { of } from "../Mutant.ts"

export const balance = of("balance", {
  "BalancedMember.ts": [
    [
      "gives-without-claim",
      "partitions are read before their claim stands",
      ".filter(([key]) => held.has(key) && !before.owned.has(key))",
      ".filter(([key]) => !before.owned.has(key))"
    ],
    [
      "frees-before-giving-back",
      "a claim is removed while its records are at work",
      "if (leaving.length === 0) return free(settings, state, now)",
      "if (leaving.length >= 0) return free(settings, state, now)"
    ],
    ["lost-session-keeps", "a member whose session is over reads on", "return lose(gone)", "return nothing(gone)"],
    [
      "old-answers-accepted",
      "answers of an earlier round count",
      'if ("round" in event && event.round !== state.round) return nothing(state)',
      ""
    ],
    [
      "change-during-a-round-lost",
      "members that come while a member balances are not noticed",
      'return nothing({ ...state, stale: names && state.stale !== "all" ? "names" : "all" })',
      "return nothing(state)"
    ],
    [
      "taken-not-tried-again",
      "a claim that another holds is not tried again",
      'phase: "waiting", attempt, wait, wakeAt: now + Math.max(1, wait) }',
      'phase: "waiting", attempt, wait, wakeAt: undefined }'
    ],
    [
      "leaderless-not-looked-at",
      "a partition without a leader is never claimed",
      "wakeAt: isWhole ? undefined : now + settings.backoff }",
      "wakeAt: isWhole ? undefined : undefined }"
    ],
    [
      "contested-kept",
      "a partition that another claims under another name is read by both",
      "wanted.has(key) && !contested.has(key)",
      "wanted.has(key) && !(contested.has(key) && contested.size < 0)"
    ],
    [
      "stands-after-a-failure",
      "a round that failed is not tried again",
      'what is ours stays ours as long as the session does.\n      return nothing({ ...state, phase: "waiting", wakeAt: now + settings.backoff })',
      'what is ours stays ours as long as the session does.\n      return nothing({ ...state, phase: "waiting", wakeAt: undefined })'
    ],
    [
      "freed-unheard",
      "a claim that is freed is taken only when its time has come",
      "return look({ ...state, ...notWaiting, attempt: Math.max(0, state.attempt - 1) })",
      "return nothing(state)"
    ],
    [
      "waits-grow-over-balances",
      "the waits for claims of one balance count for the next",
      "const begin = (state: State): Step => lookAgain({ ...state, ...fresh })",
      "const begin = (state: State): Step => lookAgain({ ...state, ...notWaiting })"
    ],
    [
      "vanished-claim-kept",
      "a partition whose claim has vanished, and is another's, is read on",
      "if (taken.some((one) => before.owned.has(keyOf(one)))) return lose(before)",
      ""
    ]
  ],
  "Registrations.ts": [
    [
      "claim-of-a-dead-session",
      "a claim that a session of ours has left counts as ours, and vanishes",
      "node !== undefined && node.stat.owner === session.id && decode(node.data) === layout.claimant(topic)",
      "node !== undefined && decode(node.data) === layout.claimant(topic)"
    ],
    [
      "younger-claim-stands",
      "of two claims on one partition the younger stands",
      ".sort((a, b) => compare(a.stat.created, b.stat.created))",
      ".sort((a, b) => compare(b.stat.created, a.stat.created))"
    ],
    [
      "id-goes-first",
      "who leaves is gone before its claims are: the others find them taken",
      "return Effect.onInterrupt(Effect.andThen(removed(claims), removed(ids)), () =>",
      "return Effect.onInterrupt(Effect.andThen(removed(ids), removed(claims)), () =>"
    ],
    [
      "removes-anybodys-claim",
      "a claim that is another's by now is removed",
      "Effect.map(session.remove(pathOf(claim), ofOurs(claim)), () => {",
      "Effect.map(session.remove(pathOf(claim)), () => {"
    ],
    [
      "not-looked-after-claiming",
      "two that knew other leaders both claim, and both read",
      "if (layout.hasLeaders && ours.length > 0) {",
      "if (layout.hasLeaders && ours.length < 0) {"
    ]
  ],
  "BalancedDriver.ts": [
    [
      "rounds-beside-each-other",
      "an older round claims behind the look of a younger one",
      "atWork = inBackground(Effect.andThen(atWorkEnds(), trip))",
      "atWork = inBackground(trip)"
    ],
    [
      "alive-by-word",
      "a process that stood still holds itself for a member until it hears of its session",
      'if (registrations?.session.isLive() === true) return phase !== "losing" && session === registrations.session.id',
      "if (registrations !== undefined) return true"
    ],
    [
      "alive-in-the-next-session",
      "what was lost is read on where the next session lives before the reader has heard of it",
      'return phase !== "losing" && session === registrations.session.id',
      "return true"
    ],
    [
      "given-after-its-session",
      "what was claimed in a session that is over is given all the same",
      "(isAlive() ? owner.assigned(list) : Effect.void)",
      "owner.assigned(list)"
    ],
    [
      "revoked-without-word",
      "what was given back is never released",
      'return void inBackground(Effect.map(revoked, () => post({ _tag: "Released", round })))',
      "return void [inBackground(revoked), round]"
    ]
  ],
  "GroupWatches.ts": [
    [
      "compared-behind-the-brokers",
      "a topic is compared once its brokers have told of the one before",
      "Stream.switchMap((node) => {",
      "Stream.flatMap((node) => {"
    ],
    [
      "growth-unnoticed",
      "partitions that metadata tell of are not noticed",
      'if (before.length !== info.partitions.length) return post({ _tag: "Changed" })',
      ""
    ],
    [
      "moved-leader-unnoticed",
      "the claim has the name of the old leader: a member of PyKafka takes it for free",
      'if (layout.hasLeaders && moved) post({ _tag: "LeadersMoved" })',
      "void moved"
    ]
  ]
})
