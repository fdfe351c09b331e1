/** The consumers of a simulation: they join, read in their way, leave, fail, and come again as their process would. */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import * as Scope from "effect/Scope"
import type * as Consumer from "../../Consumer.ts"
import * as Offset from "../../Offset.ts"
import type { TopicPartition } from "../../TopicPartition.ts"
import { Chains } from "./Chains.ts"
import { Handlers, isChain, readerOf } from "./Handlers.ts"
import type { Process } from "./Process.ts"
import * as Reading from "./Reading.ts"
import type * as Script from "./Script.ts"
import { nameOf } from "./Senders.ts"
import type { World } from "./World.ts"

/** A consumer in one of its lives. */
interface Life {
  readonly id: string
  readonly process: Process
  readonly scope: Scope.Closeable
  consumer: Consumer.Consumer<Reading.Read> | undefined
  reading: Fiber.Fiber<unknown, unknown> | undefined
}

interface Member {
  readonly spec: Script.Member
  alive: boolean
  life: Life | undefined
  fiber: Fiber.Fiber<unknown, unknown> | undefined
  /** It was told that records are gone: whoever starts it again lets it go on behind them. */
  goesOn: boolean
  /** It has left. */
  readonly over: Deferred.Deferred<void>
}

export class Members {
  private readonly world: World
  private readonly handlers: Handlers
  readonly chains: Chains
  private readonly specs = new Map<string, Script.Member>()
  private readonly members = new Map<string, Member>()
  /** Those that somebody has joined. */
  readonly groups = new Map<string, Script.Member>()
  private lives = 0
  /** Since when nobody reads, by reader. */
  private readonly idleSince = new Map<string, number>()

  constructor(world: World) {
    this.world = world
    this.handlers = new Handlers(world)
    this.chains = new Chains(world, this.handlers)
    for (const spec of world.script.members) this.specs.set(spec.name, spec)
  }

  /** Who reads now. */
  get alive(): ReadonlyArray<Script.Member> {
    return Array.from(this.members.values()).flatMap(({ alive, spec }) => (alive ? [spec] : []))
  }

  private isRead(reader: string): boolean {
    return this.alive.some((spec) => readerOf(spec) === reader)
  }

  private disturb(spec: Script.Member, lasts = 0): void {
    this.world.disturb(lasts, { group: readerOf(spec) })
  }

  /** Joins by a protocol that the cluster has since it was raised. */
  joinBy(name: string, protocol: NonNullable<Script.Member["protocol"]>): Effect.Effect<void> {
    const spec = this.specs.get(name)
    if (spec === undefined) return Effect.void
    const { heartbeatInterval: _, ...rest } = spec
    // The members that come in the end, too.
    if (spec.group !== undefined) this.groups.set(spec.group, { ...rest, protocol })
    return this.join(name, { ...rest, protocol })
  }

  join(name: string, given?: Script.Member): Effect.Effect<void> {
    return Effect.suspend(() => {
      const spec = given ?? this.specs.get(name)
      if (spec === undefined || this.members.get(name)?.alive === true) return Effect.void
      if (spec.group !== undefined && !this.groups.has(spec.group)) this.groups.set(spec.group, spec)
      const { now, timeline } = this.world
      const reader = readerOf(spec)
      if (!this.isRead(reader)) timeline.disturb({ from: this.idleSince.get(reader) ?? 0, to: now, group: reader })
      const last = this.members.get(name)
      const member: Member = {
        spec,
        alive: true,
        life: undefined,
        fiber: undefined,
        goesOn: false,
        over: Deferred.makeUnsafe()
      }
      this.members.set(name, member)
      this.disturb(spec)
      // Two at a time of one instance id are a mistake: what the first holds is the second's at once.
      const isClosing = spec.instanceId !== undefined && last?.life?.process.alive === true
      const living = isClosing ? Effect.andThen(Deferred.await(last.over), this.live(member)) : this.live(member)
      return Effect.map(Effect.forkIn(living, this.world.scope), (fiber) => {
        member.fiber = fiber
      })
    })
  }

