/**
 * Where cases are asked: a cluster of two brokers of a release of Apache Kafka, real or embedded. Two Layers give a `Lab`,
 * `Embedded.layer` and `Real.layer`; everything else here is the same for both.
 */
import { Context, Effect, Schedule } from "effect"
import type { Scope } from "effect"
import type { KafkaError } from "../../src/KafkaError.ts"
import type * as Network from "../../src/Network.ts"
import * as ApiVersions from "../../src/protocol/messages/ApiVersions.ts"
import * as CreateTopics from "../../src/protocol/messages/CreateTopics.ts"
import * as FindCoordinator from "../../src/protocol/messages/FindCoordinator.ts"
import * as ListOffsets from "../../src/protocol/messages/ListOffsets.ts"
import * as Metadata from "../../src/protocol/messages/Metadata.ts"
import * as Answers from "./Answer.ts"
import * as Client from "./Client.ts"

export const releases = ["2.8.2", "3.9.2", "4.0.2", "4.4.0"] as const
export type Release = (typeof releases)[number]

export type Listener = "PLAINTEXT" | "SASL_PLAINTEXT"
export const brokers = [1, 2] as const

/** What the two kinds of cluster do differently. */
export class Lab extends Context.Service<
  Lab,
  {
    readonly release: Release
    readonly connect: (
      broker: number,
      listener: Listener,
      handler: Network.Handler
    ) => Effect.Effect<Network.Connection, KafkaError, Scope.Scope>
    /** Sees to it that one broker coordinates every group, or transactional id (type 1), as one partition of its topic does. */
    readonly gather: (key: string, type: number) => Effect.Effect<void, KafkaError>
    /** Makes a replica the leader; who asks waits until the brokers know. */
    readonly moveLeader: (
      ask: Ask,
      topic: string,
      partition: number,
      to: number
    ) => Effect.Effect<void, Failure, Scope.Scope>
    /** A transaction of one batch with these values: left open, or ended. */
    readonly transaction: (
      ask: Ask,
      topic: string,
      values: ReadonlyArray<string>,
      end: "open" | "commit" | "abort"
    ) => Effect.Effect<void, Failure, Scope.Scope>
  }
>()("samsa/test/parity/Lab") {}

export type Failure = KafkaError | Client.Silent

export interface Topic {
  readonly name: string
  readonly id: string
}

export interface TopicOptions {
  /** The replicas of each partition. Default: one partition, on broker 1. */
  readonly replicas?: ReadonlyArray<ReadonlyArray<number>>
  readonly config?: { readonly [name: string]: string }
}

/** Answers that are told apart by the version of the request. */
export class ByVersion {
  readonly answers: ReadonlyArray<readonly [version: number, value: unknown]>
  constructor(answers: ReadonlyArray<readonly [version: number, value: unknown]>) {
    this.answers = answers
  }
}

/** What a case asks with. All that it opens ends with the case. */
export interface Ask {
  /** The case's own: what it names begins with it. */
  readonly id: string
  readonly release: Release
  /** The versions that the broker lists and that we know. */
  readonly versions: (api: Client.Api<any, any>) => ReadonlyArray<number>
  readonly newest: (api: Client.Api<any, any>) => number
  /** The case's connection to a broker. */
  readonly broker: (id?: number) => Effect.Effect<Client.Client, Failure, Scope.Scope>
  /** A connection of its own. */
  readonly connect: (options?: {
    readonly broker?: number
    readonly listener?: Listener
    readonly clientId?: string
  }) => Effect.Effect<Client.Client, Failure, Scope.Scope>
  /** A connection of its own to the coordinator of a group, which serves it. */
  readonly coordinator: (group: string) => Effect.Effect<Client.Client, Failure, Scope.Scope>
  /** Which broker coordinates a group, or a transactional id (type 1). */
  readonly coordinatorOf: (key: string, type?: number) => Effect.Effect<number, Failure, Scope.Scope>
  /** Creates a topic `id`, or `id` with the suffix, and waits until every broker knows its leaders, and they lead. */
  readonly topic: (suffix?: string, options?: TopicOptions) => Effect.Effect<Topic, Failure, Scope.Scope>
  /** The same at each version that is served, or at those of a filter. */
  readonly atEach: <E>(
    api: Client.Api<any, any>,
    f: (version: number) => Effect.Effect<unknown, E, Scope.Scope>,
    filter?: (version: number) => boolean
  ) => Effect.Effect<ByVersion, E, Scope.Scope>
  readonly moveLeader: (topic: string, partition: number, to: number) => Effect.Effect<void, Failure, Scope.Scope>
  readonly transaction: (
    topic: string,
    values: ReadonlyArray<string>,
    end: "open" | "commit" | "abort"
  ) => Effect.Effect<void, Failure, Scope.Scope>
}

