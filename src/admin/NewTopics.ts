/** Topics created and deleted, and given more partitions. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import * as ErrorCode from "../ErrorCode.ts"
import { formatAddress } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"
import * as CreatePartitions from "../protocol/messages/CreatePartitions.ts"
import * as CreateTopics from "../protocol/messages/CreateTopics.ts"
import * as DeleteTopics from "../protocol/messages/DeleteTopics.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as ConfigWords from "./ConfigWords.ts"
import type { ConfigEntry } from "./ConfigWords.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Plan from "./Plan.ts"
import * as Topics from "./Topics.ts"

const code = ErrorCode.codes

/** A topic to be made. */
export interface NewTopic {
  readonly name: string
  /** How many. Default: the broker's setting `num.partitions` (from 2.4 on; older ones have to be told). */
  readonly partitions?: number | undefined
  /** How many replicas a partition has. Default: the broker's setting `default.replication.factor` (from 2.4 on). */
  readonly replicationFactor?: number | undefined
  /** The brokers of each partition, the preferred leader first; in place of the two numbers. */
  readonly assignments?: ReadonlyArray<ReadonlyArray<number>> | undefined
  /** Settings, such as `{ "cleanup.policy": "compact" }`. */
  readonly config?: { readonly [name: string]: string | number | boolean } | undefined
}

/** A topic that was made, as far as brokers tell. */
export interface CreatedTopic {
  readonly name: string
  /** From 2.8 on. */
  readonly id: string | undefined
  /** How many; from 2.4 on. */
  readonly partitions: number | undefined
  /** From 2.4 on. */
  readonly replicationFactor: number | undefined
  /** All of its settings; from 2.4 on, where this client may see them. */
  readonly config: ReadonlyArray<ConfigEntry> | undefined
}

/** How many partitions a topic is to have. */
export interface NewPartitions {
  readonly topic: string
  /** In all, not how many more. */
  readonly count: number
  /** The brokers of each new partition, the preferred leader first. Default: chosen by the controller. */
  readonly assignments?: ReadonlyArray<ReadonlyArray<number>> | undefined
}

/** Bounds, and whether anything is done. */
export interface ChangeOptions extends Ask.Bounds {
  /** Ask whether it could be done, and do nothing. Default false. */
  readonly validateOnly?: boolean | undefined
}

export const checkNew = ({
  assignments,
  config,
  name,
  partitions,
  replicationFactor
}: NewTopic): ReadonlyArray<string> => [
  ...Check.text("name", name),
  ...Check.settings("config", config),
  ...(partitions === undefined ? [] : Check.int32(`partitions of "${name}"`, partitions, 1)),
  ...(replicationFactor === undefined ? [] : Check.int16(`replicationFactor of "${name}"`, replicationFactor, 1)),
  ...(assignments !== undefined && (partitions !== undefined || replicationFactor !== undefined)
    ? [`"${name}": assignments say how many partitions and replicas there are, so the numbers have to be left out`]
    : []),
  ...(assignments?.length === 0 ? [`"${name}": assignments must have a partition`] : []),
  ...(assignments?.flatMap((ids, i) => Check.replicas(`assignments[${i}] of "${name}"`, ids)) ?? [])
]

/** From this version on a broker takes -1 for its defaults (KIP-464). */
const defaultsFrom = 4

