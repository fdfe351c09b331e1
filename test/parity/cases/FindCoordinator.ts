/** FindCoordinator: of groups and transactional ids, one or many at once. */
import { Effect } from "effect"
import * as FindCoordinator from "../../../src/protocol/messages/FindCoordinator.ts"
import { type Ask, type Case, until } from "../Lab.ts"

type Response = (typeof FindCoordinator.Response.schema)["Type"]

const find = (ask: Ask, version: number, keys: ReadonlyArray<string>, keyType: number) =>
  Effect.gen(function* () {
    const client = yield* ask.connect()
    const answer = yield* client.ask(FindCoordinator, version, {
      ...(version >= 1 ? { keyType } : {}),
      ...(version >= 4 ? { coordinatorKeys: keys } : { key: keys[0]! })
    })
    return answer === "closed" ? answer : told(version, answer)
  })

/** Any broker may be it. */
const node = (id: number) => (id > 0 ? "a broker" : id)
const told = (version: number, response: Response) =>
  version >= 4
    ? response.coordinators.map((each) => ({ ...each, nodeId: node(each.nodeId) }))
    : { errorCode: response.errorCode, errorMessage: response.errorMessage, nodeId: node(response.nodeId) }

export const cases: ReadonlyArray<Case> = [
  {
    api: "FindCoordinator",
    behaviour: "fresh cluster: none is available until the offsets topic is there",
    ask: (ask) =>
      Effect.gen(function* () {
        const first = yield* find(ask, 2, ["fresh"], 0)
        yield* ask.coordinatorOf("fresh")
        return { first, then: yield* find(ask, 2, ["fresh"], 0) }
      })
  },
  {
    api: "FindCoordinator",
    behaviour: "of a group, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* ask.coordinatorOf(ask.id)
        return yield* ask.atEach(FindCoordinator, (version) => find(ask, version, [ask.id], 0))
      })
  },
  {
    api: "FindCoordinator",
    behaviour: "of a transactional id, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* ask.coordinatorOf(ask.id, 1)
        return yield* ask.atEach(
          FindCoordinator,
          (version) => find(ask, version, [ask.id], 1),
          (version) => version >= 1
        )
      })
  },
  {
    api: "FindCoordinator",
    behaviour: "of several groups at once, of one twice, and of none",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* ask.coordinatorOf(ask.id)
        return yield* ask.atEach(
          FindCoordinator,
          (version) =>
            Effect.gen(function* () {
              return {
                several: yield* find(ask, version, [`${ask.id}-b`, `${ask.id}-a`, `${ask.id}-b`], 0),
                none: yield* find(ask, version, [], 0)
              }
            }),
          (version) => version >= 4
        )
      })
  },
  {
    api: "FindCoordinator",
    behaviour: "of a group without a name",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* ask.coordinatorOf(ask.id)
        return yield* ask.atEach(FindCoordinator, (version) => find(ask, version, [""], 0))
      })
  },
  {
    api: "FindCoordinator",
    behaviour: "of a kind that is not known",
    ask: (ask) =>
      ask.atEach(
        FindCoordinator,
        (version) => find(ask, version, [ask.id], 9),
        (version) => version >= 1
      )
  },
  {
    api: "FindCoordinator",
    behaviour: "every broker names the same",
    ask: (ask) =>
      Effect.gen(function* () {
        const own = yield* ask.coordinatorOf(ask.id)
        const other = yield* ask.broker(2)
        const found = yield* until(
          "the other broker knows it",
          other.send(FindCoordinator, 2, { key: ask.id, keyType: 0 }),
          (response) => response.errorCode === 0
        )
        return found.nodeId === own
      })
  }
]