/** One behaviour of one API, asked of a broker: what it answers is compared. */
export interface Case {
  readonly api: string
  readonly behaviour: string
  /** Default: all but those of which little is asked. */
  readonly only?: Release | ReadonlyArray<Release>
  readonly ask: (ask: Ask) => Effect.Effect<unknown, Failure, Scope.Scope>
}

export const nameOf = ({ api, behaviour }: Case): string => `${api}: ${behaviour}`

export const forRelease = (cases: ReadonlyArray<Case>, release: Release): ReadonlyArray<Case> =>
  cases.filter(({ only }) =>
    typeof only === "object" ? only.includes(release) : (only ?? release) === release && !few.has(release)
  )

/** Of these only what is said to be for them is asked: groups of the consumer protocol, which came with them. */
export const few: ReadonlySet<Release> = new Set(["3.9.2", "4.0.2"])

/** Asks again and again until it holds. */
export const until = <A, E, R>(
  what: string,
  effect: Effect.Effect<A, E, R>,
  holds: (value: A) => boolean
): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    let last: A | undefined
    return Effect.flatMap(effect, (value) => {
      last = value
      return holds(value) ? Effect.succeed(value) : Effect.fail(again)
    }).pipe(
      Effect.retry({ schedule: Schedule.spaced("15 millis"), times: 1200, while: (error) => error === again }),
      Effect.catchIf(
        (error): error is typeof again => error === again,
        () => Effect.die(new Error(`not so in the end: ${what}; it was ${JSON.stringify(last)}`))
      )
    )
  })
const again = { _tag: "Again" } as const

const clientId = "parity"
const notController = 41
const slug = (name: string) => name.toLowerCase().replaceAll(/[^a-z0-9]+/g, "-")

const atMost = (api: Client.Api<any, any>, [from, to]: readonly [number, number]) => {
  const [ours, newest] = api.Request.stable
  const out: Array<number> = []
  for (let version = Math.max(from, ours); version <= Math.min(to, newest); version++) out.push(version)
  return out
}

/** Asks a case, and gives what was answered, and the bytes of it. */
export const ask = (
  one: Case,
  /** Asked again, it has topics and groups of other names. */
  attempt = 0
): Effect.Effect<{ readonly answer: Answers.Answer; readonly transcript: Client.Transcript }, Failure, Lab> =>
  Effect.gen(function* () {
    const lab = yield* Lab
    const { release } = lab
    const id = attempt === 0 ? slug(nameOf(one)) : `${slug(nameOf(one))}-${attempt}`
    const transcript: Client.Transcript = []
    const shared = new Map<number, Client.Client>()

    const connect: Ask["connect"] = (options = {}) =>
      Client.connect((handler) => lab.connect(options.broker ?? 1, options.listener ?? "PLAINTEXT", handler), {
        clientId: options.clientId ?? clientId,
        transcript
      })
    const broker: Ask["broker"] = (broker = 1) =>
      Effect.suspend(() => {
        const known = shared.get(broker)
        if (known !== undefined && !known.isClosed()) return Effect.succeed(known)
        return Effect.tap(connect({ broker }), (client) => Effect.sync(() => shared.set(broker, client)))
      })
    const listed = yield* Effect.map(
      Effect.scoped(Effect.flatMap(connect(), (client) => client.send(ApiVersions, 0, {}))),
      (response) => new Map(response.apiKeys.map((each) => [each.apiKey, [each.minVersion, each.maxVersion] as const]))
    )
    const versions = (api: Client.Api<any, any>) => atMost(api, listed.get(api.Request.key) ?? [0, -1])
    transcript.length = 0

    const coordinatorOf: Ask["coordinatorOf"] = (key, type = 0) =>
      Effect.gen(function* () {
        yield* lab.gather(key, type)
        const found = yield* until(
          `a coordinator of ${key}`,
          Effect.flatMap(broker(), (client) => client.send(FindCoordinator, 1, { key, keyType: type })),
          (response) => response.errorCode === 0
        )
        return found.nodeId
      })

    const created = (name: string, { config = {}, replicas = [[1]] }: TopicOptions) =>
      Effect.gen(function* () {
        for (const id of brokers) {
          const client = yield* broker(id)
          const { topics } = yield* client.send(CreateTopics, 7, {
            timeoutMs: 15_000,
            topics: [
              {
                name,
                numPartitions: -1,
                replicationFactor: -1,
                assignments: replicas.map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds })),
                configs: Object.entries(config).map(([name, value]) => ({ name, value }))
              }
            ]
          })
          const { errorCode, errorMessage, topicId } = topics[0]!
          if (errorCode === 0) return topicId
          if (errorCode !== notController)
            return yield* Effect.die(new Error(`${name} was not created: ${errorCode} ${errorMessage}`))
        }
        return yield* Effect.die(new Error("no broker is the controller"))
      })

    const self: Ask = {
      id,
      release,
      versions,
      newest: (api) => Math.max(...versions(api)),
      broker,
      connect,
      coordinatorOf,
      coordinator: (group) =>
        Effect.gen(function* () {
          const client = yield* connect({ broker: yield* coordinatorOf(group) })
          return client
        }),
      topic: (suffix = "", options = {}) =>
        Effect.gen(function* () {
          const name = `${id}${suffix}`
          const topicId = yield* created(name, options)
          yield* awaitLeaders(self, name, options.replicas ?? [[1]])
          return { name, id: topicId }
        }),
      atEach: (api, f, filter = () => true) =>
        Effect.map(
          Effect.forEach(versions(api).filter(filter), (version) =>
            Effect.map(f(version), (value) => [version, value] as const)
          ),
          (answers) => new ByVersion(answers)
        ),
      moveLeader: (topic, partition, to) => lab.moveLeader(self, topic, partition, to),
      transaction: (topic, values, end) => lab.transaction(self, topic, values, end)
    }
    const value = yield* Effect.scoped(one.ask(self))
    return { answer: toAnswer(value, id), transcript }
  })