export const create = (
  parts: Ask.Parts,
  topics: ReadonlyArray<NewTopic>,
  options: ChangeOptions = {}
): Ask.Answers<CreatedTopic> =>
  Ask.items(
    parts,
    {
      api: "CreateTopics",
      inOrder: true,
      route: () => Plan.controller,
      key: ({ name }) => name,
      check: checkNew,
      doubtful: [code.TOPIC_ALREADY_EXISTS],
      ask: (broker, batch, millis) =>
        Effect.gen(function* () {
          const answers = new Map<string, Ask.Answer<CreatedTopic>>()
          const minVersion = options.validateOnly === true ? 1 : 0
          const version = yield* broker.version(CreateTopics, { minVersion })
          const sent = batch.filter((topic) => {
            const whole =
              topic.assignments !== undefined ||
              (topic.partitions !== undefined && topic.replicationFactor !== undefined)
            if (whole || version >= defaultsFrom) return true
            answers.set(topic.name, Result.fail(noDefaults(topic.name, version, formatAddress(broker))))
            return false
          })
          if (sent.length === 0) return answers
          const response = yield* broker.send(
            CreateTopics,
            () => ({
              topics: sent.map(({ assignments, config, name, partitions, replicationFactor }) => ({
                name,
                numPartitions: partitions ?? -1,
                replicationFactor: replicationFactor ?? -1,
                assignments: (assignments ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
                configs: Object.entries(config ?? {}).map(([name, value]) => ({ name, value: String(value) }))
              })),
              timeoutMs: Math.ceil(millis),
              ...(options.validateOnly === true ? { validateOnly: true } : {})
            }),
            { minVersion, held: millis }
          )
          for (const one of response.topics)
            answers.set(
              one.name,
              one.errorCode === code.NONE
                ? Result.succeed({
                    name: one.name,
                    id: Topics.idOf(one.topicId),
                    partitions: fromZero(one.numPartitions),
                    replicationFactor: fromZero(one.replicationFactor),
                    config:
                      version < 5 || one.configs === null || one.topicConfigErrorCode !== code.NONE
                        ? undefined
                        : one.configs.map((entry) => ConfigWords.entry(entry))
                  })
                : Result.fail(Failure.of(one.errorCode, one.errorMessage, { api: "CreateTopics", topic: one.name }))
            )
          return answers
        })
    },
    topics,
    options
  )

const noDefaults = (topic: string, version: number, broker: string): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "Unsupported",
    api: "CreateTopics",
    topic,
    broker,
    needed: `a broker with defaults for partitions and replicationFactor (CreateTopics v${defaultsFrom}), or both of them`,
    ours: "v0-7",
    theirs: `v${version} at the most`
  })

export const deleteAll = (
  parts: Ask.Parts,
  refs: ReadonlyArray<Topics.TopicRef>,
  options: Ask.Bounds = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "DeleteTopics",
      route: () => Plan.controller,
      key: Topics.keyOf,
      check: Topics.checkRef,
      doubtful: [code.UNKNOWN_TOPIC_OR_PARTITION, code.UNKNOWN_TOPIC_ID],
      ask: (broker, batch, millis) =>
        Effect.gen(function* () {
          const byId = batch.some((ref) => typeof ref !== "string")
          const response = yield* broker.send(
            DeleteTopics,
            (version) => ({
              ...(version >= 6
                ? { topics: batch.map((ref) => (typeof ref === "string" ? { name: ref } : { topicId: ref.id })) }
                : { topicNames: batch.filter((ref) => typeof ref === "string") }),
              timeoutMs: Math.ceil(millis)
            }),
            { held: millis, ...(byId ? { minVersion: 6 } : {}) }
          )
          const answers = new Map<string, Ask.Answer<void>>()
          for (const { errorCode, errorMessage, name, topicId } of response.responses) {
            const answer =
              errorCode === code.NONE
                ? Result.void
                : Result.fail(
                    Failure.of(errorCode, errorMessage, {
                      api: "DeleteTopics",
                      ...(name === null ? {} : { topic: name })
                    })
                  )
            if (name !== null) answers.set(name, answer)
            answers.set(`id ${topicId}`, answer)
          }
          return answers
        })
    },
    refs,
    options
  )

export const checkGrowth = ({ assignments, count, topic }: NewPartitions): ReadonlyArray<string> => [
  ...Check.text("topic", topic),
  ...Check.int32(`count of "${topic}"`, count, 1),
  ...(assignments?.flatMap((ids, i) => Check.replicas(`assignments[${i}] of "${topic}"`, ids)) ?? [])
]

export const addPartitions = (
  parts: Ask.Parts,
  topics: ReadonlyArray<NewPartitions>,
  options: ChangeOptions = {}
): Ask.Answers<void> =>
  Ask.items(
    parts,
    {
      api: "CreatePartitions",
      inOrder: true,
      route: () => Plan.controller,
      key: ({ topic }) => topic,
      check: checkGrowth,
      // The topic has as many already.
      doubtful: [code.INVALID_PARTITIONS],
      ask: (broker, batch, millis) =>
        Effect.map(
          broker.send(
            CreatePartitions,
            () => ({
              topics: batch.map(({ assignments, count, topic }) => ({
                name: topic,
                count,
                assignments: assignments?.map((brokerIds) => ({ brokerIds })) ?? null
              })),
              timeoutMs: Math.ceil(millis),
              validateOnly: options.validateOnly === true
            }),
            { held: millis }
          ),
          ({ results }) =>
            new Map(
              results.map(({ errorCode, errorMessage, name }) => [
                name,
                errorCode === code.NONE
                  ? Result.void
                  : Result.fail(Failure.of(errorCode, errorMessage, { api: "CreatePartitions", topic: name }))
              ])
            )
        )
    },
    topics,
    options
  )
