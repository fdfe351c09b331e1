/**
 * Runs a script: the embedded cluster, processes with clients of their own, and the steps, in a time of its own. In the end
 * all is well again for a while: every group has somebody who reads, everything that was acknowledged is to be handled,
 * everybody leaves, and nothing is left.
 */
import * as Compression from "../../Compression.ts"
import * as Cause from "effect/Cause"
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Logger from "effect/Logger"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Scheduler from "effect/Scheduler"
import * as Scope from "effect/Scope"
import type { Kafka } from "../../Kafka.ts"
import { kept } from "../../Kept.ts"
import * as EmbeddedKafka from "../EmbeddedKafka.ts"
import * as Rebalancing from "../history/Rebalancing.ts"
import * as Oracle from "../Oracle.ts"
import { optionsOf } from "./ClusterOptions.ts"
import { isChain, readerOf } from "./Handlers.ts"
import { Links } from "./Links.ts"
import { Members } from "./Members.ts"
import { nameOf, Senders } from "./Senders.ts"
import * as Script from "./Script.ts"
import { type Actors, perform } from "./Steps.ts"
import { Transactors } from "./Transactors.ts"
import { VirtualTime } from "./VirtualTime.ts"
import { World } from "./World.ts"

/** A program of somebody's own, which is one of the processes. It says what does not hold in the end. */
export interface Program {
  /** Which it is. */
  readonly client: string
  readonly self: Effect.Effect<
    ReadonlyArray<string>,
    unknown,
    Kafka | EmbeddedKafka.EmbeddedKafka | Oracle.Oracle | Scope.Scope
  >
  /** How long it may go on when all is well again, in milliseconds. */
  readonly within: number
}

/** What a run has come to. */
export interface Run {
  /** What does not hold; empty where all is as it should be. */
  readonly problems: ReadonlyArray<string>
  /** What the oracle saw, in the order in which it happened. */
  readonly history: ReadonlyArray<Oracle.Event>
  /** A sum over every byte that passed between clients and brokers, and when: equal runs have equal ones. */
  readonly trace: string
  /** Virtual milliseconds. */
  readonly took: number
  /** How many requests each fault has struck, in the order in which the script names them. */
  readonly hits: ReadonlyArray<number>
}

/** Codecs that work in one piece: what another thread does takes turns of the event loop, more or fewer. */
const inOnePiece = Layer.mergeAll(
  Compression.layer(
    ...[Compression.gzip(), Compression.snappy(), Compression.lz4(), Compression.zstd()].map((codec) => ({
      ...codec,
      compressLarge: undefined,
      decompressLarge: undefined
    }))
  )
)

/** A sum over what passes (FNV-1a). */
class Trace {
  private sum = 0x811c9dc5
  private count = 0

  private add(n: number): void {
    this.sum = Math.imul(this.sum ^ (n & 0xffff), 0x01000193)
  }

  passed(at: number, broker: number, isUp: boolean, bytes: Uint8Array): void {
    this.count++
    this.add(at)
    this.add(at >> 16)
    this.add(broker * 2 + (isUp ? 1 : 0))
    for (let i = 0; i < bytes.length; i++) this.add(bytes[i]!)
  }

  get text(): string {
    return `${this.count} pieces, ${(this.sum >>> 0).toString(16)}`
  }
}

/** A record that a reader is owed. */
interface Due {
  readonly reader: string
  readonly topic: string
  readonly partition: number
  readonly offset: number
  readonly name: string
}