/** Waits until every broker knows the leaders, and they lead. */
export const awaitLeaders = (
  ask: Ask,
  name: string,
  replicas: ReadonlyArray<ReadonlyArray<number>>
): Effect.Effect<void, Failure, Scope.Scope> =>
  Effect.gen(function* () {
    for (const id of brokers) {
      const client = yield* ask.broker(id)
      yield* until(
        `${name} is known to broker ${id}`,
        client.send(Metadata, 9, { topics: [{ name }], allowAutoTopicCreation: false }),
        ({ topics }) =>
          topics[0]!.errorCode === 0 &&
          topics[0]!.partitions.length === replicas.length &&
          topics[0]!.partitions.every((each) => each.leaderId === replicas[each.partitionIndex]![0])
      )
    }
    for (const [partitionIndex, nodes] of replicas.entries()) {
      const client = yield* ask.broker(nodes[0]!)
      yield* until(
        `${name}-${partitionIndex} is led by ${nodes[0]!}`,
        client.send(ListOffsets, 4, {
          replicaId: -1,
          topics: [{ name, partitions: [{ partitionIndex, timestamp: -2 }] }]
        }),
        ({ topics }) => topics[0]!.partitions[0]!.errorCode === 0
      )
    }
  })

/** Names of the case as `@`, so that they read well, and the suffix of a version as nothing. */
const toAnswer = (value: unknown, id: string): Answers.Answer => {
  const shared = Answers.normaliser()
  const short = (answer: Answers.Answer, version?: number): Answers.Answer => {
    if (typeof answer === "string") {
      const own = answer.startsWith(id) ? `@${answer.slice(id.length)}` : answer
      return version !== undefined && own.endsWith(`-v${version}`) ? own.slice(0, -`-v${version}`.length) : own
    }
    if (Array.isArray(answer)) return answer.map((each) => short(each, version))
    if (answer !== null && typeof answer === "object")
      return Object.fromEntries(
        Object.entries(answer).map(([name, inner]) => [short(name, version) as string, short(inner, version)])
      )
    return answer
  }
  const convert = (value: unknown): Answers.Answer =>
    value instanceof ByVersion
      ? Answers.byVersion(
          value.answers.map(([version, each]) => [version, short(Answers.normaliser()(each), version)] as const)
        )
      : Array.isArray(value) && value.some((each) => each instanceof ByVersion)
        ? value.map(convert)
        : isPlain(value) && Object.values(value).some((each) => each instanceof ByVersion)
          ? Object.fromEntries(Object.entries(value).map(([name, each]) => [name, convert(each)]))
          : short(shared(value))
  return convert(value)
}

const isPlain = (value: unknown): value is { readonly [name: string]: unknown } =>
  typeof value === "object" && value !== null && Object.getPrototypeOf(value) === Object.prototype
