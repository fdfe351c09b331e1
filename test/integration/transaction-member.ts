/** A member of a chain in a process of its own, which can be killed: copies a topic into another one, exactly once. */
import { Effect, Layer, Stream } from "effect"
import { Consumer, Kafka, Membership, Producer, Topic, Transaction } from "samsa"

const [bootstrap, transactionalId, group, from, to] = process.argv.slice(2) as [string, string, string, string, string]
const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))
const [source, target] = [Topic.bytes(from), Topic.bytes(to)]

const program = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group,
    topics: [source],
    from: "earliest",
    drainTimeout: "4 seconds",
    membership: Membership.classic({ sessionTimeout: "6 seconds", heartbeatInterval: "1 second" })
  })
  yield* Effect.forkScoped(Stream.runForEach(consumer.events, (event) => say(event._tag)))
  yield* Transaction.process(
    consumer,
    (records) =>
      Effect.gen(function* () {
        const producer = yield* Producer.Producer
        yield* producer.sendAll(
          target,
          records.map(({ key, partition, value }) => ({ key, value: value!, partition }))
        )
        yield* say(`sent ${records.length}`)
        // long enough to be killed within
        yield* Effect.sleep("30 millis")
      }),
    { maxRecords: 100, maxTime: "50 millis" }
  )
}).pipe(Effect.scoped)

// Longer than a broker is away: 4.4.0 forgets to abort what times out while its partition has no leader (docs/transactions.md).
const layer = Transaction.layer({ transactionalId, transactionTimeout: "30 seconds" }).pipe(
  Layer.provideMerge(Kafka.layer({ bootstrap: bootstrap.split(",") }))
)
Effect.runFork(
  program.pipe(
    Effect.provide(layer),
    Effect.catchCause((cause) =>
      Effect.andThen(
        say(`failed ${String(cause)}`),
        Effect.sync(() => process.exit(1))
      )
    )
  )
)
