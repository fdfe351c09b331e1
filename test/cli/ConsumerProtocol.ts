/** What `samsa groups` shows of a group of the consumer protocol: the same of an embedded broker and of a real one. */
import { assert } from "@effect/vitest"
import { Deferred, Effect, Layer, Stream } from "effect"
import { Consumer, Kafka, Membership } from "samsa"
import { words } from "./Samsa.ts"

/** By a member of group `modern`, which has both partitions of `topic`; `run` runs the command and gives what it prints. */
export const shown = <E, R>(
  bootstrap: ReadonlyArray<string>,
  topic: string,
  run: (line: string) => Effect.Effect<string, E, R>
) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({
      group: "modern",
      topics: [topic],
      from: "earliest",
      membership: Membership.consumer({ assignor: "range" })
    })
    const assigned = yield* Deferred.make<void>()
    yield* Effect.forkScoped(
      Stream.runForEach(consumer.events, (event) =>
        event._tag === "Assigned" && event.partitions.length === 2 ? Deferred.succeed(assigned, undefined) : Effect.void
      )
    )
    yield* Deferred.await(assigned)
    const [head, line] = words(yield* run("groups list")).filter(([name]) => name === "GROUP" || name === "modern")
    assert.deepStrictEqual(head, ["GROUP", "TYPE", "STATE", "PROTOCOL", "COORDINATOR"])
    assert.deepStrictEqual(line, ["modern", "consumer", "Stable", "consumer", "1"])
    const [title, ...table] = (yield* run("groups describe modern")).split("\n")
    assert.strictEqual(title, "modern: consumer, Stable, range")
    const [columns, member] = words(table.join("\n"))
    assert.deepStrictEqual(columns, ["MEMBER", "CLIENT", "HOST", "EPOCH", "PARTITIONS"])
    assert.isAbove(Number(member?.[3]), 0, "its epoch")
    assert.strictEqual(member?.[4], `${topic}-0,${topic}-1`)
    const found = JSON.parse(yield* run("groups describe modern --json"))
    assert.strictEqual(found.type, "consumer")
    assert.strictEqual(found.members.length, 1)
    // It has not committed anything yet.
    assert.match(yield* run(`print_managed_consumer_groups ${topic}`), /^modern /m)
  }).pipe(Effect.scoped, Effect.provide(Layer.fresh(Kafka.layer({ bootstrap }))))
