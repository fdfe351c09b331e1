/**
 * A member of the consumer protocol in a process of its own, so that it can be killed and frozen: `node FILE OPTIONS`, the
 * options in JSON; a line of JSON for each record that is handled, and for each event. SIGTERM: it leaves.
 */
import * as Fs from "node:fs"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Logger, Stream } from "effect"
import { Consumer, Kafka, Membership } from "samsa"

const options = JSON.parse(process.argv[2]!) as {
  readonly bootstrap: ReadonlyArray<string>
  readonly topic: string
  readonly membership: Membership.ConsumerOptions
}

const say = (event: string, more: object): void => {
  Fs.writeSync(1, `${JSON.stringify({ event, at: Date.now(), ...more })}\n`)
}

const program = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group: options.topic,
    topics: [options.topic],
    from: "earliest",
    commitInterval: "200 millis",
    membership: Membership.consumer(options.membership)
  })
  yield* Effect.forkScoped(
    Stream.runForEach(consumer.events, (event) =>
      Effect.sync(() => {
        if (event._tag === "Assigned" || event._tag === "Revoked" || event._tag === "Lost")
          say(event._tag, { partitions: event.partitions.map(({ partition }) => partition) })
      })
    )
  )
  yield* consumer.run(({ offset, partition, value }) =>
    Effect.sync(() => say("done", { partition, offset, value: Buffer.from(value!).toString() }))
  )
}).pipe(Effect.scoped)

NodeRuntime.runMain(
  program.pipe(
    Effect.provide(Kafka.layer({ bootstrap: options.bootstrap })),
    Effect.provide(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
  )
)
