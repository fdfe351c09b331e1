/**
 * Finds faults by itself: from a seed follows a script of what a cluster, its network, and the producers and consumers of
 * several processes go through; it is run on the embedded cluster, in a time of its own, and judged by the oracle. A script
 * is plain data: it can be printed, read, changed, run again to the same end, and made shorter as long as it fails.
 *
 * ```ts
 * import { Effect } from "effect"
 * import { Simulation } from "samsa/testing"
 *
 * export const program = Effect.gen(function*() {
 *   const script = Simulation.script(7)
 *   const { problems } = yield* Simulation.run(script)
 *   if (problems.length === 0) return "all is well"
 *   return Simulation.print(yield* Simulation.shrink(script, problems[0]!))
 * })
 * ```
 *
 * @since 0.1.0
 */
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Schema from "effect/Schema"
import type * as Scope from "effect/Scope"
import type { Kafka } from "../Kafka.ts"
import * as KafkaError from "../KafkaError.ts"
import type * as Topic from "../Topic.ts"
import type { EmbeddedKafka } from "./EmbeddedKafka.ts"
import type { Oracle } from "./Oracle.ts"
import * as Grammar from "./simulation/Grammar.ts"
import * as Runner from "./simulation/Runner.ts"
import type * as Script_ from "./simulation/Script.ts"
import * as Shrink from "./simulation/Shrink.ts"
import * as Text from "./simulation/Text.ts"

/**
 * What happens in a simulation: a cluster, topics, processes with producers and consumers, and steps, each at its time in
 * milliseconds. A step stands for itself: any of them may be left out.
 *
 * @since 0.1.0
 * @category models
 */
export type Script = Script_.Script

/**
 * One thing that happens.
 *
 * @since 0.1.0
 * @category models
 */
export type Step = Script_.Step

/**
 * What a run has come to.
 *
 * @since 0.1.0
 * @category models
 */
export interface Run extends Runner.Run {}

/**
 * The script of a seed: always the same.
 *
 * @since 0.1.0
 * @category constructors
 */
export const script: (seed: number) => Script = Grammar.script

/**
 * A script that goes on: what a seed chooses happens amid what it says, and behind it. So a trouble that is known is met
 * together with others.
 *
 * @since 0.1.0
 * @category constructors
 */
export const continued: (start: Script, seed: number) => Script = Grammar.continued

/**
 * Runs a script. Two runs of one script have the same history and the same trace. It never fails: what does not hold is
 * among its problems.
 *
 * @since 0.1.0
 * @category running
 */
export const run: (script: Script) => Effect.Effect<Run> = Runner.run

/**
 * A script as lines, which `parse` reads back.
 *
 * @since 0.1.0
 * @category text
 */
export const print: (script: Script) => string = Text.print

/**
 * The script that lines are; fails with `Misuse` where they are none.
 *
 * @since 0.1.0
 * @category text
 */
export const parse = (text: string): Effect.Effect<Script, KafkaError.KafkaError> =>
  Effect.try({
    try: () => Text.parse(text),
    catch: (error) => KafkaError.make({ _tag: "Misuse", message: `this is no script: ${String(error)}` })
  })

/**
 * A shorter script that has a problem of the same kind. It tries at most `most` scripts (400 by default), each of which is
 * run.
 *
 * @since 0.1.0
 * @category running
 */
export const shrink = (
  script: Script,
  problem: string,
  options: { readonly most?: number | undefined } = {}
): Effect.Effect<Script> => Shrink.shrink(script, failsAs(problem), options.most)

/** Whether a script still has a problem of that kind. */
const failsAs = (problem: string, own?: Runner.Program): Shrink.Fails => {
  const kind = Shrink.kindOf(problem)
  return (one) =>
    Effect.map(Runner.run(one, own), ({ problems }) => problems.some((each) => Shrink.kindOf(each) === kind))
}

/**
 * What a program of one's own is checked with.
 *
 * @since 0.1.0
 * @category models
 */
