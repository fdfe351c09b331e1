import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { TestClock } from "effect/testing"
import { Broker, Cluster, Consumer } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import * as ConsumerProtocol from "samsa/protocol/messages/ConsumerProtocol"
import * as JoinGroup from "samsa/protocol/messages/JoinGroup"
import * as Wire from "samsa/protocol/Wire"

// A member of a time to come: version 9 of the consumer protocol, with a field behind those that are known.
const subscriptionOfTheFuture = () => {
  const known = Wire.compile(ConsumerProtocol.Subscription, 3).write({ topics: ["t"] })
  const bytes = new Uint8Array(2 + known.length + 5)
  bytes[1] = 9
  bytes.set(known, 2)
  return bytes
}

it.effect("a leader of ours reads the subscription of a member that speaks a newer consumer protocol", () =>
  Effect.gen(function* () {
    const embedded = yield* EmbeddedKafka.EmbeddedKafka
    const cluster = yield* Cluster.Cluster
    const ours = yield* Consumer.subscribe({ group: "g", topics: ["t"], from: "earliest" })
    yield* Effect.forkScoped(Stream.runDrain(ours.stream))
    yield* embedded.awaitGroup("g", { state: "Stable", members: 1 })
    const broker: Broker.Broker = yield* cluster.coordinator("group", "g")
    const join = (memberId: string) =>
      broker.send(
        JoinGroup,
        () => ({
          groupId: "g",
          sessionTimeoutMs: 30_000,
          rebalanceTimeoutMs: 30_000,
          memberId,
          protocolType: "consumer",
          protocols: [{ name: "range", metadata: subscriptionOfTheFuture() }]
        }),
        { channel: "future" }
      )
    const { memberId } = yield* join("")
    yield* Effect.forkScoped(join(memberId))
    yield* embedded.awaitGroup("g", { members: 2 })
    yield* Effect.forkScoped(Effect.forever(Effect.andThen(TestClock.adjust("100 millis"), Effect.yieldNow)))
    const group = yield* embedded.awaitGroup("g", { state: "Stable", members: 2 })
    const shares = group.members.map(({ assignment }) => {
      const { assignedPartitions } = Wire.compile(ConsumerProtocol.Assignment, 1).read(assignment.subarray(2))
      return assignedPartitions.flatMap((topic) => topic.partitions)
    })
    assert.deepStrictEqual(shares.flat().sort(), [0, 1, 2, 3])
    assert.isTrue(shares.every((partitions) => partitions.length === 2))
  }).pipe(Effect.scoped, Effect.provide(KafkaTest.layer({ topics: [{ name: "t", partitions: 4 }] })))
)
