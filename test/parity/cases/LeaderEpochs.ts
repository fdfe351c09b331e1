/** OffsetForLeaderEpoch: where an epoch ended. */
import { Effect } from "effect"
import * as OffsetForLeaderEpoch from "../../../src/protocol/messages/OffsetForLeaderEpoch.ts"
import type { Ask, Case } from "../Lab.ts"
import { batch } from "../Records.ts"
import { produce } from "./Fetch.ts"

const end = (
  ask: Ask,
  version: number,
  topic: string,
  leaderEpoch: number,
  options: { readonly partition?: number; readonly current?: number; readonly broker?: number } = {}
) =>
  Effect.gen(function* () {
    const client = yield* ask.broker(options.broker)
    const { topics } = yield* client.send(OffsetForLeaderEpoch, version, {
      ...(version >= 3 ? { replicaId: -1 } : {}),
      topics: [
        {
          topic,
          partitions: [
            {
              partition: options.partition ?? 0,
              leaderEpoch,
              ...(version >= 2 ? { currentLeaderEpoch: options.current ?? -1 } : {})
            }
          ]
        }
      ]
    })
    return topics
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "OffsetForLeaderEpoch",
    behaviour: "of the only epoch, one that is not yet, and none, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const empty = yield* ask.topic("-empty")
        yield* produce(ask, topic, batch(["a", "b"]))
        return yield* ask.atEach(OffsetForLeaderEpoch, (version) =>
          Effect.gen(function* () {
            return {
              current: yield* end(ask, version, topic.name, 0),
              later: yield* end(ask, version, topic.name, 5),
              none: yield* end(ask, version, topic.name, -1),
              empty: yield* end(ask, version, empty.name, 0)
            }
          })
        )
      })
  },
  {
    api: "OffsetForLeaderEpoch",
    behaviour: "of epochs that ended",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a", "b"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        yield* produce(ask, topic, batch(["c"]))
        const first = (yield* end(ask, 3, topic.name, 0))[0]!.partitions[0]!
        const between = (yield* end(ask, 3, topic.name, 1))[0]!.partitions[0]!
        return { first, between: { errorCode: between.errorCode, endOffset: between.endOffset } }
      })
  },
  {
    api: "OffsetForLeaderEpoch",
    behaviour: "with a current epoch that is old or not yet known",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        yield* produce(ask, topic, batch(["a"]))
        yield* ask.moveLeader(topic.name, 0, 2)
        yield* ask.moveLeader(topic.name, 0, 1)
        return yield* ask.atEach(
          OffsetForLeaderEpoch,
          (version) =>
            Effect.gen(function* () {
              return {
                old: yield* end(ask, version, topic.name, 0, { current: 0 }),
                unknown: yield* end(ask, version, topic.name, 0, { current: 1000 })
              }
            }),
          (version) => version >= 2
        )
      })
  },
  {
    api: "OffsetForLeaderEpoch",
    behaviour: "of a topic or partition that is not there, and of a broker that does not lead",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        return yield* ask.atEach(OffsetForLeaderEpoch, (version) =>
          Effect.gen(function* () {
            return {
              topic: yield* end(ask, version, `${ask.id}-absent`, 0),
              partition: yield* end(ask, version, topic.name, 0, { partition: 3 }),
              leader: yield* end(ask, version, topic.name, 0, { broker: 2 })
            }
          })
        )
      })
  }
]