export interface CheckOptions {
  /** The topics that are there: a name has one partition, and as many replicas as may be. */
  readonly topics: ReadonlyArray<
    string | Topic.Any | { readonly name: string | Topic.Any; readonly partitions?: number | undefined }
  >
  /** Default 3. */
  readonly brokers?: number | undefined
  /** The groups that the program has: their coordinators move, too. Default: none are known. */
  readonly groups?: ReadonlyArray<string> | undefined
  /** How many scripts, of seeds one after the other. Default 20. */
  readonly seeds?: number | undefined
  /** The first seed. Default 1. */
  readonly from?: number | undefined
  /** How long the program may go on when all is well again. Default 5 minutes. */
  readonly within?: Duration.Input | undefined
}

/**
 * A program did not keep what it should.
 *
 * @since 0.1.0
 * @category errors
 */
export class Broken extends Schema.TaggedError<Broken>()("Broken", {
  seed: Schema.Number,
  problems: Schema.Array(Schema.String),
  /** What happened to it, made as short as it could be: lines that `parse` reads. */
  script: Schema.String
}) {
  override get message(): string {
    return `${this.problems.join("\n")}\n\n${this.script}\n\nagain by: { from: ${this.seed}, seeds: 1 }`
  }
}

const isTopic = (one: object): one is Topic.Any => "key" in one
const nameOf = (one: string | Topic.Any): string => (typeof one === "string" ? one : one.name)

const topicsOf = (topics: CheckOptions["topics"], brokers: number): Script["topics"] =>
  topics.map((one) => {
    const { name, partitions = 1 } = typeof one === "string" || isTopic(one) ? { name: one } : one
    return { name: nameOf(name), partitions, replicas: Math.min(3, brokers) }
  })

/**
 * Runs a program of one's own over the embedded cluster again and again, while brokers, coordinators and links of it fail,
 * its process stands still, and its clock is set: a script for each seed, in a time of its own. The program ends by itself, in time; what `invariants` says then does not
 * hold. Consumers and producers that are made by `Oracle.Oracle` are judged as well. Fails with `Broken` at the first seed,
 * and a script as short as it could be made.
 *
 * ```ts
 * import { Effect, Stream } from "effect"
 * import { Consumer, Producer, Topic } from "samsa"
 * import { EmbeddedKafka, Simulation } from "samsa/testing"
 *
 * const orders = Topic.bytes("orders")
 * const copies = Topic.bytes("copies")
 *
 * const copying = Effect.gen(function*() {
 *   const producer = yield* Producer.make()
 *   yield* producer.sendAll(orders, Array.from({ length: 100 }, (_, i) => ({ value: new Uint8Array([i]) })))
 *   const consumer = yield* Consumer.assign({ topic: orders, from: "earliest", until: "latest" })
 *   yield* Stream.runForEach(consumer.stream, ({ value }) => producer.send(copies, { value }))
 * })
 *
 * export const checked = Simulation.check(
 *   copying,
 *   Effect.gen(function*() {
 *     const broker = yield* EmbeddedKafka.EmbeddedKafka
 *     const all = (yield* broker.log(copies)).length
 *     return all === (yield* broker.log(orders)).length ? [] : [`${all} copies`]
 *   }),
 *   { topics: [orders, copies] }
 * )
 * ```
 *
 * @since 0.1.0
 * @category running
 */
export const check = <E, E2>(
  program: Effect.Effect<unknown, E, Kafka | EmbeddedKafka | Oracle | Scope.Scope>,
  invariants: Effect.Effect<ReadonlyArray<string>, E2, EmbeddedKafka | Oracle>,
  options: CheckOptions
): Effect.Effect<void, Broken> =>
  Effect.gen(function* () {
    const { brokers = 3, from = 1, groups = [], seeds = 20 } = options
    const given = { brokers, groups, topics: topicsOf(options.topics, brokers) }
    const own: Runner.Program = {
      client: "program",
      self: Effect.andThen(Effect.scoped(program), invariants),
      within: Duration.toMillis(Duration.fromInputUnsafe(options.within ?? "5 minutes"))
    }
    for (let seed = from; seed < from + seeds; seed++) {
      const script = Grammar.aroundProgram(seed, given)
      const { problems } = yield* Runner.run(script, own)
      if (problems.length === 0) continue
      const short = yield* Shrink.shrink(script, failsAs(problems[0]!, own), 100)
      return yield* new Broken({ seed, problems, script: Text.print(short) })
    }
  })
