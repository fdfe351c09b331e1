/** The consumers of a simulation: how each is made, and how it reads. */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Schedule from "effect/Schedule"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import * as Assignor from "../../Assignor.ts"
import * as Consumer from "../../Consumer.ts"
import type { Kafka } from "../../Kafka.ts"
import * as Membership from "../../Memberships.ts"
import * as Producer from "../../Producer.ts"
import * as Topic from "../../Topic.ts"
import type { Handled, Handlers } from "./Handlers.ts"
import type * as Script from "./Script.ts"
import type { AnyTopic, World } from "./World.ts"

export type Read = Consumer.RecordOf<AnyTopic>

const assignors = {
  range: Assignor.range,
  roundRobin: Assignor.roundRobin,
  sticky: Assignor.sticky,
  cooperativeSticky: Assignor.cooperativeSticky
}

const membershipOf = (spec: Script.Member) => {
  const { assignor = "range", heartbeatInterval, instanceId, leaveTimeout, protocol, rack } = spec
  const { assignors: several = [assignor], rebalanceTimeout, sessionTimeout } = spec
  const common = {
    ...(instanceId === undefined ? {} : { instanceId }),
    ...(leaveTimeout === undefined ? {} : { leaveTimeout }),
    ...(rebalanceTimeout === undefined ? {} : { rebalanceTimeout }),
    ...(sessionTimeout === undefined ? {} : { sessionTimeout }),
    metadataMaxAge: metadataMaxAge
  }
  return protocol === "consumer"
    ? Membership.consumer({
        assignor: spec.assignor === "range" ? "range" : "uniform",
        ...(rack === undefined ? {} : { rack }),
        ...common
      })
    : Membership.classic({
        assignors: several.map((one) => assignors[one]),
        ...(heartbeatInterval === undefined ? {} : { heartbeatInterval }),
        ...common
      })
}

/** How soon members hear of topics and partitions that were not there. */
export const metadataMaxAge = 20_000

/** What matches these topics, and no others. */
export const patternOf = (names: ReadonlyArray<string>): RegExp =>
  new RegExp(`^(${names.map((name) => name.replaceAll(".", "\\.")).join("|")})$`)

/** The consumer of a member, watched. */
export const consumer = (world: World, spec: Script.Member) => {
  const { oracle } = world
  const topics = spec.topics.map((name) => world.topic(name))
  const { bufferBytes, hooks, maxBytes, maxPartitionBytes, maxWait, minBytes, rack: clientRack } = spec
  const hook = () => (hooks === undefined || world.isOver ? Effect.void : Effect.sleep(hooks))
  const settings = {
    isolation: spec.isolation,
    onOutOfRange: spec.onOutOfRange ?? ("nearest" as const),
    commitInterval: spec.commitInterval,
    commitEvery: spec.commitEvery,
    commitTimeout: spec.commitTimeout,
    drainTimeout: spec.drainTimeout,
    closeTimeout: spec.closeTimeout,
    apiTimeout: spec.apiTimeout,
    maxRecords: spec.maxRecords,
    progressTimeout: spec.progressTimeout,
    onStalled: spec.onStalled,
    fetch: { bufferBytes, clientRack, maxBytes, maxPartitionBytes, maxWait, minBytes }
  }
  const ofGroup = {
    ...settings,
    group: spec.group ?? "",
    from: spec.from,
    membership: membershipOf(spec),
    ...(hooks === undefined ? {} : { onAssigned: hook, onRevoked: hook, onLost: hook })
  }
  switch (spec.enter) {
    case "subscribe":
      return oracle.subscribe({ ...ofGroup, topics })
    case "pattern":
      // Topics of bytes: what is read of them is the same.
      return oracle.subscribePattern({
        ...ofGroup,
        pattern: patternOf(spec.topics)
      }) as unknown as ReturnType<typeof oracle.subscribe<typeof topics>>
    case "assign":
      return oracle.assign({
        ...settings,
        topics,
        from: spec.from,
        ...(spec.group === undefined ? {} : { group: spec.group })
      })
  }
}

/** Reads until the consumer ends, in the member's way, which is not `process`. `id` is the member in one of its lives. */
export const read = (
  handlers: Handlers,
  spec: Script.Member,
  id: string,
  consumer: Consumer.Consumer<Read>
): Effect.Effect<unknown, unknown, Kafka | Scope.Scope> => {
  const handle = (record: Read) => {
    const value: unknown = record.value
    const text = typeof value === "string" ? value : Buffer.from(value as Uint8Array).toString()
    const { offset, partition, topic } = record
    return handlers.handle(spec, id, { topic, partition, offset, value: text } satisfies Handled)
  }
  // Which ones, says the offset: whoever has the partition next forgets the same, and nothing is committed beyond it.
  const isForgotten = ({ offset }: Read) => spec.forgets !== undefined && offset % spec.forgets === spec.forgets - 1
  const marked = (record: Read) =>
    isForgotten(record) ? handle(record) : Effect.andThen(handle(record), Consumer.done(record))
  const { deadLetter, retries } = spec
  const spaced = Schedule.spaced("500 millis")
  const retry = retries === undefined ? spaced : Schedule.upTo(spaced, { times: retries })
  const run = (policy: Consumer.RunPolicy<string>) =>
    deadLetter === undefined
      ? consumer.run(handle, policy)
      : Effect.flatMap(Producer.make({ closeTimeout: spec.closeTimeout }), (producer) =>
          Effect.provideService(
            consumer.run(handle, { ...policy, deadLetter: Topic.bytes(deadLetter) }),
            Producer.Producer,
            producer
          )
        )
  switch (spec.way) {
    case "run":
      return run({ retry })
    case "keys":
    case "none":
      return run({ retry, order: spec.way === "keys" ? "key" : "none", concurrency: spec.concurrency ?? 4 })
    case "stream":
      return Stream.runForEach(consumer.stream, marked)
    case "partitions":
      return consumer.partitions.pipe(
        Stream.mapEffect(({ records }) => Stream.runForEach(records, marked), { concurrency: "unbounded" }),
        Stream.runDrain
      )
    case "eachPartition":
      return consumer.eachPartition(({ records }) => Stream.runForEach(records, marked))
    case "process":
      return Effect.die("a chain reads otherwise")
    case "poll":
      return Effect.scoped(
        Effect.flatMap(Stream.toPull(consumer.stream), (pull) =>
          Effect.forever(
            Effect.flatMap(Effect.timeoutOption(pull, "1 second"), (array) =>
              Option.isNone(array) ? Effect.void : Effect.forEach(array.value, marked, { discard: true })
            )
          )
        )
      )
  }
}
