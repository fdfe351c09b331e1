/** Fetch sessions (KIP-227): what is asked for once and told only where it changed. */
import { Effect } from "effect"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import type { Client } from "../Client.ts"
import type { Ask, Case, Topic } from "../Lab.ts"
import { batch } from "../Records.ts"
import { fetch, type FetchOptions, produce, type Wanted } from "./Fetch.ts"

type Response = (typeof Fetch.Response.schema)["Type"]

const told = (response: Response) => ({
  errorCode: response.errorCode,
  sessionId: response.sessionId,
  partitions: response.responses.flatMap((each) =>
    each.partitions.map((partition) => ({
      topic: each.topic,
      topicId: each.topicId,
      partition: partition.partitionIndex,
      errorCode: partition.errorCode,
      highWatermark: partition.highWatermark,
      bytes: partition.records?.length ?? null
    }))
  )
})

const versions = (ask: Ask) => [7, 12, Math.min(ask.newest(Fetch), 17)]

/** A dialogue: each step asks and tells; the id of the session is the first that is given. */
const dialogue = (
  ask: Ask,
  f: (
    step: (
      wanted: ReadonlyArray<Wanted>,
      epoch: number,
      options?: FetchOptions & { readonly id?: number }
    ) => Effect.Effect<void, any, any>,
    topic: Topic
  ) => Effect.Effect<void, any, any>
) =>
  Effect.gen(function* () {
    const out: { [version: string]: unknown } = {}
    for (const version of new Set(versions(ask))) {
      const topic = yield* ask.topic(`-${version}`, { replicas: [[1], [1], [2]] })
      const client: Client = yield* ask.connect()
      const answers: Array<unknown> = []
      let id = 0
      const step = (
        wanted: ReadonlyArray<Wanted>,
        epoch: number,
        options: FetchOptions & { readonly id?: number } = {}
      ) =>
        Effect.map(
          fetch(client, version, wanted, { ...options, session: [options.id ?? (epoch > 0 ? id : 0), epoch] }),
          (response) => {
            if (epoch === 0) id = response.sessionId
            answers.push(told(response))
          }
        )
      yield* f(step, topic)
      out[`v${version}`] = answers
    }
    return out
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "Fetch",
    behaviour: "a session is opened, and tells later only what changed",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const [p0, p1] = [
            { topic, partition: 0 },
            { topic, partition: 1 }
          ]
          yield* step([p0, p1], 0)
          yield* step([], 1)
          yield* produce(ask, topic, batch(["a"]), { index: 1 })
          yield* step([], 2)
          // the position is as before: it is told again
          yield* step([], 3)
          yield* step([{ ...p1, offset: 1 }], 4)
          yield* step([], 5)
          yield* produce(ask, topic, batch(["b"]))
          yield* produce(ask, topic, batch(["c"]), { index: 1 })
          yield* step([], 6)
        })
      )
  },
  {
    api: "Fetch",
    behaviour: "partitions are added to a session and forgotten",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const [p0, p1] = [
            { topic, partition: 0 },
            { topic, partition: 1 }
          ]
          yield* produce(ask, topic, batch(["a"]))
          yield* produce(ask, topic, batch(["b"]), { index: 1 })
          yield* step([p0], 0)
          yield* step([p1], 1)
          yield* step([], 2, { forgotten: [p0] })
          yield* step([{ ...p1, offset: 1 }], 3)
          yield* step([p0], 4, { forgotten: [p0] })
          yield* step([], 5)
          yield* step([], 6, { forgotten: [p0, p1] })
          yield* step([p0], 7)
        })
      )
  },
  {
    api: "Fetch",
    behaviour: "a session with the wrong epoch, or an id that is not known",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const p0 = { topic, partition: 0 }
          yield* step([p0], 0)
          yield* step([], 2)
          yield* step([], 1)
          yield* step([], 1)
          yield* step([], 2)
          yield* step([p0], 1, { id: 12345 })
          yield* step([p0], 5, { id: 0 })
        })
      )
  },
  {
    api: "Fetch",
    behaviour: "a session ends by epoch -1, and by a new one",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const p0 = { topic, partition: 0 }
          yield* step([p0], 0)
          yield* step([p0], -1)
          yield* step([], 1)
          yield* step([p0], 0)
          yield* step([p0], -1, { id: 77 })
          yield* step([], 0)
        })
      )
  },
  {
    api: "Fetch",
    behaviour: "a session tells an error again and again, until it is over",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const p0 = { topic, partition: 0 }
          const elsewhere = { topic, partition: 2 }
          const absent = { topic, partition: 9 }
          yield* step([p0, elsewhere, absent], 0)
          yield* step([], 1)
          yield* step([{ ...p0, offset: 55 }], 2)
          yield* step([], 3)
          yield* step([p0], 4)
        })
      )
  },
  {
    api: "Fetch",
    behaviour: "a session holds a request until something changed",
    ask: (ask) =>
      dialogue(ask, (step, topic) =>
        Effect.gen(function* () {
          const p0 = { topic, partition: 0 }
          yield* step([p0], 0)
          yield* step([], 1, { wait: 100, min: 1 })
          yield* produce(ask, topic, batch(["a"]))
          yield* step([], 2, { wait: 10_000, min: 1 })
        })
      )
  }
]
