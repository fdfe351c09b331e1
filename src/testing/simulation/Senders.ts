/** The producers of a simulation: what they send, and what is said of it. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Result from "effect/Result"
import * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import type { KafkaError } from "../../KafkaError.ts"
import * as Partitioner from "../../Partitioner.ts"
import type * as Producer from "../../Producer.ts"
import type { Process } from "./Process.ts"
import type * as Script from "./Script.ts"
import type { World } from "./World.ts"

type Service = Producer.Producer["Service"]

const partitioners = {
  default: () => Partitioner.defaultPartitioner(),
  random: () => Partitioner.random,
  roundRobin: () => Partitioner.roundRobin,
  consistent: () => Partitioner.consistent
}

/** Records are told apart by the beginning of their value. */
export const nameOf = (value: string): string => value.split(" ", 1)[0]!

/** A value that begins with a name, of so many bytes where there is room for it. */
export const valueOf = (name: string, bytes: number): string =>
  name.length < bytes ? `${name} ${".".repeat(bytes - name.length - 1)}` : name

/** A producer in one life of its process. */
interface Open {
  readonly process: Process
  readonly scope: Scope.Closeable
  readonly service: Service
}

export class Senders {
  private readonly world: World
  private readonly specs = new Map<string, Script.Producer>()
  private readonly open = new Map<string, Open>()
  private sent = 0

  constructor(world: World) {
    this.world = world
    for (const spec of world.script.producers) this.specs.set(spec.name, spec)
  }

  /** A producer that is open, in the process that lives. */
  private service(spec: Script.Producer, process: Process): Effect.Effect<Service, KafkaError> {
    // Whoever asked may be interrupted at any turn, and leaves none that nobody closes.
    return Effect.uninterruptibleMask((restore) =>
      Effect.gen({ self: this }, function* () {
        const open = this.open.get(spec.name)
        if (open?.process === process) return open.service
        const kafka = yield* restore(process.kafka)
        const { client: _, name: __, partitioner = "default", ...settings } = spec
        const scope = yield* Scope.make()
        const service = yield* this.world.oracle
          .makeProducer({ ...settings, partitioner: partitioners[partitioner]() })
          .pipe(Effect.provideContext(kafka), Scope.provide(scope))
        const made = this.open.get(spec.name)
        if (made?.process === process) {
          yield* Scope.close(scope, Exit.void)
          return made.service
        }
        this.open.set(spec.name, { process, scope, service })
        return service
      })
    )
  }

  private entries({ bytes, count, keys, partitions, producer }: Script.StepOf<"send">) {
    return Array.from({ length: count }, () => {
      const n = this.sent++
      return {
        key: keys === 0 ? null : `k${n % keys}`,
        value: valueOf(`${producer}-${n}`, bytes),
        ...(partitions === undefined || partitions.length === 0
          ? {}
          : { partition: partitions[n % partitions.length]! })
      }
    })
  }

  /** Notes what was acknowledged, of topics whose logs are what was written. */
  private settle(value: string, outcome: Result.Result<Producer.RecordMetadata, unknown>): void {
    if (Result.isFailure(outcome)) return
    const { offset = -1, partition, topic } = outcome.success
    const { now, timeline } = this.world
    timeline.acknowledged.push({ topic, partition, offset, value: nameOf(value), at: now })
  }

  send(step: Script.StepOf<"send">): Effect.Effect<void> {
    const { world } = this
    const spec = this.specs.get(step.producer)
    if (spec === undefined) return Effect.void
    const process = world.process(spec.client)
    const topic = world.topic(step.topic)
    const budget = spec.deliveryTimeout ?? 120_000
    const within = (what: string) => world.within(spec.client, `${what} of ${spec.name}`, budget)
    const pace = Effect.sleep(step.pace ?? 0)
    const entries = this.entries(step)
    const one = (service: Service, entry: (typeof entries)[number]) =>
      Effect.map(Effect.result(within("send")(service.send(topic, entry))), (outcome) =>
        this.settle(entry.value, outcome)
      )
    const array = (service: Service, list: typeof entries) =>
      Effect.map(within("sendAll")(service.sendAll(topic, list)), (outcomes) =>
        outcomes.forEach((outcome, i) => this.settle(list[i]!.value, outcome))
      )
    const sending = Effect.gen({ self: this }, function* () {
      const service = yield* this.service(spec, process)
      switch (step.how) {
        case "send":
          for (const entry of entries) yield* Effect.andThen(one(service, entry), pace)
          return
        case "parallel":
          return yield* Effect.forEach(entries, (entry) => one(service, entry), {
            concurrency: "unbounded",
            discard: true
          })
        case "sendAll":
          for (let at = 0; at < entries.length; at += 100)
            yield* Effect.andThen(array(service, entries.slice(at, at + 100)), pace)
          return
        case "offer": {
          const acks: Array<Effect.Effect<void>> = []
          for (const entry of entries) {
            const offered = yield* Effect.result(within("offer")(service.offer(topic, entry)))
            if (Result.isSuccess(offered))
              acks.push(
                Effect.map(Effect.result(within("an acknowledgement")(offered.success)), (outcome) =>
                  this.settle(entry.value, outcome)
                )
              )
            yield* pace
          }
          return yield* Effect.all(acks, { concurrency: "unbounded", discard: true })
        }
        case "sink":
          return yield* Effect.ignore(
            Stream.run(
              Stream.tap(Stream.fromIterable(entries), () => pace),
              service.sink(topic)
            )
          )
      }
    })
    return world
      .work(process, Effect.ignore(sending))
      .pipe(
        Effect.flatMap((fiber) =>
          step.interrupt === undefined
            ? Effect.void
            : Effect.andThen(
                Effect.sleep(step.interrupt),
                world.within(spec.client, `interrupting ${spec.name}`, 0)(Fiber.interrupt(fiber))
              )
        )
      )
  }

  flush(name: string): Effect.Effect<void> {
    const spec = this.specs.get(name)
    const open = this.open.get(name)
    if (spec === undefined || open === undefined || !open.process.alive) return Effect.void
    const { client, deliveryTimeout = 120_000 } = spec
    const flushing = this.world.within(client, `flushing ${name}`, deliveryTimeout)(Effect.ignore(open.service.flush))
    return Effect.asVoid(this.world.work(open.process, flushing))
  }

  /** Closes a producer, whatever is under way; the next who sends has a new one. */
  close(name: string): Effect.Effect<void> {
    const open = this.open.get(name)
    const spec = this.specs.get(name)
    if (open === undefined || spec === undefined) return Effect.void
    this.open.delete(name)
    const { client, closeTimeout = 20_000 } = spec
    return open.process.run(
      this.world.within(client, `closing ${name}`, closeTimeout)(Scope.close(open.scope, Exit.void))
    )
  }

  /** Closes those of a process. */
  closeAll(process: Process): Effect.Effect<void> {
    const names = [...this.open].flatMap(([name, open]) => (open.process === process ? [name] : []))
    return Effect.forEach(names, (name) => this.close(name), { concurrency: "unbounded", discard: true })
  }
}
