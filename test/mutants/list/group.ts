import { of } from "../Mutant.ts"

export const group = of("group", {
  "ClassicMember.ts": [
    [
      "joins-with-full-hands",
      "an eager member joins again without having given anything back",
      "revoke(state, settings.cooperative && !state.stopping ? [] : state.owned)",
      "revoke(state, [])"
    ],
    [
      "session-unwatched",
      "a member that is cut off goes on beside the next owner",
      "if (now >= expiresAt(settings, told)) {",
      "if (now === Infinity) {"
    ],
    [
      "rebalance-is-no-life",
      "a drain that is longer than the session is a loss, though the coordinator answers",
      "(event.code === ErrorCode.codes.REBALANCE_IN_PROGRESS && settings.livesWhileRebalancing)",
      "(event.code === ErrorCode.codes.REBALANCE_IN_PROGRESS && !settings.livesWhileRebalancing)"
    ],
    [
      "old-join-accepted",
      "the answer to an earlier join counts",
      'if (round !== state.round) return nothing(state)\n  if (state.phase === "leaving")',
      'if (state.phase === "leaving")'
    ],
    [
      "late-assignment-accepted",
      "an assignment that is read after its session is taken",
      "if (now >= state.provenAt + settings.sessionTimeout) {",
      "if (now === Infinity) {"
    ],
    [
      "cooperative-keeps",
      "a cooperative member keeps what was given to another",
      "return removed.length > 0 || state.outdated ? after(given, (s) => revoke(s, removed)) : given",
      "return state.outdated ? after(given, (s) => revoke(s, removed)) : given"
    ],
    [
      "given-id-forgotten",
      "the id that the coordinator gives is not joined with (KIP-394)",
      "return joinLater(settings, { ...state, memberId: event.memberId }, now, random, why, true)",
      "return joinLater(settings, state, now, random, why, true)"
    ],
    [
      "joins-without-wait",
      "a member that is refused joins as fast as it is answered",
      "const joinAt = now + Math.max(1, settings.rejoinDelay(attempt, random, why))",
      "const joinAt = now + 1"
    ],
    [
      "waits-after-success",
      "the waits before a join never grow short again",
      'phase: "stable", attempt: 0, quietAt: now }',
      'phase: "stable", quietAt: now }'
    ],
    [
      "unknown-keeps-its-id",
      "a member that is not known joins under the same id for ever",
      ': joinLater(settings, { ...state, memberId: "" }, now, random, why)',
      ": joinLater(settings, state, now, random, why)"
    ],
    [
      "one-heartbeat",
      "after the first heartbeat none follows",
      "const due: State = { ...state, heartbeatAt: Math.max(now, state.heartbeatSentAt + settings.heartbeatInterval) }",
      "const due: State = state"
    ],
    [
      "coordinator-kept",
      "after a failed heartbeat the same coordinator is asked",
      'return [{ ...state, missed, heartbeatAt }, asks === "coordinator" ? forget : []]',
      "return [{ ...state, missed, heartbeatAt }, []]"
    ],
    [
      "unknown-member-drains",
      "a member that is not known any more drains as if it were",
      'case "rejoin-anew":\n      return lose(settings, state, "")',
      'case "rejoin-anew":\n      return rejoin(settings, state)'
    ],
    [
      "change-during-join-lost",
      "topics that change while the group forms are not noticed",
      "? [{ ...state, outdated: true }, []]",
      "? nothing(state)"
    ],
    [
      "leaves-without-word",
      "who closes leaves the others to wait for the end of its session",
      ': [leaving, [{ _tag: "Leave", memberId: state.memberId }]]',
      ': [{ ...leaving, phase: "ended" }, []]'
    ]
  ],
  "ClassicState.ts": [
    [
      "no-heartbeats-while-joining",
      "a member that keeps partitions through a rebalance sends no heartbeats in it",
      '(owned.length > 0 || (phase !== "waiting" && phase !== "joining"))',
      'phase !== "waiting" && phase !== "joining"'
    ],
    [
      "loses-only-when-stable",
      "a member that is cut off while it joins keeps its partitions",
      'if (generation === -1 || (owned.length === 0 && phase !== "stable" && phase !== "releasing")) return Infinity',
      'if (generation === -1 || phase !== "stable") return Infinity'
    ],
    [
      "unheard-rebalance",
      "a rebalance that a member has not heard of may end without it",
      "? Math.min(provenAt + sessionTimeout, quietAt + rebalanceTimeout)",
      "? provenAt + sessionTimeout"
    ]
  ],
  "ClassicRound.ts": [
    [
      "moves-at-once",
      "a cooperative leader gives what another member holds",
      "const shares = assignor.cooperative ? withheld(subscriptions, assigned) : assigned",
      "const shares = assigned"
    ],
    [
      "generation-untold",
      "a cooperative member does not tell of which generation its partitions are",
      "generation: assignor.cooperative ? generation : undefined,",
      "generation: undefined,"
    ],
    [
      "foreign-member-kills",
      "a subscription that cannot be read ends the leader",
      "(error) => Effect.as(troubled(error), none)",
      "(error) => Effect.andThen(troubled(error), Effect.die(none))"
    ],
    [
      "lost-is-told-as-owned",
      "after a loss the assignor is told what was given before it",
      "forget: () => (given = undefined)",
      "forget: () => given"
    ]
  ],
  "ClassicRequests.ts": [
    [
      "heartbeats-behind-the-join",
      "heartbeats wait behind a join that the broker holds",
      "channel: isJoining ? channels.beats : channels.held,",
      "channel: channels.held,"
    ],
    [
      "held-requests-cut-off",
      "what is held for others of the client is cut off with the question whether the broker answers",
      "const options = { channel: channels.beats, timeout, budget",
      "const options = { timeout, budget"
    ],
    [
      "broken-is-silence",
      "a join ends since another connection of its broker broke",
      "Effect.retry({ times: 1, while:",
      "Effect.retry({ times: 0, while:"
    ],
    [
      "refusal-is-silence",
      "a join ends since a broker refuses to say where the coordinator is",
      "(error) => !error.isRetryable,",
      "() => false,"
    ],
    [
      "join-given-up-early",
      "a join is given up before the rebalance may be over",
      ": { timeout: grace, held: terms.rebalanceTimeout }),",
      ": { timeout: SessionClock.answersWithin(terms.sessionTimeout) }),"
    ]
  ],
  "ClassicDriver.ts": [
    [
      "lost-without-word",
      "a member that has lost everything never joins again",
      'return inBackground(Effect.map(inTurn.lost, () => post({ _tag: "Released", round: command.round })))',
      "return inBackground(inTurn.lost)"
    ],
    [
      "partitions-noticed-late",
      "partitions that are added are noticed when the metadata are old",
      "inBackground(atChanges(watch.changes, lookAgain, Backoff.repeats(waits(), now)))",
      "void [atChanges, waits]"
    ]
  ],
  "ConsumerMember.ts": [
    [
      "released-untold",
      "the coordinator does not hear what was given back",
      "const tellsOwned = full || state.isAwaited || !isSame(owned, state.told)",
      "const tellsOwned = full || state.isAwaited"
    ],
    [
      "unowned-untold",
      "the coordinator waits for what was taken back before its topic's name was found",
      "unowned.length > 0 ? urgent({ ...member, isAwaited: true }, now) : member",
      "unowned.length > 0 ? member : member"
    ],
    [
      "keeps-what-was-taken",
      "what the coordinator takes away is kept",
      "if (removed.length > 0) return revoke(state, removed, now)",
      ""
    ],
    [
      "untold-after-silence",
      "after a heartbeat without an answer what it told is not told again",
      "return nothing({ ...state, missed: count, isFull: true, isUrgent: false, beatAt })",
      "return nothing({ ...state, missed: count, isUrgent: false, beatAt })"
    ],
    [
      "old-answer-accepted",
      "the answer to an earlier heartbeat counts",
      "state.isBeating &&\n  event.beat === state.beat",
      "state.isBeating"
    ],
    [
      "late-heartbeat-accepted",
      "an answer that is read after its session is taken",
      "if (now < event.sentAt + settings.sessionTimeout) return answered(state, event, now)",
      "if (now < Infinity) return answered(state, event, now)"
    ],
    [
      "consumer-session-unwatched",
      "a member that is cut off goes on beside the next owner",
      "return now >= expiresAt(settings, told) ? after(",
      "return now === Infinity ? after("
    ],
    [
      "hurries-without-end",
      "a coordinator whose answers ask for heartbeats is asked without end",
      "if (!isUrgent || isBeating || hurries < mostHurries) return step",
      "if (!isUrgent || isBeating || hurries >= 0) return step"
    ],
    [
      "names-not-asked",
      "partitions of a topic whose name is not known are never read",
      'return ids.length === 0 ? step : [step[0], [...step[1], { _tag: "Resolve", ids }]]',
      "return step"
    ],
    [
      "given-back-without-heartbeat",
      "what was given back is told with the next heartbeat, when that is due",
      "return reconcile(urgent(member, now), now, true)",
      "return reconcile(member, now, true)"
    ]
  ],
  "ConsumerMemberState.ts": [
    [
      "unanswered-not-counted",
      "what the coordinator took back by an answer that is lost is kept beyond its time",
      "const unanswered = isBeating || missed > 0 ? askedAt : Infinity",
      "const unanswered = Infinity + 0 * askedAt * missed * Number(isBeating)"
    ]
  ],
  "ConsumerDriver.ts": [
    [
      "commit-of-the-last-epoch",
      "a commit that is refused as stale until its time is over is an error of the coordinator's, and not NotOwned",
      "errorCode === code.STALE_MEMBER_EPOCH && as.memberId === state().memberId && state().epoch > 0,",
      "errorCode === code.STALE_MEMBER_EPOCH && as.memberId === state().memberId && state().epoch < 0,"
    ]
  ],
  "MemberChannels.ts": [
    [
      "one-connection-for-all-members",
      "members of one client wait for each other's joins, and cut each other's heartbeats off",
      "const held = `group-${++members}`",
      'const held = members === 0 ? "group" : "group-0"'
    ]
  ],
  "ConsumerHeartbeat.ts": [
    [
      "static-leaves-for-good",
      "a static member that closes gives its place up",
      "memberEpoch: instanceId === null ? -1 : -2,",
      "memberEpoch: -1,"
    ],
    [
      "leaves-not-first",
      "a member that the coordinator still has waits for the end of its session",
      "if (leavesFirst) yield* Effect.ignore(Effect.flatMap(coordinator, leaveOnce(memberId)))",
      ""
    ]
  ],
  "CommittedOffsets.ts": [
    [
      "open-transactions-ignored",
      "a start is found while its commit is in an open transaction (KIP-447)",
      "...(version >= 7 ? { requireStable: true } : {})",
      ""
    ],
    [
      "silence-is-nothing",
      "what an answer leaves out has no commit: it is read again, or skipped",
      "const untold = partitions.find((one) => !told.has(TopicPartition.key(one)))",
      "const untold = partitions.find((one) => told.has(`not ${one.topic}`))"
    ],
    ["left-out-is-committed", "a commit that the answer leaves out counts", "?? -1)\n}", "?? 0)\n}"]
  ],
  "AskCoordinator.ts": [
    [
      "offsets-coordinator-kept",
      "a coordinator that does not answer is asked for ever",
      'if (moved || reason._tag === "Unreachable" || reason._tag === "TimedOut")',
      "if (moved)"
    ],
    [
      "coordinator-not-followed",
      "a commit waits for a coordinator that stands still, and is never tried where the group is by now",
      "now.value.id === asked.id",
      "now.value.id >= 0"
    ],
    [
      "leaver-seeks-none",
      "who leaves waits for a coordinator that stands still, and the others for the end of its session",
      'if (seeks) cluster.forgetCoordinator("group", group)',
      ""
    ]
  ],
  "TopicWatch.ts": [
    [
      "fewer-believed-at-once",
      "a broker that has just started makes a group give up its partitions",
      "for (let i = 0; i < times && isLess(answer); i++) {",
      "for (let i = times; i < times && isLess(answer); i++) {"
    ],
    [
      "ids-not-compared",
      "a topic that was made again is not shared out anew",
      "return before.count !== count || (before.id !== undefined && id !== undefined && before.id !== id)",
      "return before.count !== count"
    ]
  ]
})
