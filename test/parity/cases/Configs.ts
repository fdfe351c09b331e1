/** DescribeConfigs, AlterConfigs and IncrementalAlterConfigs. */
import { Effect } from "effect"
import * as AlterConfigs from "../../../src/protocol/messages/AlterConfigs.ts"
import * as DescribeConfigs from "../../../src/protocol/messages/DescribeConfigs.ts"
import * as IncrementalAlterConfigs from "../../../src/protocol/messages/IncrementalAlterConfigs.ts"
import type { Client } from "../Client.ts"
import { type Ask, type Case, type Topic, until } from "../Lab.ts"
import { controller } from "./Topics.ts"

const topicType = 2
const brokerType = 4
const operation = { set: 0, remove: 1, append: 2, subtract: 3 }

/** The settings that the embedded broker obeys. */
const obeyed = [
  "cleanup.policy",
  "max.message.bytes",
  "message.timestamp.type",
  "min.insync.replicas",
  "unclean.leader.election.enable"
]

const describe = (
  client: Client,
  version: number,
  type: number,
  name: string,
  keys: ReadonlyArray<string> | null,
  options: { readonly synonyms?: boolean; readonly documentation?: boolean } = {}
) =>
  Effect.map(
    client.send(DescribeConfigs, version, {
      resources: [{ resourceType: type, resourceName: name, configurationKeys: keys }],
      ...(version >= 1 ? { includeSynonyms: options.synonyms ?? false } : {}),
      ...(version >= 3 ? { includeDocumentation: options.documentation ?? false } : {})
    }),
    ({ results }) => ({
      ...results[0]!,
      configs: Array.from(results[0]!.configs).sort((a, b) => (a.name < b.name ? -1 : 1))
    })
  )

type Change = readonly [name: string, value: string | null]

const alter = (
  client: Client,
  version: number,
  type: number,
  name: string,
  changes: ReadonlyArray<Change>,
  validateOnly = false
) =>
  Effect.map(
    client.send(AlterConfigs, version, {
      resources: [
        { resourceType: type, resourceName: name, configs: changes.map(([name, value]) => ({ name, value })) }
      ],
      validateOnly
    }),
    ({ responses }) => responses
  )

const change = (
  client: Client,
  version: number,
  type: number,
  name: string,
  changes: ReadonlyArray<readonly [name: string, operation: number, value: string | null]>,
  validateOnly = false
) =>
  Effect.map(
    client.send(IncrementalAlterConfigs, version, {
      resources: [
        {
          resourceType: type,
          resourceName: name,
          configs: changes.map(([name, configOperation, value]) => ({ name, configOperation, value }))
        }
      ],
      validateOnly
    }),
    ({ responses }) => responses
  )

/** The settings of a topic that have a value of their own. */
const own = (ask: Ask, topic: Topic) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const { configs } = yield* describe(client, 1, topicType, topic.name, null)
    return configs.filter((each) => each.configSource === 1).map((each) => `${each.name}=${each.value}`)
  })

/** Waits until a topic's own settings are these. */
const awaitOwn = (ask: Ask, topic: Topic, expected: ReadonlyArray<string>) =>
  until(
    `the settings of ${topic.name} are ${expected.join()}`,
    own(ask, topic),
    (found) => found.join() === expected.join()
  )

const codeOf = (responses: ReadonlyArray<{ readonly errorCode: number; readonly errorMessage: string | null }>) =>
  responses.map((each) => [each.errorCode, each.errorMessage === null ? "no message" : "a message"])

