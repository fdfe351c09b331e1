/**
 * A process of a simulation: a client of its own, with a clock, a network and fibers that are counted. It may stand still
 * (its timers do not fire and it hears nothing, and then all of it at once, in either order), and end without a word.
 */
import type * as Clock from "effect/Clock"
import { Clock as ClockService } from "effect/Clock"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Metric from "effect/Metric"
import * as Redacted from "effect/Redacted"
import * as Scope from "effect/Scope"
import * as Kafka from "../../Kafka.ts"
import type { KafkaError } from "../../KafkaError.ts"
import { Network } from "../../Network.ts"
import * as Telemetry from "../../Telemetry.ts"
import { user } from "./ClusterOptions.ts"
import type { Links } from "./Links.ts"
import type * as Script from "./Script.ts"
import type { VirtualTime } from "./VirtualTime.ts"

export class Process {
  readonly client: string
  /** One life of that client. */
  readonly id: string
  alive = true
  /** Fibers that have begun and not ended. */
  fibers = 0
  /** Timers that have begun and not ended. */
  sleepers = 0
  private still = 0
  /** What its wall clock shows beyond the time. */
  private ahead = 0
  /** When it went on the last time, after it had stood still. */
  wokenAt = -Infinity
  private woken: Array<() => void> = []
  /** Time as it has it. */
  readonly clock: Clock.Clock
  private readonly spec: Script.Client
  private readonly time: VirtualTime
  private readonly links: Links
  private readonly bootstrap: ReadonlyArray<string>
  private readonly authenticates: boolean
  private readonly scope = Scope.makeUnsafe()
  private building: Fiber.Fiber<Context.Context<Kafka.Kafka>, KafkaError> | undefined

  constructor(
    spec: Script.Client,
    life: number,
    time: VirtualTime,
    links: Links,
    bootstrap: ReadonlyArray<string>,
    authenticates: boolean
  ) {
    this.spec = spec
    this.client = spec.name
    this.id = `${spec.name}.${life}`
    this.time = time
    this.links = links
    this.bootstrap = bootstrap
    this.authenticates = authenticates
    this.clock = this.clockOf(time.clock)
  }

  get isStill(): boolean {
    return this.still > 0
  }

  freeze(): void {
    this.still++
  }

  thaw(timersFirst: boolean): void {
    if (--this.still > 0) return
    this.wokenAt = this.time.elapsed
    const wake = () => {
      const { woken } = this
      this.woken = []
      for (const each of woken) each()
    }
    if (timersFirst) wake()
    this.links.flow()
    wake()
  }

  /** Sets the wall clock; the monotonic one goes on. */
  setClock(by: number): void {
    this.ahead += by
  }

  private readonly thawed: Effect.Effect<void> = Effect.callback((resume) => {
    if (!this.isStill) return resume(Effect.void)
    this.woken.push(() => resume(Effect.void))
  })

  /** Its wall clock may be set, and it sleeps in the time of this process: not while it stands still. */
  private clockOf(clock: Clock.Clock): Clock.Clock {
    const millis = () => clock.currentTimeMillisUnsafe() + this.ahead
    const nanos = () => clock.currentTimeNanosUnsafe() + BigInt(this.ahead) * 1_000_000n
    return {
      ...clock,
      currentTimeMillisUnsafe: millis,
      currentTimeMillis: Effect.sync(millis),
      currentTimeNanosUnsafe: nanos,
      currentTimeNanos: Effect.sync(nanos),
      sleep: (duration) =>
        Effect.callback<void>((resume) => {
          const millis = Duration.toMillis(duration)
          if (millis === Infinity) return
          this.sleepers++
          let over = false
          const end = () => {
            if (!over) this.sleepers--
            over = true
          }
          const fire = () => {
            if (over) return
            if (this.isStill) return void this.woken.push(fire)
            end()
            resume(Effect.void)
          }
          const cancel = this.time.after(millis, fire)
          return Effect.sync(() => {
            cancel()
            end()
          })
        })
    }
  }

  /** An Effect that this process runs. */
  run<A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> {
    return Effect.andThen(this.thawed, self).pipe(
      Effect.provideService(ClockService, this.clock),
      Effect.provideService(Metric.FiberRuntimeMetrics, this.counted)
    )
  }

  private readonly counted: Metric.FiberRuntimeMetricsService = {
    recordFiberStart: () => void this.fibers++,
    recordFiberEnd: () => void this.fibers--
  }

  /** Its client: the first who asks has it built, also where he leaves meanwhile. What has failed is built anew. */
  get kafka(): Effect.Effect<Context.Context<Kafka.Kafka>, KafkaError> {
    return Effect.suspend(() => {
      if (this.building !== undefined) return Fiber.join(this.building)
      const { name: clientId, telemetry = false, ...settings } = this.spec
      const network = this.links.network({ client: this.client, process: this.id, isStill: () => this.isStill })
      const sasl = { mechanism: "PLAIN", username: user.username, password: Redacted.make(user.password) } as const
      const kafka = Layer.provide(
        Kafka.layerWithoutNetwork({
          bootstrap: this.bootstrap,
          clientId,
          ...(this.authenticates ? { sasl } : {}),
          ...settings
        }),
        Layer.succeed(Network, network)
      )
      const layer = telemetry ? Layer.provideMerge(Telemetry.layer(), kafka) : kafka
      return Effect.flatMap(Effect.forkIn(Layer.buildWithScope(layer, this.scope), this.scope), (fiber) => {
        this.building = fiber
        fiber.addObserver((exit) => {
          if (Exit.isFailure(exit)) this.building = undefined
        })
        return Fiber.join(fiber)
      })
    })
  }

  /** Ends it in order: what it has must be closed before. */
  get close(): Effect.Effect<void> {
    return Effect.suspend(() => {
      this.alive = false
      return this.run(Scope.close(this.scope, Exit.void))
    })
  }
}
