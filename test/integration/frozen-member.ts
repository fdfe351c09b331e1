/** A member of group `frozen` in a process of its own, which can be stopped and gone on: it says what it does. */
import { Effect, Stream } from "effect"
import { Consumer, Kafka, Membership } from "samsa"

const say = (line: string) => Effect.sync(() => void process.stdout.write(`${line}\n`))

const program = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group: "frozen",
    topics: ["frozen"],
    from: "earliest",
    commitInterval: "500 millis",
    membership: Membership.classic({ sessionTimeout: "6 seconds", heartbeatInterval: "2 seconds" })
  })
  yield* Effect.forkScoped(Stream.runForEach(consumer.events, (event) => say(event._tag)))
  yield* consumer.run(({ offset, partition }) => say(`done ${partition}:${offset}`))
}).pipe(Effect.scoped)

Effect.runFork(Effect.provide(program, Kafka.layer({ bootstrap: process.argv[2]!.split(",") })))
