/** ListGroups, DescribeGroups and DeleteGroups. */
import { Effect } from "effect"
import * as DeleteGroups from "../../../src/protocol/messages/DeleteGroups.ts"
import * as DescribeGroups from "../../../src/protocol/messages/DescribeGroups.ts"
import * as ListGroups from "../../../src/protocol/messages/ListGroups.ts"
import * as OffsetCommit from "../../../src/protocol/messages/OffsetCommit.ts"
import type { Ask, Case } from "../Lab.ts"
import * as Members from "../Members.ts"

const committed = (ask: Ask, groupId: string) =>
  Effect.gen(function* () {
    const topic = yield* ask.topic(groupId.slice(ask.id.length))
    const client = yield* ask.coordinator(groupId)
    yield* client.send(OffsetCommit, 7, {
      groupId,
      topics: [{ name: topic.name, partitions: [{ partitionIndex: 0, committedOffset: 1, committedMetadata: "" }] }]
    })
    return client
  })

/** Those groups that the case made. */
const own = (ask: Ask, response: (typeof ListGroups.Response.schema)["Type"]) => ({
  errorCode: response.errorCode,
  groups: response.groups
    .filter((each) => each.groupId.startsWith(ask.id))
    .sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
})

const remove = (ask: Ask, version: number, names: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    for (const name of names) yield* ask.coordinatorOf(name)
    const client = yield* ask.coordinator(names[0]!)
    const { results } = yield* client.send(DeleteGroups, version, { groupsNames: names })
    return Array.from(results).sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "ListGroups",
    behaviour: "the groups of a broker, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const stable = yield* Members.stable(ask, `${ask.id}-a`)
        yield* committed(ask, `${ask.id}-b`)
        const left = yield* Members.stable(ask, `${ask.id}-c`)
        yield* left.leave()
        yield* Members.stable(ask, `${ask.id}-d`, { protocolType: "connect", protocols: [["v1", "m"]] })
        return yield* ask.atEach(ListGroups, (version) =>
          Effect.map(stable.client.send(ListGroups, version, {}), (response) => own(ask, response))
        )
      })
  },
  {
    api: "ListGroups",
    behaviour: "of states, and of types",
    ask: (ask) =>
      Effect.gen(function* () {
        const { client } = yield* Members.stable(ask, `${ask.id}-a`)
        const left = yield* Members.stable(ask, `${ask.id}-b`)
        yield* left.leave()
        const out: { [what: string]: unknown } = {}
        for (const states of [["Stable"], ["stable"], ["Empty", "Stable"], ["Dead"], ["Nonsense"]]) {
          const response = yield* client.send(ListGroups, 4, { statesFilter: states })
          out[states.join()] = own(ask, response).groups.map((each) => each.groupId)
        }
        if (ask.release === "4.4.0")
          for (const types of [["classic"], ["Classic"], ["consumer"], ["nonsense"]]) {
            const response = yield* client.send(ListGroups, 5, { typesFilter: types })
            out[`type ${types.join()}`] = [response.errorCode, own(ask, response).groups.map((each) => each.groupId)]
          }
        return out
      })
  },
  {
    api: "ListGroups",
    behaviour: "of a broker that coordinates none of them",
    ask: (ask) =>
      Effect.gen(function* () {
        yield* Members.stable(ask, ask.id)
        const elsewhere = yield* ask.connect({ broker: 3 - (yield* ask.coordinatorOf(ask.id)) })
        return own(ask, yield* elsewhere.send(ListGroups, 3, {}))
      })
  },
  {
    api: "DescribeGroups",
    behaviour: "stable, empty, of commits alone, and not there, at each version",
    ask: (ask) =>
      Effect.gen(function* () {
        const [stable, empty, commits] = [`${ask.id}-stable`, `${ask.id}-empty`, `${ask.id}-commits`]
        const { client } = yield* Members.stable(ask, stable)
        const left = yield* Members.stable(ask, empty)
        yield* left.leave()
        yield* committed(ask, commits)
        return yield* ask.atEach(DescribeGroups, (version) =>
          Effect.map(
            client.send(DescribeGroups, version, { groups: [stable, empty, commits, `${ask.id}-absent`] }),
            ({ groups }) => Array.from(groups).sort((a, b) => (a.groupId < b.groupId ? -1 : 1))
          )
        )
      })
  },
  {
    api: "DescribeGroups",
    behaviour: "while the leader assigns",
    ask: (ask) =>
      Effect.gen(function* () {
        const member = yield* Members.make(ask, ask.id)
        yield* member.join()
        return yield* Members.describe(ask, ask.id)
      })
  },
  {
    api: "DescribeGroups",
    behaviour: "tells the operations that are allowed, where they are asked for",
    ask: (ask) =>
      Effect.gen(function* () {
        const { client } = yield* Members.stable(ask, ask.id)
        return yield* ask.atEach(
          DescribeGroups,
          (version) =>
            Effect.map(
              client.send(DescribeGroups, version, {
                groups: [ask.id, `${ask.id}-absent`],
                includeAuthorizedOperations: true
              }),
              ({ groups }) => groups.map((each) => each.authorizedOperations)
            ),
          (version) => version >= 3
        )
      })
  },
  {
    api: "DescribeGroups",
    behaviour: "without a name, and of a broker that does not coordinate it",
    ask: (ask) =>
      Effect.gen(function* () {
        const coordinator = yield* ask.coordinatorOf(ask.id)
        const elsewhere = yield* ask.connect({ broker: 3 - coordinator })
        const client = yield* ask.coordinator("")
        return yield* ask.atEach(DescribeGroups, (version) =>
          Effect.gen(function* () {
            return {
              unnamed: (yield* client.send(DescribeGroups, version, { groups: [""] })).groups,
              elsewhere: (yield* elsewhere.send(DescribeGroups, version, { groups: [ask.id] })).groups
            }
          })
        )
      })
  },
  {
    api: "DeleteGroups",
    behaviour: "empty, with members, and not there, at each version",
    ask: (ask) =>
      ask.atEach(DeleteGroups, (version) =>
        Effect.gen(function* () {
          const names = ["empty", "absent", "stable", "commits"].map((name) => `${ask.id}-${version}-${name}`)
          const [empty, absent, stable, commits] = names as [string, string, string, string]
          const left = yield* Members.stable(ask, empty)
          yield* left.leave()
          yield* Members.stable(ask, stable)
          const client = yield* committed(ask, commits)
          const plain = (results: Effect.Success<ReturnType<typeof remove>>) =>
            results.map((each) => [
              each.groupId.slice(`${ask.id}-${version}-`.length),
              each.errorCode,
              each.errorMessage
            ])
          const removed = plain(yield* remove(ask, version, [empty, stable, absent, commits]))
          const { groups } = yield* client.send(DescribeGroups, 5, { groups: [commits] })
          return { removed, state: groups[0]!.groupState, again: plain(yield* remove(ask, version, [empty])) }
        })
      )
  },
  {
    api: "DeleteGroups",
    behaviour: "without a name, twice, and of a broker that does not coordinate it",
    ask: (ask) =>
      Effect.gen(function* () {
        const left = yield* Members.stable(ask, ask.id)
        yield* left.leave()
        const elsewhere = yield* ask.connect({ broker: 3 - (yield* ask.coordinatorOf(ask.id)) })
        return {
          unnamed: yield* remove(ask, 1, [""]),
          elsewhere: (yield* elsewhere.send(DeleteGroups, 1, { groupsNames: [ask.id] })).results,
          twice: yield* remove(ask, 1, [ask.id, ask.id])
        }
      })
  }
]
