/** Topics, listed and described. */
import * as Effect from "effect/Effect"
import * as Result from "effect/Result"
import type { Broker } from "../Broker.ts"
import * as ErrorCode from "../ErrorCode.ts"
import type * as KafkaError from "../KafkaError.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"
import * as Ask from "./Ask.ts"
import * as Check from "./Check.ts"
import * as Failure from "./Failure.ts"
import { fromZero } from "./Numbers.ts"
import * as Operations from "./Operations.ts"
import * as Plan from "./Plan.ts"

const code = ErrorCode.codes

/** A topic: by its name, or by its id (base64url), which means that topic and not another that has its name by now. */
export type TopicRef = string | { readonly id: string }

/** A topic as the list has it. */
export interface TopicListing {
  readonly name: string
  /** Base64url; undefined where brokers do not tell (before 2.8). */
  readonly id: string | undefined
  /** Kafka's own, such as `__consumer_offsets`. */
  readonly internal: boolean
  /** How many. */
  readonly partitions: number
  /** Replicas of the first partition. */
  readonly replicationFactor: number
}

/** A partition, as the broker that was asked knows it. */
export interface PartitionDescription {
  readonly partition: number
  /** Broker id; undefined while there is none. */
  readonly leader: number | undefined
  /** Undefined where brokers do not tell (before 2.1). */
  readonly leaderEpoch: number | undefined
  /** Broker ids; the first is the preferred leader, from 0.11 on: brokers before tell them in an order that says nothing. */
  readonly replicas: ReadonlyArray<number>
  /** Those in sync. */
  readonly isr: ReadonlyArray<number>
  /** Those that are not there just now; undefined where brokers do not tell (before 1.0). */
  readonly offline: ReadonlyArray<number> | undefined
}

/** A topic with its partitions. */
export interface TopicDescription {
  readonly name: string
  /** Base64url; undefined where brokers do not tell (before 2.8). */
  readonly id: string | undefined
  readonly internal: boolean
  /** By number: `partitions[3].partition === 3`. */
  readonly partitions: ReadonlyArray<PartitionDescription>
  /** What this client may do with it, where that was asked for and brokers tell (from 2.3 on). */
  readonly operations: ReadonlyArray<Operations.Operation> | undefined
}

export interface ListTopicsOptions extends Ask.Bounds {
  /** Kafka's own too. Default false. */
  readonly internal?: boolean | undefined
}

export interface DescribeTopicsOptions extends Ask.Bounds {
  /** Ask what this client may do with them. Default false. */
  readonly operations?: boolean | undefined
}

type MetadataResponse = typeof Metadata.Response.schema.Type
type MetadataTopic = MetadataResponse["topics"][number]

const noId = "AAAAAAAAAAAAAAAAAAAAAA"
export const idOf = (id: string): string | undefined => (id === noId || id === "" ? undefined : id)

/** Metadata of all topics, or of some: never creates them. */
const metadata = (
  broker: Broker,
  refs: ReadonlyArray<TopicRef> | null,
  operations = false
): Effect.Effect<MetadataResponse, KafkaError.KafkaError> =>
  Effect.gen(function* () {
    const byId = refs !== null && refs.some((ref) => typeof ref !== "string")
    const version = yield* broker.version(Metadata, byId ? { minVersion: 10 } : {})
    // Before v4 a broker creates what it is asked for; before v12 it cannot be asked by id: then all are asked for.
    const asked = version < 4 || (byId && version < 12) ? null : refs
    const response = yield* broker.send(Metadata, (version) => ({
      topics:
        asked === null
          ? version === 0
            ? []
            : null
          : asked.map((ref) => (typeof ref === "string" ? { name: ref } : { topicId: ref.id, name: null })),
      allowAutoTopicCreation: version < 4,
      ...(operations && version >= 8 ? { includeTopicAuthorizedOperations: true } : {})
    }))
    if (response.errorCode !== code.NONE) return yield* Failure.of(response.errorCode, null, { api: "Metadata" })
    return response
  })