  /** Its lives, one after the other: a process that has failed is started again. */
  private live(member: Member): Effect.Effect<void> {
    const { spec } = member
    const again: Effect.Effect<void> = Effect.suspend(() => {
      if (!member.alive) return Effect.void
      const process = this.world.process(spec.client)
      const life: Life = {
        id: `${spec.name}.${++this.lives}`,
        process,
        scope: Scope.makeUnsafe(),
        consumer: undefined,
        reading: undefined
      }
      member.life = life
      const reads = member.goesOn ? { ...spec, onOutOfRange: "nearest" as const } : spec
      return Effect.exit(process.run(this.once(reads, life))).pipe(
        Effect.flatMap((exit) => {
          if (!member.alive || member.life !== life) return Effect.void
          member.goesOn = this.judge(reads, exit) === "DataLoss"
          this.disturb(spec)
          return Effect.andThen(this.close(spec, life), Effect.sleep(2000)).pipe(Effect.andThen(again))
        })
      )
    })
    return again
  }

  /** What a consumer may end with, though nobody stopped it: the reason. */
  private judge(spec: Script.Member, exit: Exit.Exit<unknown, unknown>): string | undefined {
    const { script, timeline } = this.world
    if (Exit.isSuccess(exit)) {
      timeline.failures.push(`${spec.name} has ended, though nobody stopped it`)
      return undefined
    }
    const error = Exit.findErrorOption(exit)
    const text = Cause.pretty(exit.cause)
    if (Option.isNone(error)) {
      if (!Cause.hasInterruptsOnly(exit.cause)) timeline.failures.push(`${spec.name} died: ${text}`)
      return undefined
    }
    if (error.value === "refused") return undefined
    const reason = (error.value as { readonly reason?: { readonly _tag: string } }).reason?._tag ?? ""
    const may = new Set<string>(["Unreachable", "TimedOut"])
    const has = (...kinds: ReadonlyArray<Script.Step["do"]>) => script.steps.some((step) => kinds.includes(step.do))
    if (has("deleteTopic", "recreateTopic")) may.add("UnknownTopic")
    if (spec.deadLetter !== undefined) may.add("NotDelivered")
    if (
      script.steps.some((step) => step.do === "fault" && (step.action === "corruptCrc" || step.action === "truncate"))
    )
      may.add("Corrupt")
    // Where records are gone, and it was asked to be told.
    if (spec.onOutOfRange === "fail" && has("trim", "retain", "unclean", "deleteTopic", "recreateTopic"))
      may.add("DataLoss")
    if (!may.has(reason)) timeline.failures.push(`${spec.name} has failed: ${text}`)
    return reason
  }

  private once(spec: Script.Member, life: Life): Effect.Effect<unknown, unknown> {
    return Effect.gen({ self: this }, function* () {
      const kafka = yield* life.process.kafka
      const consumer = yield* Reading.consumer(this.world, spec).pipe(
        Effect.provideContext(kafka),
        Scope.provide(life.scope)
      )
      life.consumer = consumer
      const reading = (
        isChain(spec)
          ? this.chains.process(spec, life.id, consumer)
          : Reading.read(this.handlers, spec, life.id, consumer)
      ).pipe(Effect.provideContext(kafka), Scope.provide(life.scope))
      // In a fiber of its own: the consumer interrupts the one that reads its stream.
      life.reading = yield* Effect.forkChild(reading)
      return yield* Effect.flatten(Fiber.await(life.reading))
    })
  }

  /** Closes the consumer of a life, within what its settings promise. */
  private close(spec: Script.Member, { process, reading, scope }: Life): Effect.Effect<void> {
    const { closeTimeout = 20_000, group, leaveTimeout = 5000 } = spec
    // A chain's transactions are closed before its consumer, as are those who send dead letters.
    const budget =
      closeTimeout * (isChain(spec) || spec.deadLetter !== undefined ? 2 : 1) + (group === undefined ? 0 : leaveTimeout)
    return process.run(
      this.world
        .within(
          spec.client,
          `closing ${spec.name}`,
          budget
        )(Scope.close(scope, Exit.void))
        .pipe(
          Effect.andThen(
            reading === undefined
              ? Effect.void
              : // what was given to handlers that cannot be interrupted is theirs to end
                Effect.asVoid(Effect.forkIn(Fiber.interrupt(reading), this.world.scope))
          )
        )
    )
  }

