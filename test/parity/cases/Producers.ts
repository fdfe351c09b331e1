/** InitProducerId: ids, epochs, and who is fenced. */
import { Effect } from "effect"
import * as InitProducerId from "../../../src/protocol/messages/InitProducerId.ts"
import type { Client } from "../Client.ts"
import { type Case, until } from "../Lab.ts"

interface Options {
  readonly transactionalId?: string
  readonly id?: number
  readonly epoch?: number
  readonly timeout?: number
}

const init = (client: Client, version: number, options: Options = {}) =>
  until(
    "the broker has ids to give",
    client.send(InitProducerId, version, {
      transactionalId: options.transactionalId ?? null,
      transactionTimeoutMs: options.timeout ?? 60_000,
      ...(version >= 3 ? { producerId: options.id ?? -1, producerEpoch: options.epoch ?? -1 } : {})
    }),
    ({ errorCode }) => errorCode !== loading
  )
/** COORDINATOR_LOAD_IN_PROGRESS: so a broker answers while it asks the controller for more ids. */
const loading = 14

/** The coordinator of a transactional id, which has loaded. */
const ready = (client: Client, transactionalId: string) =>
  until("the coordinator has loaded", init(client, 1, { transactionalId }), ({ errorCode }) => errorCode === 0)

export const cases: ReadonlyArray<Case> = [
  {
    api: "InitProducerId",
    behaviour: "a new id at each call, at each version",
    ask: (ask) =>
      ask.atEach(InitProducerId, (version) =>
        Effect.gen(function* () {
          const client = yield* ask.broker()
          const [first, second] = [yield* init(client, version), yield* init(client, version)]
          return { first, second, differ: first.producerId !== second.producerId }
        })
      )
  },
  {
    api: "InitProducerId",
    behaviour: "with an id and epoch, without a transactional id",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.broker()
        const { producerId } = yield* init(client, 4)
        const out: { [what: string]: unknown } = {}
        for (const [what, options] of [
          ["its own", { id: producerId, epoch: 0 }],
          ["a later epoch", { id: producerId, epoch: 9 }],
          ["the last epoch", { id: producerId, epoch: 32767 }],
          ["another", { id: 987_654_321, epoch: 3 }],
          ["an id without epoch", { id: producerId }],
          ["an epoch without id", { epoch: 3 }]
        ] as const) {
          const answer = yield* init(client, 4, options)
          out[what] = [
            answer.errorCode,
            answer.producerEpoch,
            answer.producerId === producerId ? "the same" : answer.producerId < 0 ? "none" : "another"
          ]
        }
        return out
      })
  },
  {
    api: "InitProducerId",
    behaviour: "of every broker, and each gives ids of its own",
    ask: (ask) =>
      Effect.gen(function* () {
        const [a, b] = [yield* init(yield* ask.broker(1), 1), yield* init(yield* ask.broker(2), 1)]
        return [a.errorCode, b.errorCode, a.producerId !== b.producerId]
      })
  },
  {
    api: "InitProducerId",
    behaviour: "of a transactional id: the id stays, its epoch grows",
    ask: (ask) =>
      Effect.gen(function* () {
        const transactionalId = ask.id
        const client = yield* ask.broker(yield* ask.coordinatorOf(transactionalId, 1))
        const first = yield* ready(client, transactionalId)
        const second = yield* init(client, 1, { transactionalId })
        const third = yield* init(client, 4, { transactionalId })
        return [first, second, third].map((each) => [
          each.errorCode,
          each.producerId === first.producerId,
          each.producerEpoch
        ])
      })
  },
  {
    api: "InitProducerId",
    behaviour: "of a transactional id with an epoch: its own is raised, an older one is fenced",
    ask: (ask) =>
      ask.atEach(
        InitProducerId,
        (version) =>
          Effect.gen(function* () {
            const transactionalId = `${ask.id}-v${version}`
            const client = yield* ask.broker(yield* ask.coordinatorOf(transactionalId, 1))
            const { producerId } = yield* ready(client, transactionalId)
            yield* init(client, version, { transactionalId })
            const answers: Array<unknown> = []
            for (const [id, epoch] of [
              [producerId, 1],
              [producerId, 1],
              [producerId, 0],
              [producerId, 9],
              [producerId + 1_000_000, 2],
              [producerId, 2]
            ] as const) {
              const answer = yield* init(client, version, { transactionalId, id, epoch })
              answers.push([
                answer.errorCode,
                answer.producerEpoch,
                answer.producerId === producerId ? "the same" : answer.producerId
              ])
            }
            return answers
          }),
        (version) => version >= 3
      )
  },
  {
    api: "InitProducerId",
    behaviour: "with a transactional id or a time-out that is not legal, and of a broker that does not coordinate it",
    ask: (ask) =>
      Effect.gen(function* () {
        const transactionalId = ask.id
        const coordinator = yield* ask.coordinatorOf(transactionalId, 1)
        const client = yield* ask.broker(coordinator)
        yield* ask.coordinatorOf(`${transactionalId}-other`, 1)
        yield* ready(client, `${transactionalId}-other`)
        return {
          empty: yield* init(client, 4, { transactionalId: "" }),
          "no time": yield* init(client, 4, { transactionalId, timeout: 0 }),
          "too much time": yield* init(client, 4, { transactionalId, timeout: 2_000_000_000 }),
          elsewhere: yield* init(yield* ask.broker(3 - coordinator), 4, { transactionalId })
        }
      })
  }
]