/** What each reader is owed at the end: records that the logs have, from where it began. */
const owed = ({ members, world }: Actors, firstCommits: ReadonlyMap<string, number>) =>
  Effect.gen(function* () {
    const volatile = Script.volatileTopics(world.script)
    const due: Array<Due> = []
    const readers = new Map<string, { from: string; topics: Set<string>; isGroup: boolean }>()
    for (const spec of members.alive) {
      const reader = readerOf(spec)
      const one = readers.get(reader) ?? { from: spec.from, topics: new Set(), isGroup: spec.enter !== "assign" }
      for (const topic of spec.topics) one.topics.add(topic)
      readers.set(reader, one)
    }
    if (readers.size === 0) return due
    for (const topic of world.script.topics.map(({ name }) => name)) {
      if (volatile.has(topic)) continue
      const log = yield* Effect.orDie(world.broker.log(world.topic(topic)))
      for (const [reader, { from, isGroup, topics }] of readers) {
        if (!topics.has(topic)) continue
        for (const { offset, open, partition, value } of log) {
          // What nobody has ended is aborted in time.
          if (open === true) continue
          // What is sent before a group has its positions is nobody's with `latest`.
          const begins = firstCommits.get(`${reader} ${topic}-${partition}`) ?? Infinity
          if (from === "latest" && (!isGroup || offset < begins)) continue
          due.push({ reader, topic, partition, offset, name: nameOf(value) })
        }
      }
    }
    return due
  })

/** The dead letters of each reader, by the names of their records. */
const letters = ({ world }: Actors): Effect.Effect<ReadonlyMap<string, ReadonlySet<string>>> =>
  Effect.gen(function* () {
    const found = new Map<string, Set<string>>()
    for (const spec of world.script.members) {
      if (spec.deadLetter === undefined) continue
      const log = yield* Effect.orDie(world.broker.log(world.topic(spec.deadLetter)))
      const all = kept(found, readerOf(spec), () => new Set())
      for (const { value } of log) all.add(nameOf(value))
    }
    return found
  })

/** What is not handled after so long of peace is lost. */
const patience = ({ script }: World): number => {
  const times = [
    ...script.members.flatMap((one) => [
      one.sessionTimeout ?? 45_000,
      one.rebalanceTimeout ?? 60_000,
      one.maxWait ?? 500,
      one.handles ?? 0,
      one.hooks ?? 0
    ]),
    ...script.clients.flatMap((one) => [one.requestTimeout ?? 30_000, one.metadataMaxAge ?? 60_000]),
    ...script.steps.map((step) => (step.do === "slow" ? step.takes : 0)),
    ...script.producers.map((one) => one.deliveryTimeout ?? 120_000),
    ...script.members.map((one) => (one.deadLetter === undefined ? 0 : 120_000)),
    ...[...script.transactors, ...script.members.filter(isChain)].flatMap((one) => [
      one.transactionTimeout ?? 60_000,
      one.apiTimeout ?? 60_000
    ])
  ]
  return 120_000 + 2 * Math.max(0, ...times)
}

const settle = (actors: Actors, firstCommits: ReadonlyMap<string, number>): Effect.Effect<void> =>
  Effect.gen(function* () {
    const { members, world } = actors
    world.isOver = true
    world.links.heal()
    const topics = new Set(world.script.topics.map(({ name }) => name))
    for (const [group, spec] of members.groups) {
      if (members.alive.some((one) => one.group === group)) continue
      const last = `last-${group}`
      const { assignor, assignors, enter, from, protocol, to } = spec
      const read = [...topics].filter((topic) => spec.topics.includes(topic))
      yield* members.join(last, {
        name: last,
        client: last,
        group,
        topics: read,
        enter,
        from,
        ...(isChain(spec) && to !== undefined ? { way: "process", to } : { way: "run" }),
        ...(assignor === undefined ? {} : { assignor }),
        ...(assignors === undefined ? {} : { assignors }),
        ...(protocol === undefined ? {} : { protocol }),
        sessionTimeout: 10_000,
        rebalanceTimeout: 15_000,
        drainTimeout: 5000
      })
    }
    // What is still sent has its own budgets, and takes its time.
    const until = Math.max(world.now, Script.endOf(world.script)) + patience(world)
    while (world.atWork().length > 0 && world.now < until) yield* Effect.sleep(250)
    if (world.atWork().length > 0) world.timeline.failures.push(`${world.atWork().length} works have not ended`)
    const isMissing = ({ name, partition, reader, topic }: Due) =>
      !world.timeline.hasHandled(reader, topic, partition, name)
    // What is a dead letter is handled.
    const buried = yield* letters(actors)
    let missing = (yield* owed(actors, firstCommits)).filter(
      (due) => isMissing(due) && buried.get(due.reader)?.has(due.name) !== true
    )
    while (missing.length > 0 && world.now < until) {
      yield* Effect.sleep(500)
      missing = missing.filter(isMissing)
    }
    const byPlace = Map.groupBy(missing, ({ partition, reader, topic }) => `${reader}: ${topic}-${partition}`)
    for (const [place, due] of byPlace)
      world.timeline.failures.push(
        `${place}: ${due.length} records were never handled, though all was well for ${patience(world)} ms, the first ${due[0]!.name} at offset ${due[0]!.offset}`
      )
  })