  private end(member: Member, before: (life: Life) => Effect.Effect<unknown>): Effect.Effect<void> {
    return Effect.suspend(() => {
      const { life, spec } = member
      member.alive = false
      if (!this.isRead(readerOf(spec))) this.idleSince.set(readerOf(spec), this.world.now)
      if (life === undefined) return Effect.void
      return Effect.gen({ self: this }, function* () {
        // Who closes as it wakes cannot know yet what was taken from it meanwhile.
        const awake = Effect.suspend(() =>
          life.process.alive && this.world.now - life.process.wokenAt < 1000 ? Effect.sleep(1000) : Effect.void
        )
        yield* awake
        yield* before(life)
        yield* awake
        this.disturb(spec)
        const closing = yield* Effect.forkIn(this.close(spec, life), this.world.scope)
        // One that has not begun to read yet.
        if (life.consumer === undefined && member.fiber !== undefined) yield* Fiber.interrupt(member.fiber)
        yield* Fiber.await(closing)
      })
    }).pipe(Effect.ensuring(Deferred.succeed(member.over, undefined)))
  }

  private of(name: string): Member | undefined {
    const member = this.members.get(name)
    return member?.alive === true ? member : undefined
  }

  leave(name: string): Effect.Effect<void> {
    const member = this.of(name)
    return member === undefined ? Effect.void : this.end(member, () => Effect.void)
  }

  stop(name: string, lasts: number): Effect.Effect<void> {
    const member = this.of(name)
    if (member === undefined) return Effect.void
    this.disturb(member.spec, lasts)
    return this.end(member, ({ consumer, process }) =>
      consumer === undefined ? Effect.void : process.run(Effect.andThen(consumer.stop, Effect.sleep(lasts)))
    )
  }

  interrupt(name: string, lasts: number): Effect.Effect<void> {
    const member = this.of(name)
    if (member === undefined) return Effect.void
    const { spec } = member
    this.disturb(spec, lasts)
    const interrupting = ({ process, reading }: Life) =>
      reading === undefined
        ? Effect.void
        : process.run(
            Effect.andThen(
              spec.uninterruptible === true
                ? Effect.forkIn(Fiber.interrupt(reading), this.world.scope)
                : Fiber.interrupt(reading),
              Effect.sleep(lasts)
            )
          )
    return this.end(member, interrupting)
  }

  /** The members of a process are gone with it. */
  crash(process: Process): Effect.Effect<void> {
    const gone = Array.from(this.members.values()).filter(({ alive, life }) => alive && life?.process === process)
    for (const { life } of gone) this.handlers.standStill(life!.id)
    return Effect.forEach(
      gone,
      (member) =>
        this.end(member, ({ reading }) =>
          reading === undefined ? Effect.void : Effect.forkIn(Fiber.interrupt(reading), this.world.scope)
        ),
      { concurrency: "unbounded", discard: true }
    )
  }

  /** A process stands still, with what its members were at. */
  standStill(process: Process, lasts: number): void {
    for (const { life, spec } of this.members.values()) {
      if (life?.process !== process) continue
      this.handlers.standStill(life.id)
      this.disturb(spec, lasts)
    }
  }

  /** What is asked of a member's consumer. */
  private ask(
    name: string,
    place: TopicPartition,
    f: (consumer: Consumer.Consumer<Reading.Read>) => Effect.Effect<unknown, unknown>
  ): Effect.Effect<void> {
    const member = this.of(name)
    const consumer = member?.life?.consumer
    if (member === undefined || consumer === undefined) return Effect.void
    const { spec } = member
    this.world.disturb(0, { group: readerOf(spec), ...place })
    const asking = this.world.within(
      spec.client,
      `what ${name} is asked`,
      2 * (spec.apiTimeout ?? 60_000)
    )(Effect.ignore(f(consumer)))
    return Effect.asVoid(this.world.work(member.life!.process, asking))
  }

