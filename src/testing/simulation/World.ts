/** What a simulation consists of while it runs: the cluster, the network, the processes, and who watches. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Schema from "effect/Schema"
import * as Scope from "effect/Scope"
import * as Topic from "../../Topic.ts"
import { kept } from "../../Kept.ts"
import type { Release } from "../embedded/Profile.ts"
import type * as EmbeddedKafka from "../EmbeddedKafka.ts"
import type * as Oracle from "../Oracle.ts"
import type { Links } from "./Links.ts"
import { Process } from "./Process.ts"
import type * as Script from "./Script.ts"
import { type Disturbance, Timeline } from "./Timeline.ts"
import type { VirtualTime } from "./VirtualTime.ts"

const Content = { key: Schema.NullOr(Schema.String), value: Schema.String }
export type AnyTopic = Topic.Topic<string, typeof Content.key, typeof Content.value>

/** What an Effect may take beyond its budget: turns, and timers that end beside each other. */
export const slack = 1000

export class World {
  readonly script: Script.Script
  readonly time: VirtualTime
  readonly broker: EmbeddedKafka.Service
  readonly oracle: Oracle.Service
  readonly links: Links
  readonly scope: Scope.Scope
  readonly timeline = new Timeline()
  /** Everything that was begun, by process. */
  private readonly works = new Map<Process, Set<Fiber.Fiber<unknown, unknown>>>()
  readonly processes: Array<Process> = []
  private readonly topics = new Map<string, AnyTopic>()
  private readonly specs = new Map<string, Script.Client>()
  /** All is well: nothing is slow any more. */
  isOver = false
  /** The newer release whose protocol is the cluster's. */
  raised: Release | undefined
  /** How many requests each fault has struck, when it is over. */
  readonly hits = new Map<Script.Step, number>()
  /** How long handlers take, by what was said last. */
  readonly slow: Array<Script.StepOf<"slow">> = []
  /** How long a group takes to come together again, after anything. */
  readonly grace: number

  constructor(
    script: Script.Script,
    time: VirtualTime,
    broker: EmbeddedKafka.Service,
    oracle: Oracle.Service,
    links: Links,
    scope: Scope.Scope
  ) {
    this.script = script
    this.time = time
    this.broker = broker
    this.oracle = oracle
    this.links = links
    this.scope = scope
    for (const spec of script.clients) this.specs.set(spec.name, spec)
    this.grace = graceOf(script)
  }

  get now(): number {
    return this.time.elapsed
  }

  topic(name: string): AnyTopic {
    return kept(this.topics, name, () => Topic.make(name, Content))
  }

  /** The process of a client: the one that lives, or a new one. */
  process(client: string): Process {
    const living = this.living(client)
    if (living !== undefined) return living
    const life = this.processes.filter((each) => each.client === client).length + 1
    const spec = this.specs.get(client) ?? { name: client }
    const process = new Process(
      spec,
      life,
      this.time,
      this.links,
      this.broker.bootstrap,
      this.script.cluster.sessionLifetime !== undefined
    )
    this.processes.push(process)
    return process
  }

  living(client: string): Process | undefined {
    return this.processes.find((each) => each.client === client && each.alive)
  }

  /** How long a client stands still in all: no budget counts that. */
  standstill(client: string): number {
    return this.script.steps.reduce(
      (sum, step) => (step.do === "freeze" && step.client === client ? sum + step.for : sum),
      0
    )
  }

  /** Runs beside everything else, in a process; ends with it. */
  work(process: Process, self: Effect.Effect<unknown, unknown>): Effect.Effect<Fiber.Fiber<unknown, unknown>> {
    return Effect.gen({ self: this }, function* () {
      const all = kept(this.works, process, () => new Set())
      const fiber = yield* Effect.forkIn(process.run(self), this.scope)
      all.add(fiber)
      fiber.addObserver((exit) => {
        all.delete(fiber)
        if (Exit.isFailure(exit)) this.died(process.id, exit)
      })
      return fiber
    })
  }

  /** What is at work in a process, or in all of them. */
  atWork(process?: Process): ReadonlyArray<Fiber.Fiber<unknown, unknown>> {
    return process === undefined
      ? Array.from(this.works.values()).flatMap((all) => [...all])
      : [...(this.works.get(process) ?? [])]
  }

  /** A defect of the client is a failure; what fails typed was its caller's to judge. */
  private died(process: string, exit: Exit.Exit<unknown, unknown>): void {
    if (!Exit.isFailure(exit)) return
    for (const reason of exit.cause.reasons)
      if (reason._tag === "Die") this.timeline.failures.push(`${process} died: ${String(reason.defect)}`)
  }

  /** Ends within a budget (I8), of which the process's own standing still is none. */
  within(
    client: string,
    name: string,
    budget: number
  ): <A, E, R>(self: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R> {
    return this.oracle.within(name, budget + slack + this.standstill(client))
  }

  /** Something is wrong with these for so long from now on, and until what it upset has come to rest. */
  disturb(lasts: number, what: Omit<Disturbance, "from" | "to"> = {}, from = this.now): void {
    this.timeline.disturb({ from, to: this.now + lasts + this.grace, ...what })
  }
}

/** How long a group may take to come to rest: sessions that expire, rebalances, requests that are given up. */
const graceOf = ({ clients, members, producers }: Script.Script): number => {
  const most = <A>(list: ReadonlyArray<A>, of: (one: A) => number) => Math.max(0, ...list.map(of))
  return (
    15_000 +
    most(members, ({ sessionTimeout = 45_000 }) => sessionTimeout) +
    most(members, ({ rebalanceTimeout = 60_000 }) => rebalanceTimeout) +
    most(clients, ({ requestTimeout = 30_000 }) => requestTimeout) +
    most(members, ({ maxWait = 500 }) => maxWait) +
    most(producers, ({ requestTimeout = 0 }) => requestTimeout)
  )
}