/** Everybody leaves, and nothing is left. */
const closeAll = ({ members, producers, transactors, world }: Actors): Effect.Effect<void> =>
  Effect.gen(function* () {
    const readers = members.alive
    yield* Effect.forEach(readers, ({ name }) => members.leave(name), { concurrency: "unbounded", discard: true })
    for (const process of world.processes) {
      if (!process.alive) continue
      yield* producers.closeAll(process)
      yield* transactors.closeAll(process)
      yield* world.oracle.within(`the end of ${process.id}`, 30_000)(process.close)
    }
    // A closing that nobody hears has its own time, and what is left of handlers that cannot be interrupted.
    yield* Effect.sleep(120_000)
    for (const process of world.processes) {
      const left = [
        [world.links.openOf(process.id), "connections"],
        [process.fibers, "fibers"],
        [process.sleepers, "timers"]
      ] as const
      for (const [count, what] of left)
        if (count > 0) world.timeline.failures.push(`${process.id} is over, and left ${count} ${what}`)
    }
  })

/** Whether any producer is given more at once than its buffer takes. */
const hasLargeArrays = ({ producers, steps }: Script.Script): boolean =>
  steps.some((step) => {
    if (step.do !== "send") return false
    const one = producers.find(({ name }) => name === step.producer)
    const records = step.how === "sendAll" || step.how === "sink" ? Math.min(step.count, 100) : 1
    return records * (step.bytes + 128) > (one?.bufferBytes ?? Infinity) || records > (one?.bufferRecords ?? Infinity)
  })

/** What does not hold, in words. */
const violations = (actors: Actors, began: number): Effect.Effect<ReadonlyArray<string>> =>
  Effect.gen(function* () {
    const { members, world } = actors
    const volatile = Script.volatileTopics(world.script)
    const violated = (yield* Effect.orDie(world.oracle.check))
      // Nobody can say what the log of such a topic should hold.
      .filter(({ topic }) => topic === undefined || !volatile.has(topic))
      // An array that is larger than the whole buffer is let in alone.
      .filter(({ invariant }) => invariant !== "I9" || !hasLargeArrays(world.script))
      .map(
        ({ group, invariant, message, offsets, partition, topic }) =>
          `${invariant}${group === undefined ? "" : ` ${group}`}${topic === undefined ? "" : ` ${topic}-${partition}`}: ${message}${
            offsets === undefined || offsets.length === 0 ? "" : ` (offsets ${offsets.slice(0, 8).join(", ")})`
          }`
      )
    const bound = 30_000 + Math.max(0, ...world.script.members.map(({ maxWait = 500 }) => maxWait))
    const readers = new Map<string, Set<string>>()
    for (const spec of members.groups.values()) readers.set(readerOf(spec), new Set(spec.topics))
    const late = world.timeline.late(
      Array.from(readers, ([name, topics]) => ({
        name,
        topics: new Set([...topics].filter((topic) => !volatile.has(topic)))
      })),
      bound
    )
    const unsettled = world.timeline.unsettled(
      Rebalancing.spansOf(yield* world.oracle.history)
        .filter(({ topic }) => !volatile.has(topic))
        .map((span) => ({ ...span, from: span.from - began, to: span.to - began })),
      bound
    )
    const defects = (yield* world.broker.defects).map((defect) => `the broker has a defect: ${String(defect)}`)
    const twice = yield* members.chains.twice(members.groups.values())
    return [
      ...world.timeline.failures,
      ...violated,
      ...twice.slice(0, 5),
      ...late.slice(0, 5),
      ...unsettled.slice(0, 5),
      ...defects
    ]
  })