  pause({ for: lasts, member: name, partitions, topic }: Script.StepOf<"pause">): Effect.Effect<void> {
    const consumer = this.of(name)?.life?.consumer
    if (consumer === undefined) return Effect.void
    const places = partitions.map((partition) => ({ topic, partition }))
    for (const place of places) this.world.disturb(lasts, { group: readerOf(this.of(name)!.spec), ...place })
    return Effect.andThen(consumer.pause(places), Effect.andThen(Effect.sleep(lasts), consumer.resume(places)))
  }

  resubscribe({ for: lasts, member: name, topic }: Script.StepOf<"resubscribe">): Effect.Effect<void> {
    const member = this.of(name)
    const life = member?.life
    const consumer = life?.consumer
    const others = member?.spec.topics.filter((one) => one !== topic) ?? []
    if (member === undefined || life === undefined || consumer === undefined || others.length === 0) return Effect.void
    const { enter, topics } = member.spec
    if (enter === "assign") return Effect.void
    // Where a topic is not there it is asked for again, as a program would that wants it.
    const to = (names: ReadonlyArray<string>) =>
      Effect.suspend(() => {
        this.disturb(member.spec)
        return consumer.resubscribe(enter === "pattern" ? Reading.patternOf(names) : names)
      }).pipe(
        Effect.retry({ schedule: Schedule.spaced("1 second"), while: () => member.alive && member.life === life }),
        Effect.ignore
      )
    this.world.disturb(lasts, { group: readerOf(member.spec), topic })
    const both = Effect.andThen(to(others), Effect.andThen(Effect.sleep(lasts), to(topics)))
    return Effect.asVoid(this.world.work(life.process, both))
  }

  /** The wall clock of a process was set: what has slept, for all that it knows, has lost its session. */
  clockSet(process: Process): void {
    for (const { life, spec } of this.members.values()) if (life?.process === process) this.disturb(spec)
  }

  seek({ back, member, partition, topic }: Script.StepOf<"seek">): Effect.Effect<void> {
    const place = { topic, partition }
    return this.ask(member, place, (consumer) =>
      back === undefined
        ? consumer.seek(place, "earliest")
        : Effect.gen({ self: this }, function* () {
            const from = yield* this.unhandled(this.specs.get(member)!, place, yield* consumer.position(place))
            yield* consumer.seek(place, Offset.at(Math.max(0, from - back)))
          })
    )
  }

  /** The first record below a position that is not handled yet: `run` holds what lies between, and a seek drops it. */
  private unhandled(spec: Script.Member, place: TopicPartition, position: number): Effect.Effect<number> {
    const { broker, timeline } = this.world
    const { partition, topic } = place
    return Effect.gen({ self: this }, function* () {
      const committed = (yield* broker.committed(spec.group ?? "")).find(
        (one) => one.topic === topic && one.partition === partition
      )
      const begins = committed?.offset ?? (spec.from === "earliest" ? 0 : position)
      const log = yield* Effect.orDie(broker.log(this.world.topic(topic), partition))
      const first = log.find(
        ({ offset, value }) => offset >= begins && !timeline.hasHandled(readerOf(spec), topic, partition, nameOf(value))
      )
      return Math.min(position, first?.offset ?? position)
    })
  }

  commit({ back, member, partition, topic }: Script.StepOf<"commit">): Effect.Effect<void> {
    const place = { topic, partition }
    const group = this.specs.get(member)?.group
    if (group === undefined) return Effect.void
    return this.ask(member, place, (consumer) =>
      Effect.gen({ self: this }, function* () {
        const offset = Math.max(0, (yield* consumer.position(place)) - back)
        yield* this.waive(group, place, offset)
        yield* consumer.commit([{ ...place, offset }])
      })
    )
  }

  /** What is committed by hand counts as handled below that offset, whatever handler is at work there. */
  private waive(reader: string, { partition, topic }: TopicPartition, below: number): Effect.Effect<void> {
    return Effect.map(Effect.orDie(this.world.broker.log(this.world.topic(topic), partition)), (log) => {
      for (const { offset, value } of log)
        if (offset < below) this.world.timeline.handle(reader, topic, partition, nameOf(value), this.world.now)
    })
  }
}
