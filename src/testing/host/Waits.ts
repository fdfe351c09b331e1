/** Waiting for what a cluster comes to; whoever gives up waiting hears what for, and how it stands. */
import * as Effect from "effect/Effect"
import type * as Topic from "../../Topic.ts"
import { awaited } from "../Awaited.ts"
import type { EmbeddedCluster } from "../embedded/Cluster.ts"
import { Rule, touchedBy } from "../embedded/FaultRule.ts"
import { randomOf } from "../embedded/Runtime.ts"
import * as FaultOf from "../Fault.ts"
import type * as Contract from "./Contract.ts"
import * as Inspect from "./Inspect.ts"

/** What there is to be seen. */
interface Seen {
  readonly nameOf: (topic: Topic.Any | string) => string
  readonly committed: (group: string) => ReadonlyArray<Contract.CommittedOffset>
  readonly group: (id: string) => Contract.GroupInfo | undefined
  readonly transaction: (id: string) => Contract.TransactionInfo | undefined
}

const awaitRequest =
  (cluster: EmbeddedCluster): Contract.Service["awaitRequest"] =>
  (api, match = {}) => {
    let requests = 0
    const struck = Effect.callback<Contract.RequestInfo>((resume) => {
      const rule = new Rule(FaultOf.on(api, match).close.match, { _tag: "Close" }, randomOf(match.seed ?? 1))
      const listener = (seen: Contract.RequestInfo) => {
        requests++
        const { api, broker, clientId, request } = seen
        const touched = touchedBy(request, (id) => cluster.topicsById.get(id)?.name)
        if (!rule.strikes({ api, broker, clientId, ...touched })) return
        cluster.onRequest.delete(listener)
        resume(Effect.succeed(seen))
      }
      cluster.onRequest.add(listener)
      return Effect.sync(() => cluster.onRequest.delete(listener))
    })
    return awaited(struck, () => `a request ${api} that matches; ${requests} requests have come meanwhile`)
  }

/** Makes them. */
export const make = (
  cluster: EmbeddedCluster,
  { committed, group, nameOf, transaction }: Seen
): Pick<Contract.Service, "awaitGroup" | "awaitCommitted" | "awaitTransaction" | "awaitRequest"> => {
  /** Who has no members any more has failed, or closed. */
  const standing = (id: string): string => {
    const found = group(id)
    if (found === undefined) return "there is no such group: nobody has joined it"
    const { generation, members, state } = found
    return `it is ${state}, in generation ${generation}, with ${members.length === 1 ? "1 member" : `${members.length} members`}`
  }
  return {
    awaitGroup: (id, { generation, members, state }) =>
      awaited(
        Inspect.until(cluster, () => {
          const found = cluster.groups.get(id)
          return found !== undefined &&
            (state === undefined || found.state === state) &&
            (members === undefined || found.members.size === members) &&
            (generation === undefined || found.generation >= generation)
            ? group(id)
            : undefined
        }),
        () => `group "${id}" to be ${JSON.stringify({ state, members, generation })}: ${standing(id)}`
      ),
    awaitCommitted: (id, { offset, partition = 0, topic }) => {
      const name = nameOf(topic)
      const isIt = (one: Contract.CommittedOffset) => one.topic === name && one.partition === partition
      return awaited(
        Inspect.until(cluster, () => committed(id).find((one) => isIt(one) && one.offset >= offset)),
        () => {
          const all = committed(id)
          const is = all.find(isIt)?.offset ?? "nothing"
          const others = all.filter((one) => !isIt(one)).map((one) => `${one.topic}-${one.partition} at ${one.offset}`)
          const besides = others.length === 0 ? "" : `, and ${others.slice(0, 10).join(", ")}`
          return `group "${id}" to commit ${name}-${partition} at ${offset}: committed is ${is}${besides}; ${standing(id)}`
        }
      )
    },
    awaitTransaction: (id, ...states) =>
      awaited(
        Inspect.until(cluster, () => {
          const found = transaction(id)
          return found !== undefined && states.includes(found.state) ? found : undefined
        }),
        () => `transactional id "${id}" to be ${states.join(" or ")}: it is ${transaction(id)?.state ?? "not known"}`
      ),
    awaitRequest: awaitRequest(cluster)
  }
}