/** Runs a program in its process; what it fails with, or says that does not hold, is a failure. */
const runProgram = (world: World, { client, self, within }: Program): Effect.Effect<void> => {
  const process = world.process(client)
  const left = Script.endOf(world.script) + within
  const running = Effect.gen(function* () {
    const kafka = yield* process.kafka
    return yield* Effect.scoped(self).pipe(
      Effect.provideContext(kafka),
      Effect.provideService(Oracle.Oracle, world.oracle),
      Effect.provideService(EmbeddedKafka.EmbeddedKafka, world.broker)
    )
  })
  return process.run(world.within(client, "the program", left)(Effect.timeoutOption(running, left))).pipe(
    Effect.matchCause({
      onSuccess: (found) => void world.timeline.failures.push(...Option.getOrElse(found, () => [])),
      onFailure: (cause) => void world.timeline.failures.push(`the program failed: ${Cause.pretty(cause)}`)
    })
  )
}

const simulate = (
  script: Script.Script,
  time: VirtualTime,
  broker: EmbeddedKafka.Service,
  trace: Trace,
  program: Program | undefined
): Effect.Effect<Pick<Run, "problems" | "history" | "hits">> =>
  Effect.scoped(
    Effect.gen(function* () {
      const began = yield* Clock.currentTimeMillis
      const compacted = script.topics.flatMap((topic) => (topic.compacted === true ? [topic.name] : []))
      const oracle = yield* Oracle.make(broker, { compacted })
      const links = new Links(time, broker.connect, (_, id, direction, bytes) =>
        trace.passed(time.elapsed, id, direction === "up", bytes)
      )
      const scope = yield* Scope.make()
      const world = new World(script, time, broker, oracle, links, scope)
      const actors: Actors = {
        world,
        producers: new Senders(world),
        transactors: new Transactors(world),
        members: new Members(world)
      }
      const firstCommits = new Map<string, number>()
      yield* broker.onCommit(({ group, offset, partition, topic }) => {
        const key = `${group} ${topic}-${partition}`
        if (!firstCommits.has(key)) firstCommits.set(key, offset)
        actors.members.chains.committed(group, { topic, partition }, offset)
      })
      const running: Array<Fiber.Fiber<unknown, unknown>> = []
      const own = program === undefined ? undefined : yield* Effect.forkChild(runProgram(world, program))
      for (const step of [...script.steps].sort((a, b) => a.at - b.at)) {
        if (step.at > world.now) yield* Effect.sleep(step.at - world.now)
        running.push(yield* Effect.forkChild(Effect.suspend(() => perform(actors, step))))
      }
      yield* Fiber.awaitAll(running)
      yield* settle(actors, firstCommits)
      if (own !== undefined) yield* Fiber.join(own)
      yield* closeAll(actors)
      const problems = yield* violations(actors, began)
      const hits = script.steps.flatMap((step) => (step.do === "fault" ? [world.hits.get(step) ?? 0] : []))
      return { problems, history: yield* oracle.history, hits }
    })
  )

const hour = 3_600_000

/** Runs it. It never fails: what goes wrong is a problem. */
export const run = (script: Script.Script, program?: Program): Effect.Effect<Run> =>
  Effect.suspend(() => {
    const time = new VirtualTime()
    const trace = new Trace()
    const running = Effect.gen(function* () {
      const broker = yield* Effect.orDie(EmbeddedKafka.make(optionsOf(script)))
      return yield* simulate(script, time, broker, trace, program)
    }).pipe(
      Effect.scoped,
      Effect.provide(inOnePiece),
      Effect.provide(Logger.layer([])),
      Random.withSeed(`${script.seed}`),
      (self) =>
        script.turns === undefined ? self : Effect.provideService(self, Scheduler.MaxOpsBeforeYield, script.turns)
    )
    return Effect.map(time.run(running, Script.endOf(script) + 3 * hour), (exit): Run => {
      const rest = { history: [], hits: [], trace: trace.text, took: time.elapsed }
      if (exit === "late") return { problems: ["the simulation has not come to its end"], ...rest }
      if (exit === "busy") return { problems: ["something is busy, and no time passes"], ...rest }
      if (exit._tag === "Failure") return { problems: [`the simulation failed: ${String(exit.cause)}`], ...rest }
      return { ...rest, ...exit.value }
    })
  })
