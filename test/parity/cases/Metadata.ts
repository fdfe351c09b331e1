/** Metadata: topics by name and id, those that are not there, and those that are made by asking. */
import { Effect } from "effect"
import * as DeleteTopics from "../../../src/protocol/messages/DeleteTopics.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import { zeroId } from "../../../src/testing/embedded/Runtime.ts"
import { type Ask, type Case, until } from "../Lab.ts"

type Response = (typeof Metadata.Response.schema)["Type"]

/** Without the cluster's brokers, which each case would repeat. */
const topicsOf = ({ errorCode, topics }: Response) => ({ errorCode, topics })

const both = [
  [1, 2],
  [2, 1]
]

/** The controller of a KRaft cluster is any broker. */
const clusterOf = ({ brokers, clusterId, clusterAuthorizedOperations, controllerId }: Response) => ({
  brokers: Array.from(brokers, ({ nodeId, rack }) => ({ nodeId, rack })).sort((a, b) => a.nodeId - b.nodeId),
  controller: controllerId > 0 ? "a broker" : controllerId,
  clusterId,
  clusterAuthorizedOperations
})

const named = (ask: Ask, version: number, name: string, allow = false) =>
  Effect.flatMap(ask.broker(), (client) =>
    client.send(Metadata, version, {
      topics: [{ name }],
      ...(version >= 4 ? { allowAutoTopicCreation: allow } : {})
    })
  )

