/** The coordinators of groups and transactional ids: looked up once for all who want one, and remembered until they are forgotten. */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { Broker, Brokers } from "../Broker.ts"
import * as KafkaError from "../KafkaError.ts"
import * as FindCoordinator from "../protocol/messages/FindCoordinator.ts"
import type { AnyBroker } from "./AnyBroker.ts"
import type { Budgets } from "./Budgets.ts"
import * as SingleFlight from "./SingleFlight.ts"

type Kind = "group" | "transaction"

export interface Coordinators {
  readonly get: (kind: Kind, key: string) => Effect.Effect<Broker, KafkaError.KafkaError>
  readonly forget: (kind: Kind, key: string) => void
}

export const make = (
  scope: Scope.Scope,
  brokers: Brokers["Service"],
  anyBroker: AnyBroker,
  budgets: Budgets
): Coordinators => {
  const ids = new Map<string, number>()
  const shared = SingleFlight.make<string, Broker>(scope)

  const find = Effect.fnUntraced(function* (kind: Kind, key: string) {
    const keyType = kind === "group" ? 0 : 1
    const response = yield* anyBroker.ask((broker) =>
      broker.send(
        FindCoordinator,
        (version) => (version >= 4 ? { keyType, coordinatorKeys: [key] } : { keyType, key }),
        { minVersion: keyType }
      )
    )
    const found = response.coordinators[0] ?? response
    if (found.errorCode !== 0) {
      const where = { api: "FindCoordinator", ...(kind === "group" ? { group: key } : {}) }
      return yield* KafkaError.fromCode(found.errorCode, where)
    }
    brokers.learn([{ id: found.nodeId, host: found.host, port: found.port }])
    ids.set(`${kind} ${key}`, found.nodeId)
    return yield* brokers.get(found.nodeId)
  })

  return {
    get: (kind, key) =>
      Effect.suspend(() => {
        const name = `${kind} ${key}`
        const id = ids.get(name)
        return id === undefined
          ? shared(name, budgets.retried(find(kind, key), `the coordinator of ${name}`))
          : brokers.get(id)
      }),
    forget: (kind, key) => void ids.delete(`${kind} ${key}`)
  }
}
