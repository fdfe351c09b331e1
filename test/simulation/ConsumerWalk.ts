/**
 * A random walk over the whole consumer: a group whose members have clients of their own, that join, leave, die, freeze
 * and are cut off from their coordinator or from leaders alone, while partitions are leaderless, paused, slow, sought and
 * committed by hand, and another topic is deleted, made again, truncated and poisoned. Whatever is sick, what is healthy
 * must be handled within a budget, by one member at a time.
 */
import { Effect } from "effect"
import { Producer } from "samsa"
import { EmbeddedKafka, Oracle } from "samsa/testing"
import { type Choices, choices } from "../../src/testing/simulation/Choices.ts"
import * as ConversionGap from "./ConversionGap.ts"
import { sicken, sicknesses } from "./Sickness.ts"
import * as Walk from "./Walk.ts"
import {
  extra,
  extraPartitions,
  join,
  leaveAll,
  orders,
  send,
  sendHealthy,
  kafkaOf,
  ofBrokers,
  type Protocol
} from "./World.ts"

const walk = (partitions: number, choose: Choices, protocol: Protocol, failures: Array<string>) =>
  Effect.gen(function* () {
    const oracle = yield* Oracle.Oracle
    const world = ofBrokers(yield* EmbeddedKafka.EmbeddedKafka, oracle, choose, protocol)
    for (let i = choose.between(1, 4); i > 0; i--) yield* join(world)
    // With `latest` what is sent before the group has its positions is nobody's.
    yield* Effect.sleep(5_000)
    const wanted: Array<string> = []
    for (let phase = 0; phase < 4; phase++) {
      const sickness = choose.of(sicknesses)
      const phaseOf = Effect.gen(function* () {
        const sick = yield* sicken(world, sickness, partitions)
        const due = [...sick.due, ...(yield* sendHealthy(world, partitions, sick.partitions))]
        // Those that are cut off lose what they have, and a rebalance waits for them.
        yield* oracle.within(
          `healthy partitions, while ${sickness} (phase ${phase})`,
          "70 seconds"
        )(world.awaitHandled(due))
        wanted.push(...due)
      })
      yield* Effect.scoped(phaseOf)
      if (choose.chance(0.4) && world.members.length < 5) yield* join(world)
      wanted.push(...(yield* send(world, "orders", [choose.below(partitions)])))
    }
    yield* oracle.within("everything, when all is well again", "2 minutes")(world.awaitHandled(wanted))
    yield* leaveAll(world)
    // A deleted topic may be told to whoever reads it.
    failures.push(...world.failures.filter((failure) => !/UnknownTopic.*\[extra/.test(failure)))
  })

/**
 * Walks from a seed. What is told of the other topic's log is left out, as nobody can say what it should hold, and what
 * Kafka's gap at a conversion brings about.
 */
export const run = (
  seed: number,
  protocol: Protocol = "classic"
): Effect.Effect<Walk.Run & { readonly failures: ReadonlyArray<string> }, unknown> => {
  const failures: Array<string> = []
  const choose = choices(seed)
  const partitions = choose.of([1, 2, 3, 4, 6, 12, choose.chance(0.1) ? 200 : 20])
  const replicationFactor = choose.of([1, 1, 3])
  const compression = choose.of(["none", "gzip", "snappy", "lz4", "zstd"] as const)
  const topics = [
    { name: orders, partitions, replicationFactor },
    { name: extra, partitions: extraPartitions, replicationFactor: 3 }
  ]
  const gap = ConversionGap.make("g")
  const alone = Effect.provide(walk(partitions, choose, protocol, failures), Producer.layer({ compression }))
  const walked = protocol === "mixed" ? Effect.andThen(gap.watch, alone) : alone
  return Effect.map(Walk.run(seed, { kafka: { topics, ...kafkaOf(protocol) }, limit: 20 * 60_000 }, walked), (it) => ({
    ...it,
    failures,
    violations: gap.without(it).violations.filter(({ topic }) => topic !== "extra")
  }))
}
