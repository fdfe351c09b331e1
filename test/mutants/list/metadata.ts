import { of } from "../Mutant.ts"

export const metadata = of("metadata", {
  "MetadataState.ts": [
    [
      "older-leader-wins",
      "a broker that lags behind takes back a leader that has moved",
      "known.leaderEpoch > leaderEpoch &&",
      "known.leaderEpoch < -1 &&"
    ],
    [
      "older-hint-wins",
      "an old answer that names a leader is believed",
      "if (before === undefined || known === undefined || leaderEpoch <= known.leaderEpoch) return undefined",
      "if (before === undefined || known === undefined) return undefined"
    ],
    [
      "doubt-never-believed",
      "a topic that was made again, on a broker without ids, has its old leaders for ever",
      "this.#isDoubted(name, partitionIndex, now)",
      "now === -Infinity"
    ],
    ["gone-stays-known", "a topic that was deleted is known for ever", "this.#topics.delete(name)", ""],
    [
      "refusal-of-the-one-before",
      "a late answer about the old topic takes back what was said of the new one",
      "if (id === undefined || (known !== undefined && id !== known.id)) return",
      "if (id === undefined) return"
    ],
    [
      "refusal-of-any-id",
      "what a leader said of the old topic holds back the commits of the new one",
      "refusal.id === this.#topics.get(topic)?.id",
      "this.#topics.has(topic)"
    ],
    [
      "unknown-for-a-moment",
      "a leader that has not heard of a topic yet lets one that lags behind bring the old one back",
      "doubt.last - doubt.since >= doubtedFor",
      "now - doubt.since >= doubtedFor"
    ],
    [
      "impossible-address-taken",
      "an address that cannot be takes the place of one that was",
      "const node = problem === undefined ? told : known.get(id)",
      "const node = problem === undefined ? told : (known.get(id) ?? told)"
    ],
    [
      "any-index",
      "one number in an answer takes all memory",
      "if (partitionIndex < 0 || missing + partitionIndex >= partitions.length + missingPartitions)",
      "if (partitionIndex < 0)"
    ],
    [
      "no-brokers-believed",
      "an answer without brokers makes a cluster without any",
      "if (response.brokers.length === 0) return { change: undefined, impossible: [] }",
      ""
    ],
    [
      "without-partitions-is-there",
      "a topic that is being made has no partitions, and counts as there",
      "errorCode === code.NONE && topic.partitions.length === 0 ? code.LEADER_NOT_AVAILABLE : errorCode",
      "errorCode"
    ]
  ],
  "Topics.ts": [
    [
      "never-asked-again",
      "what is known of a topic is never asked for again",
      "if (info === undefined || state.age(info.name, now()) < settings.metadataMaxAge) return info",
      "if (info === undefined || state.age(info.name, now()) < Infinity) return info"
    ],
    [
      "asked-again-late",
      "where asking has failed the next question comes after metadataMaxAge",
      "const failed = Effect.sync(() => state.touch(name, now() - settings.metadataMaxAge + askedAgainAfter))",
      "const failed = Effect.sync(() => void askedAgainAfter)"
    ],
    [
      "just-started-says-gone",
      "a broker that has just started makes topics gone",
      "if (brokers.length === 0)\n",
      "if (brokers.length < 0)\n"
    ],
    [
      "addresses-unlearnt",
      "where the brokers are is not told to who connects to them",
      "brokers.learn([...state.nodes, ...cluster.impossible], state.clusterId)",
      ""
    ],
    [
      "by-id-for-nothing",
      "who asks for a topic by its id waits for as long as another has its name",
      "if (name !== null) state.doubtId(name, now())",
      "void name"
    ]
  ],
  "Learning.ts": [
    [
      "lagging-brings-back",
      "a broker that lags behind brings a topic back that was replaced",
      "if (!isOther(topic) || !isOlder) {",
      "if (true) {"
    ],
    [
      "lagging-first",
      "a broker that lags behind brings back a topic that was not heard of",
      "(state.nodes.length > 1 && young.mayBeNewerThan(topic.name!, by))",
      "false"
    ],
    [
      "own-word-not-taken-back",
      "a broker that tells of a new topic, after the old one, is not believed",
      "topic !== undefined && !topic.by.has(by) &&",
      "topic !== undefined &&"
    ],
    [
      "lagging-for-ever",
      "a topic that was heard of in the wrong order is not learnt by the word of two brokers",
      "(isAlone || told.get(topic.name) !== topic.topicId)",
      "true"
    ],
    [
      "lagging-not-waited-for",
      "an answer that tells of another topic says once more what is known",
      "lagging.size === 0 ? Effect.void : check([...lagging], told)",
      "lagging.size === 0 ? Effect.void : Effect.forkDetach(check([...lagging], told))"
    ],
    [
      "lagging-while-two-differ",
      "of two brokers that differ, one is believed though its topic is of no use",
      "if (state.isIdDoubted(topic.name!, now())) {",
      "if (false) {"
    ],
    [
      "order-stays-wrong",
      "a topic that was heard of in the wrong order is replaced by each word of the old one",
      "      if (isReplaced) replaced.isNewest(topic)\n",
      ""
    ]
  ],
  "Coordinators.ts": [
    [
      "never-forgotten",
      "a coordinator that has moved is asked for ever",
      "if (one !== undefined) known.set(name, { ...one, forgottenAt: one.forgottenAt ?? now() })",
      "void one"
    ],
    [
      "coordinator-asked-without-end",
      "a coordinator that is of no use is looked for as fast as it is told",
      "if (wait > 0) yield* Effect.sleep(Math.ceil(wait))",
      ""
    ],
    [
      "any-of-the-list",
      "the first coordinator of an answer is taken, whosever it is",
      "const found = spoken < 4 ? response : response.coordinators.find((one) => one.key === key)",
      "const found = spoken < 4 ? response : response.coordinators[0]"
    ],
    [
      "impossible-coordinator-taken",
      "a coordinator at :0 is connected to",
      "if (found.errorCode === 0 && (problem !== undefined || found.nodeId < 0))",
      "if (found.errorCode === 0 && problem !== undefined && found.nodeId < 0)"
    ]
  ],
  "SingleFlight.ts": [
    ["answers-for-ever", "the first answer is everybody's for ever", "running.delete(key)", ""],
    [
      "first-takes-others-along",
      "who asked first is interrupted, and others wait for ever",
      "Effect.forkIn(Effect.ignore(shared), scope, { startImmediately: true }),",
      "Effect.forkChild(Effect.ignore(shared), { startImmediately: true }),"
    ]
  ],
  "Batcher.ts": [
    ["works-once", "after the first questions none is asked", "lines.delete(to)", ""],
    [
      "one-leaves-for-all",
      "who is interrupted takes the question of others along",
      "const at = --round.waiting === 0 ? line.indexOf(round) : -1",
      "const at = --round.waiting >= 0 ? line.indexOf(round) : -1"
    ]
  ],
  "LookUps.ts": [
    [
      "topics-asked-without-end",
      "metadata of a topic that is not there are asked as fast as they are answered",
      "const wait = count >= free ? last + apart - now() : 0",
      "const wait = count >= free ? 0 * (last + apart) : 0"
    ]
  ],
  "Hedge.ts": [
    [
      "second-never-asked",
      "who fails is followed by the next only after a second",
      "else if (index === next - 1) start()",
      ""
    ],
    [
      "silent-holds-up",
      "a broker that is silent holds up whoever asks for the whole of requestTimeout",
      "if (next < attempts.length) stagger = fork(staggered)",
      ""
    ]
  ],
  "AnyBroker.ts": [
    [
      "bootstrap-asked-once",
      "where all brokers that are known are gone nobody asks the bootstrap servers",
      "firstOf(attempts, isAnswering)",
      "firstOf(known.length > 0 ? known : attempts, isAnswering)"
    ],
    [
      "turns-by-chance",
      "where an answer has not helped, a broker may never be asked",
      "if (isTurning) others.sort((a, b) => (turns.get(a) ?? 0) - (turns.get(b) ?? 0))",
      ""
    ]
  ],
  "ListOffsets.ts": [
    [
      "time-before-all-is-the-end",
      "on an old broker a time before the first segment is the end of the log",
      'const at = answer?.spoken === 0 && position.at !== "earliest" ? "earliest" : "latest"',
      'const at = answer?.spoken === 0 && position.at === "earliest" ? "earliest" : "latest"'
    ],
    [
      "left-out-is-nothing",
      "a partition that the answer leaves out has no records",
      'found.set(key, Result.fail(incomplete(spoken, topic, partition, "the partition is left out")))',
      "found.set(key, Result.succeed([0]))"
    ]
  ],
  "ListOffsetsBatcher.ts": [
    [
      "isolation-of-the-first",
      "the end is told by the isolation of whoever asked first",
      "batch.isolation === question.isolation &&",
      ""
    ]
  ]
})
