/** Room for batches that become large: none of them waits for ever, whatever their neighbours have in hand. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Compression } from "samsa"
import type { FetchBuffer } from "../../src/fetch/FetchBuffer.ts"
import type { FetchedPartition } from "../../src/fetch/FetchedPartition.ts"
import type { FetchScheduler } from "../../src/fetch/FetchScheduler.ts"
import { Pulls } from "../../src/fetch/Pulls.ts"
import type { Loop } from "../../src/engine/Loop.ts"
import type { PartitionReader } from "../../src/Transport.ts"
import { append, batch, calm, consumer, layer, pulled, read, until } from "./Reading.ts"

const two = layer({ topics: [{ name: "t", partitions: 2 }] })
const compression = Compression.gzip()
/** A pool of 128 KiB, and a share of 64 KiB for each of the two. */
const small = { bufferBytes: 262_144 }

const opened = (partition: number) => (fetching: Effect.Success<ReturnType<typeof consumer>>) =>
  fetching.open({ topic: "t", partition }, 0)

describe("a batch that becomes more than there is room for", () => {
  for (const how of ["is paused", "is not read on"] as const)
    it.effect(`is read though a neighbour that ${how} has something decompressed within its share`, () =>
      Effect.gen(function* () {
        const fetching = yield* consumer(small)
        yield* append("t", 0, batch(4200, 2, { compression }))
        const neighbour = yield* opened(0)(fetching)
        yield* pulled(neighbour)
        assert.strictEqual(neighbour.position(), 4096, "the rest is decompressed")
        if (how === "is paused") neighbour.pause()
        yield* append("t", 1, batch(3, 100_000, { compression }))
        const reading = yield* Effect.flatMap(opened(1)(fetching), read)
        yield* until("it is read", () => reading.offsets.length === 3, 5000)
        neighbour.resume()
        yield* pulled(neighbour)
        assert.strictEqual(neighbour.position(), 4200)
      }).pipe(Effect.scoped, Effect.provide(two))
    )

  it.effect("takes turns with a neighbour that has one such batch after the other", () =>
    Effect.gen(function* () {
      const fetching = yield* consumer(small)
      const given: Array<string> = []
      const goOn = (name: string, reader: PartitionReader) =>
        Effect.forkScoped(
          Effect.forever(Effect.map(reader.pull, ({ records }) => void (records.length > 0 && given.push(name))))
        )
      for (let i = 0; i < 6; i++) yield* append("t", 0, batch(5000, 60, { compression }))
      yield* append("t", 1, batch(5000, 60, { compression }))
      const greedy = yield* opened(0)(fetching)
      const modest = yield* opened(1)(fetching)
      yield* until("both are fetched", () => [greedy, modest].every((one) => one.endOffset() !== undefined))
      yield* pulled(greedy)
      yield* goOn("modest", modest)
      yield* calm
      assert.deepStrictEqual(given, [], "the other's batch is in hand")
      yield* goOn("greedy", greedy)
      yield* until("both are read", () => greedy.position() === 30_000 && modest.position() === 5000, 10_000)
      assert.deepStrictEqual(given.slice(0, 3), ["greedy", "modest", "modest"], "behind the batch in hand")
    }).pipe(Effect.scoped, Effect.provide(two))
  )

  it.effect("is read though the one before it was decompressed beside the event loop (loading-for-ever)", () =>
    Effect.gen(function* () {
      // In turns, and not in another thread, whose time is no test clock's.
      const beside: Compression.Codec = {
        ...compression,
        decompressLarge: (bytes, limit) =>
          Effect.andThen(
            Effect.yieldNow,
            Effect.sync(() => compression.decompress(bytes, limit))
          )
      }
      const large = batch(20, 100_000, { compression })
      yield* append("t", 0, large, large)
      const fetching = yield* Effect.provide(consumer(), Compression.layer(beside))
      const reading = yield* Effect.flatMap(opened(0)(fetching), read)
      yield* until("both are read", () => reading.offsets.length === 40, 5000)
    }).pipe(Effect.scoped, Effect.provide(two))
  )
})

it.effect("what comes between a look and the wait is given at once (came-while-yielding)", () =>
  Effect.gen(function* () {
    const array = { records: [], nextOffset: 1, endOffset: 1 }
    let looks = 0
    const partition = {
      isAwaited: false,
      isReady: true,
      needs: 0,
      plain: 0,
      // Nothing is there when it is looked at first, and the fiber yields before it waits.
      take: () => (looks++ === 0 ? undefined : array),
      takeFailure: () => undefined
    } as unknown as FetchedPartition
    const scheduler = { room: () => 1, isOver: () => false } as unknown as FetchScheduler<FetchedPartition>
    const loop = { now: () => 0, wake: () => {} } as unknown as Loop
    const pulls = new Pulls(scheduler, { dead: 0 } as FetchBuffer, loop)
    const fiber = yield* Effect.forkChild(pulls.pull(partition), { startImmediately: true })
    yield* calm
    assert.strictEqual(fiber.pollUnsafe()?._tag, "Success")
    assert.isFalse(partition.isAwaited)
  })
)