export const cases: ReadonlyArray<Case> = [
  {
    api: "Metadata",
    behaviour: "of a topic, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: both })
        return yield* ask.atEach(Metadata, (version) => Effect.map(named(ask, version, topic.name), topicsOf))
      })
  },
  {
    api: "Metadata",
    behaviour: "of the cluster alone: an empty list from v1 on",
    ask: (ask) =>
      ask.atEach(
        Metadata,
        (version) =>
          Effect.gen(function* () {
            const client = yield* ask.broker()
            const response = yield* client.send(Metadata, version, { topics: [] })
            return { ...clusterOf(response), topics: response.topics.length }
          }),
        (version) => version >= 1
      )
  },
  {
    api: "Metadata",
    behaviour: "of all topics: null from v1 on, an empty list in v0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const other = yield* ask.topic("-2")
        return yield* ask.atEach(Metadata, (version) =>
          Effect.gen(function* () {
            const client = yield* ask.broker()
            const { topics } = yield* client.send(Metadata, version, { topics: version === 0 ? [] : null })
            return topics
              .filter((each) => each.name === topic.name || each.name === other.name)
              .map((each) => [each.name, each.errorCode, each.partitions.length])
              .sort()
          })
        )
      })
  },
  {
    api: "Metadata",
    behaviour: "of a topic that is not there and must not be created",
    ask: (ask) =>
      ask.atEach(
        Metadata,
        (version) => Effect.map(named(ask, version, `${ask.id}-absent`), topicsOf),
        (version) => version >= 4
      )
  },
  {
    api: "Metadata",
    behaviour: "creates a topic by asking: first it is not there yet",
    ask: (ask) =>
      ask.atEach(Metadata, (version) =>
        Effect.gen(function* () {
          const name = `${ask.id}-v${version}`
          const first = yield* named(ask, version, name, true)
          const then = yield* until(
            "it is there",
            named(ask, version, name, true),
            ({ topics }) => topics[0]!.errorCode === 0 && topics[0]!.partitions.every((each) => each.leaderId > 0)
          )
          const { errorCode, isInternal, partitions } = then.topics[0]!
          return { first: topicsOf(first), then: { errorCode, isInternal, partitions: partitions.length } }
        })
      )
  },
  {
    api: "Metadata",
    behaviour: "does not create a topic of a name that is not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const answers: { [name: string]: unknown } = {}
        for (const name of ["a b", "", ".", "..", "a/b", "ä", "x".repeat(249), "x".repeat(250)]) {
          const label = name.length > 20 ? `${name.length} letters` : `"${name}"`
          const code = (allow: boolean) =>
            Effect.map(named(ask, 8, name, allow), ({ topics }) =>
              topics.map((each) => [each.errorCode, each.partitions.length])
            )
          answers[label] = { refused: yield* code(false), allowed: yield* code(true) }
        }
        return answers
      })
  },
  {
    api: "Metadata",
    behaviour: "of a name that is not legal, at each version",
    ask: (ask) => ask.atEach(Metadata, (version) => Effect.map(named(ask, version, "a b", true), topicsOf))
  },
  {
    api: "Metadata",
    behaviour: "by id",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: both })
        return yield* ask.atEach(
          Metadata,
          (version) =>
            Effect.gen(function* () {
              const client = yield* ask.broker()
              const by = (topicId: string, name: string | null = null) =>
                Effect.map(
                  client.ask(Metadata, version, { topics: [{ topicId, name }], allowAutoTopicCreation: false }),
                  (answer) => (answer === "closed" ? answer : topicsOf(answer))
                )
              return {
                known: yield* by(topic.id),
                unknown: yield* by("AAAAAAAAAAAAAAAAAAAAAQ"),
                both: yield* by(topic.id, topic.name)
              }
            }),
          (version) => version >= 12
        )
      })
  },
  {
    api: "Metadata",
    behaviour: "by id before v12, and of no name and no id",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const answers: Array<unknown> = []
        for (const [version, topicId] of [
          [10, topic.id],
          [11, topic.id],
          [ask.newest(Metadata), zeroId]
        ] as const) {
          const client = yield* ask.connect()
          const answer = yield* client.ask(Metadata, version, { topics: [{ topicId, name: null }] })
          answers.push(answer === "closed" ? answer : topicsOf(answer))
        }
        return answers
      })
  },
  {
    api: "Metadata",
    behaviour: "of some that are there and some that are not, and of one twice",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const { topics } = yield* client.send(Metadata, 8, {
          topics: [{ name: `${ask.id}-absent` }, { name: topic.name }, { name: "a b" }, { name: topic.name }],
          allowAutoTopicCreation: false
        })
        return topics.map((each) => [each.name, each.errorCode]).sort()
      })
  },
  {
    api: "Metadata",
    behaviour: "tells the operations that are allowed, where they are asked for",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        return yield* ask.atEach(
          Metadata,
          (version) =>
            Effect.gen(function* () {
              const client = yield* ask.broker()
              const response = yield* client.send(Metadata, version, {
                topics: [{ name: topic.name }],
                allowAutoTopicCreation: false,
                includeTopicAuthorizedOperations: true,
                ...(version <= 10 ? { includeClusterAuthorizedOperations: true } : {})
              })
              return [response.clusterAuthorizedOperations, response.topics[0]!.topicAuthorizedOperations]
            }),
          (version) => version >= 8
        )
      })
  },
  {
    api: "Metadata",
    behaviour: "of a topic that was deleted",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        for (const id of [1, 2]) {
          const client = yield* ask.broker(id)
          yield* client.send(DeleteTopics, 4, { topicNames: [topic.name], timeoutMs: 10_000 })
        }
        const gone = yield* until("it is gone", named(ask, 8, topic.name), ({ topics }) => topics[0]!.errorCode !== 0)
        return topicsOf(gone)
      })
  },
  {
    api: "Metadata",
    behaviour: "tells a leader's epoch, which grows with each change",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", { replicas: [[1, 2]] })
        const epoch = Effect.map(named(ask, 9, topic.name), ({ topics }) => topics[0]!.partitions[0]!)
        const before = yield* epoch
        yield* ask.moveLeader(topic.name, 0, 2)
        const after = yield* epoch
        return {
          before: before.leaderEpoch,
          leader: after.leaderId,
          isr: Array.from(after.isrNodes).sort(),
          grew: after.leaderEpoch > before.leaderEpoch
        }
      })
  }
]