export const cases: ReadonlyArray<Case> = [
  {
    api: "DescribeConfigs",
    behaviour: "of a topic: what was set and what was not, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("", {
          config: { "max.message.bytes": "4000", "cleanup.policy": "compact,delete" }
        })
        const client = yield* ask.broker()
        return yield* ask.atEach(DescribeConfigs, (version) =>
          Effect.gen(function* () {
            return {
              plain: yield* describe(client, version, topicType, topic.name, obeyed),
              synonyms: yield* describe(client, version, topicType, topic.name, ["max.message.bytes"], {
                synonyms: true
              }),
              documentation: yield* describe(client, version, topicType, topic.name, ["min.insync.replicas"], {
                documentation: true
              }),
              unknown: yield* describe(client, version, topicType, topic.name, ["no.such.setting"]),
              none: yield* describe(client, version, topicType, topic.name, [])
            }
          })
        )
      })
  },
  {
    api: "DescribeConfigs",
    behaviour: "every setting of a topic, with its default and type",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* ask.broker()
        const { configs } = yield* describe(client, 3, topicType, topic.name, null)
        // these the brokers of the tests were started with
        const started = new Set(["retention.ms", "segment.ms", "segment.index.bytes"])
        return configs.map((each) => [
          each.name,
          started.has(each.name) ? "…" : each.value,
          each.configType,
          each.isSensitive,
          each.readOnly
        ])
      })
  },
  {
    api: "DescribeConfigs",
    behaviour: "of a topic that is not there, and of names that are not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.broker()
        const out: { [name: string]: unknown } = {}
        for (const name of [`${ask.id}-absent`, "a b", ""])
          out[`"${name}"`] = yield* describe(client, 3, topicType, name, ["cleanup.policy"])
        return out
      })
  },
  {
    api: "DescribeConfigs",
    behaviour: "of a broker",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.broker()
        const keys = [
          "message.max.bytes",
          "num.partitions",
          "min.insync.replicas",
          "group.min.session.timeout.ms",
          "auto.create.topics.enable"
        ]
        return {
          own: yield* describe(client, 3, brokerType, "1", keys, { synonyms: true }),
          other: yield* describe(client, 3, brokerType, "2", keys),
          absent: yield* describe(client, 3, brokerType, "9", keys),
          "no number": yield* describe(client, 3, brokerType, "x", keys),
          all: yield* describe(client, 3, brokerType, "", keys)
        }
      })
  },
  {
    api: "DescribeConfigs",
    behaviour: "of what is neither topic nor broker",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.connect()
        const out: { [type: string]: unknown } = {}
        for (const type of [0, 1, 3, 99]) {
          const answer = yield* client.ask(DescribeConfigs, 2, {
            resources: [{ resourceType: type, resourceName: "x", configurationKeys: null }]
          })
          out[`type ${type}`] = answer === "closed" ? answer : answer.results
        }
        return out
      })
  },
  {
    api: "AlterConfigs",
    behaviour: "puts settings in the place of all that were, at each version",
    ask: (ask) =>
      ask.atEach(AlterConfigs, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`, { config: { "max.message.bytes": "4000" } })
          const client = yield* controller(ask)
          const validated = yield* alter(client, version, topicType, topic.name, [["min.insync.replicas", "2"]], true)
          const before = yield* own(ask, topic)
          const altered = yield* alter(client, version, topicType, topic.name, [["min.insync.replicas", "2"]])
          const after = yield* awaitOwn(ask, topic, ["min.insync.replicas=2"])
          const cleared = yield* alter(client, version, topicType, topic.name, [])
          return { validated, before, altered, after, cleared, then: yield* awaitOwn(ask, topic, []) }
        })
      )
  },
  {
    api: "AlterConfigs",
    behaviour: "of what is not there or not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* controller(ask)
        const of = (changes: ReadonlyArray<Change>, name = topic.name, type = topicType) =>
          Effect.map(alter(client, 1, type, name, changes), codeOf)
        return {
          absent: yield* of([["cleanup.policy", "compact"]], `${ask.id}-absent`),
          "unknown setting": yield* of([["no.such.setting", "1"]]),
          "illegal value": yield* of([["max.message.bytes", "many"]]),
          null: yield* of([["max.message.bytes", null]]),
          twice: yield* of([
            ["max.message.bytes", "1000"],
            ["max.message.bytes", "2000"]
          ]),
          "a setting of brokers": yield* of([["num.partitions", "3"]]),
          "no type": yield* of([], "x", 0),
          then: yield* own(ask, topic)
        }
      })
  },
  {
    api: "IncrementalAlterConfigs",
    behaviour: "sets, deletes, appends and subtracts, at each version",
    ask: (ask) =>
      ask.atEach(IncrementalAlterConfigs, (version) =>
        Effect.gen(function* () {
          const topic = yield* ask.topic(`-v${version}`, { config: { "max.message.bytes": "4000" } })
          const client = yield* controller(ask)
          const steps: Array<unknown> = []
          const step = (
            changes: ReadonlyArray<readonly [string, number, string | null]>,
            expected: ReadonlyArray<string>
          ) =>
            Effect.gen(function* () {
              const answer = yield* change(client, version, topicType, topic.name, changes)
              steps.push([codeOf(answer), yield* awaitOwn(ask, topic, expected)])
            })
          const size = "max.message.bytes=4000"
          yield* step([["min.insync.replicas", operation.set, "2"]], [size, "min.insync.replicas=2"])
          yield* step(
            [["cleanup.policy", operation.append, "compact"]],
            ["cleanup.policy=delete,compact", size, "min.insync.replicas=2"]
          )
          yield* step(
            [["cleanup.policy", operation.subtract, "delete"]],
            ["cleanup.policy=compact", size, "min.insync.replicas=2"]
          )
          yield* step([["min.insync.replicas", operation.remove, null]], ["cleanup.policy=compact", size])
          yield* step(
            [
              ["cleanup.policy", operation.remove, null],
              ["max.message.bytes", operation.set, "5000"]
            ],
            ["max.message.bytes=5000"]
          )
          const validated = yield* change(
            client,
            version,
            topicType,
            topic.name,
            [["max.message.bytes", operation.remove, null]],
            true
          )
          return { steps, validated, then: yield* own(ask, topic) }
        })
      )
  },
  {
    api: "IncrementalAlterConfigs",
    behaviour: "of what is not there or not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* controller(ask)
        const of = (changes: ReadonlyArray<readonly [string, number, string | null]>, name = topic.name) =>
          Effect.map(change(client, 1, topicType, name, changes), codeOf)
        return {
          absent: yield* of([["cleanup.policy", operation.set, "compact"]], `${ask.id}-absent`),
          "unknown setting": yield* of([["no.such.setting", operation.set, "1"]]),
          "unknown setting, deleted": yield* of([["no.such.setting", operation.remove, null]]),
          "illegal value": yield* of([["max.message.bytes", operation.set, "many"]]),
          "set to null": yield* of([["max.message.bytes", operation.set, null]]),
          "append null": yield* of([["cleanup.policy", operation.append, null]]),
          "append to what is no list": yield* of([["max.message.bytes", operation.append, "1"]]),
          "append what is not legal": yield* of([["cleanup.policy", operation.append, "keep"]]),
          "append what is there": yield* of([["cleanup.policy", operation.append, "delete"]]),
          "subtract what is not there": yield* of([["cleanup.policy", operation.subtract, "compact"]]),
          "no such operation": yield* of([["max.message.bytes", 7, "1"]]),
          twice: yield* of([
            ["max.message.bytes", operation.set, "1000"],
            ["max.message.bytes", operation.remove, null]
          ]),
          "delete what was not set": yield* of([["min.insync.replicas", operation.remove, null]])
        }
      })
  },
  {
    api: "IncrementalAlterConfigs",
    behaviour: "numbers at the least and the most that is taken, and beyond",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* controller(ask)
        const out: { [setting: string]: unknown } = {}
        for (const [name, values] of [
          ["segment.bytes", ["13", "14", "1048575", "1048576"]],
          ["segment.ms", ["0", "1"]],
          ["segment.index.bytes", ["3", "4"]],
          ["retention.ms", ["-2", "-1", "0"]],
          ["retention.bytes", ["-2", "-1"]],
          ["min.insync.replicas", ["0", "1"]],
          ["max.message.bytes", ["-1", "0", " 7 ", "1.5", "2147483647", "2147483648"]],
          ["file.delete.delay.ms", ["9223372036854775807", "9223372036854775808"]],
          ["flush.messages", ["0", "1"]],
          ["min.cleanable.dirty.ratio", ["-0.1", "1", "1.1"]]
        ] as const)
          for (const value of values)
            out[`${name}=${value}`] = codeOf(
              yield* change(client, 1, topicType, topic.name, [[name, operation.set, value]], true)
            )
        return out
      })
  },
  {
    api: "IncrementalAlterConfigs",
    behaviour: "of a broker, which topics follow",
    ask: (ask) =>
      Effect.gen(function* () {
        const topic = yield* ask.topic("")
        const client = yield* controller(ask)
        const keys = ["log.cleaner.delete.retention.ms"]
        const set = codeOf(yield* change(client, 1, brokerType, "", [[keys[0]!, operation.set, "123000"]]))
        const observer = yield* ask.broker()
        const all = yield* until(
          "it is told",
          describe(observer, 3, brokerType, "", keys),
          (result) => result.configs.length === 1
        )
        const ofTopic = yield* until(
          "the topic follows",
          describe(observer, 3, topicType, topic.name, ["delete.retention.ms"], { synonyms: true }),
          (result) => result.configs[0]?.value === "123000"
        )
        const removed = codeOf(yield* change(client, 1, brokerType, "", [[keys[0]!, operation.remove, null]]))
        const fixed = codeOf(yield* change(client, 1, brokerType, "", [["num.partitions", operation.set, "5"]]))
        const unknown = codeOf(
          yield* change(client, 1, brokerType, "", [["no.such.setting", operation.set, "5"]], true)
        )
        const absent = codeOf(yield* change(client, 1, brokerType, "99", [[keys[0]!, operation.set, "5"]], true))
        const noNumber = codeOf(yield* change(client, 1, brokerType, "x", [[keys[0]!, operation.set, "5"]], true))
        return { set, all, ofTopic, removed, fixed, unknown, absent, noNumber }
      })
  }
]
