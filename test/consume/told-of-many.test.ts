/** Of thousands of partitions a line of the log names some. */
import { assert, it } from "@effect/vitest"
import { Effect, Stream } from "effect"
import { Consumer, Topic } from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"
import { heard, of } from "../Heard.ts"
import { scoped, until } from "./Harness.ts"

const layer = KafkaTest.layer({ topics: [{ name: "many", partitions: 300 }] })

it.effect("of a topic that is deleted twenty partitions are named (each was)", () =>
  Effect.gen(function* () {
    const broker = yield* EmbeddedKafka.EmbeddedKafka
    const consumer = yield* Consumer.assign({ topics: [Topic.bytes("many")], from: "earliest" })
    yield* Effect.forkScoped(Stream.runDrain(consumer.stream))
    yield* until("it is read", () => of("assigned").length > 0)
    yield* broker.deleteTopic("many")
    yield* until("it is noticed", () => of("topicDeleted").length > 0)
    assert.match(of("topicDeleted")[0]!.text, /many-19 and 280 more are given up$/)
  }).pipe(scoped, Effect.provide(layer), heard)
)