const describe = (topic: MetadataTopic, operations: boolean): TopicDescription => ({
  name: topic.name!,
  id: idOf(topic.topicId),
  internal: topic.isInternal,
  partitions: Array.from(topic.partitions, (one) => ({
    partition: one.partitionIndex,
    leader: fromZero(one.leaderId),
    leaderEpoch: fromZero(one.leaderEpoch),
    replicas: one.replicaNodes,
    isr: one.isrNodes,
    offline: one.offlineReplicas
  })).sort((a, b) => a.partition - b.partition),
  operations: operations ? Operations.ofBits(topic.topicAuthorizedOperations) : undefined
})

export const list = (parts: Ask.Parts, options: ListTopicsOptions = {}) =>
  Ask.one(
    parts,
    "Metadata",
    Plan.any,
    (broker) =>
      Effect.map(metadata(broker, null), ({ topics }) =>
        topics
          .filter((topic) => topic.name !== null && (options.internal === true || !topic.isInternal))
          .map((topic): TopicListing => ({
            name: topic.name!,
            id: idOf(topic.topicId),
            internal: topic.isInternal,
            partitions: topic.partitions.length,
            replicationFactor: topic.partitions.find((one) => one.partitionIndex === 0)?.replicaNodes.length ?? 0
          }))
          .sort((a, b) => (a.name < b.name ? -1 : 1))
      ),
    options
  )

export const keyOf = (ref: TopicRef): string => (typeof ref === "string" ? ref : `id ${ref.id}`)
export const checkRef = (ref: TopicRef): ReadonlyArray<string> =>
  typeof ref === "string" ? Check.text("topic", ref) : Check.text("topic id", ref.id)

export const describeAll = (
  parts: Ask.Parts,
  refs: ReadonlyArray<TopicRef>,
  options: DescribeTopicsOptions = {}
): Ask.Answers<TopicDescription> => {
  const ask = (broker: Broker, batch: ReadonlyArray<TopicRef>) =>
    Effect.gen(function* () {
      const answers = new Map<string, Ask.Answer<TopicDescription>>()
      const response = yield* metadata(broker, batch, options.operations)
      const told = (yield* broker.version(Metadata)) >= 8 && options.operations === true
      for (const ref of batch) {
        const found = response.topics.find((topic) =>
          typeof ref === "string" ? topic.name === ref : topic.topicId === ref.id
        )
        const where = typeof ref === "string" ? { api: "Metadata", topic: ref } : { api: "Metadata" }
        const missing = typeof ref === "string" ? code.UNKNOWN_TOPIC_OR_PARTITION : code.UNKNOWN_TOPIC_ID
        const errorCode = found === undefined ? missing : found.errorCode
        answers.set(
          keyOf(ref),
          errorCode === code.NONE
            ? Result.succeed(describe(found!, told))
            : Result.fail(Failure.of(errorCode, null, where))
        )
      }
      return answers
    })
  // Ids and names are not asked for in one request.
  const question = { api: "Metadata", route: () => Plan.any, key: keyOf, check: checkRef, ask }
  return Ask.items(
    parts,
    {
      ...question,
      ask: (broker: Broker, batch: ReadonlyArray<TopicRef>) => {
        const named = batch.filter((ref) => typeof ref === "string")
        const ids = batch.filter((ref) => typeof ref !== "string")
        return Effect.map(
          Effect.all([
            named.length === 0 ? noAnswers : ask(broker, named),
            ids.length === 0 ? noAnswers : ask(broker, ids)
          ]),
          (both) => new Map(both.flatMap((each) => [...each]))
        )
      }
    },
    refs,
    options
  )
}

const noAnswers: Effect.Effect<ReadonlyMap<string, Ask.Answer<TopicDescription>>> = Effect.succeed(new Map())
