/**
 * A member of a group in ZooKeeper in a process of its own, so that it can be killed and frozen: `node FILE OPTIONS`, the
 * options in JSON; a line of JSON for each record that is handled, and for each event. SIGTERM: it leaves. SIGUSR2: its
 * session is ended at the server, as an expiry would. With `freeze` it stops itself (SIGSTOP) beside the first request
 * of that kind about a claim.
 */
import * as Fs from "node:fs"
import { NodeRuntime } from "@effect/platform-node"
import { Effect, Layer, Logger, Stream } from "effect"
import { Consumer, Kafka, Membership, ZooKeeper } from "samsa"
import library from "node-zookeeper-client"

const options = JSON.parse(process.argv[2]!) as {
  readonly zooKeeper: string
  readonly group: string
  readonly topic: string
  readonly sessionTimeout?: number
  readonly work?: number
  readonly commitInterval?: number
  readonly drainTimeout?: number
  readonly membership?: Membership.ZooKeeperOptions
  readonly freeze?: {
    readonly at: "create" | "remove"
    /** Before it is sent, once it is sent, or when it is answered and nobody was told. */
    readonly when: "before" | "sent" | "answered"
  }
}

const say = (event: string, more: object): void => {
  Fs.writeSync(1, `${JSON.stringify({ event, ...more })}\n`)
}

interface RawClient {
  readonly connect: () => void
  readonly close: () => void
  readonly once: (event: string, listener: () => void) => void
  readonly getSessionId: () => Uint8Array
  readonly getSessionPassword: () => Uint8Array
  create: Request
  remove: Request
}
type Request = (path: string, ...more: Array<unknown>) => void
const raw = library as unknown as { createClient: (connect: string, options: object) => RawClient }
const createClient = raw.createClient
let last: RawClient | undefined
let isToFreeze = options.freeze !== undefined
const freeze = (): void => {
  if (!isToFreeze) return
  isToFreeze = false
  say("frozen", {})
  process.kill(process.pid, "SIGSTOP")
}
raw.createClient = (connect, settings) => {
  const client = (last = createClient(connect, settings))
  if (options.freeze === undefined) return client
  const { at, when } = options.freeze
  const request = client[at].bind(client)
  client[at] = (path, ...more) => {
    if (!path.includes("/owners/")) return request(path, ...more)
    if (when === "before") freeze()
    const answered = more.pop() as (...answer: ReadonlyArray<unknown>) => void
    request(path, ...more, (...answer: ReadonlyArray<unknown>) => {
      if (when === "answered") freeze()
      answered(...answer)
    })
    if (when === "sent") setImmediate(freeze)
  }
  return client
}

process.on("SIGUSR2", () => {
  const other = createClient(options.zooKeeper, {
    sessionTimeout: 6000,
    sessionId: last!.getSessionId(),
    sessionPassword: last!.getSessionPassword()
  })
  other.once("connected", () => other.close())
  other.connect()
})

const program = Effect.gen(function* () {
  const consumer = yield* Consumer.subscribe({
    group: options.group,
    topics: [options.topic],
    from: "earliest",
    drainTimeout: options.drainTimeout ?? 8000,
    commitInterval: options.commitInterval ?? 500,
    fetch: { maxWait: "100 millis" },
    membership: Membership.zooKeeper(options.membership)
  })
  yield* Effect.forkScoped(
    Stream.runForEach(consumer.events, (event) =>
      Effect.sync(() => {
        if ("partitions" in event) {
          say(event._tag.toLowerCase(), { partitions: event.partitions.map(({ partition }) => partition) })
        }
      })
    )
  )
  yield* consumer.run((record) => {
    say("record", { partition: record.partition, offset: record.offset })
    return options.work === undefined ? Effect.void : Effect.sleep(options.work)
  })
}).pipe(
  Effect.scoped,
  Effect.tapError((error) => Effect.sync(() => say("failed", { message: String(error) })))
)

program.pipe(
  Effect.provide(
    Kafka.layerZooKeeper({}).pipe(
      Layer.provideMerge(
        ZooKeeper.layer({ connect: options.zooKeeper, sessionTimeout: options.sessionTimeout ?? 4000 })
      ),
      Layer.provideMerge(Logger.layer([Logger.withConsoleError(Logger.formatSimple)]))
    )
  ),
  NodeRuntime.runMain
)
