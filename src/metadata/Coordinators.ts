/** The coordinators of groups and transactional ids: looked up once for all who want one, and remembered until they are forgotten. */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import * as Random from "effect/Random"
import type * as Scope from "effect/Scope"
import * as Backoff from "../Backoff.ts"
import type { Broker, Brokers } from "../Broker.ts"
import { addressProblem, formatAddress } from "../KafkaConfig.ts"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import { kept } from "../Kept.ts"
import * as FindCoordinator from "../protocol/messages/FindCoordinator.ts"
import type { AnyBroker } from "./AnyBroker.ts"
import type { Budgets } from "./Budgets.ts"
import * as SingleFlight from "./SingleFlight.ts"

type Kind = "group" | "transaction"

export interface Coordinators {
  /** Again and again, or `once`. */
  readonly get: (
    kind: Kind,
    key: string,
    options?: { readonly once?: boolean | undefined }
  ) => Effect.Effect<Broker, KafkaError.KafkaError>
  readonly forget: (kind: Kind, key: string) => void
}

/** What one broker says. */
const ofBroker = Effect.fnUntraced(function* (broker: Broker, keyType: number, key: string) {
  let spoken = 0
  const response = yield* broker.send(
    FindCoordinator,
    (version) => {
      spoken = version
      return version >= 4 ? { keyType, coordinatorKeys: [key] } : { keyType, key }
    },
    { minVersion: keyType }
  )
  // From v4 on an answer is a list, with an entry for each key: without one it says nothing of ours.
  const found = spoken < 4 ? response : response.coordinators.find((one) => one.key === key)
  const corrupt = (problem: string) =>
    KafkaError.make({
      _tag: "Corrupt",
      what: `FindCoordinatorResponse v${spoken}`,
      problem,
      api: "FindCoordinator",
      broker: formatAddress(broker)
    })
  if (found === undefined)
    return yield* corrupt(`${response.coordinators.length} coordinators, and none of the one that was asked for`)
  const problem = addressProblem(found)
  if (found.errorCode === 0 && (problem !== undefined || found.nodeId < 0))
    return yield* corrupt(`node ${found.nodeId}: ${problem ?? "no broker has such an id"}`)
  return found
})

interface Known {
  readonly id: number
  /** On the monotonic clock. */
  readonly foundAt: number
  /** When it was forgotten. */
  readonly forgottenAt: number | undefined
  /** How often in a row the same node was found again, soon after it was forgotten; and the waits after that. */
  readonly repeats: number
  readonly delay: Backoff.LastingDelay
  /** When it may be looked for again. */
  readonly againAt: number
}

/** How long a coordinator has to be of use, a few heartbeats, to count as found anew: a refusal comes within a round trip. */
const usefulAfter = 3_000
/** So long after it might have been looked for again, and was not, it counts as found anew, too. */
const forgottenAfter = 10_000

/** Of so many it is remembered who coordinates them: a group that is met once may be one of a million. */
const rememberedAtMost = 10_000

/** What a Schedule is told of a node that is found again. */
const ofNoUse = ErrorCode.codes.COORDINATOR_NOT_AVAILABLE

const whereOf = (kind: Kind, key: string): KafkaError.Where => ({
  api: "FindCoordinator",
  ...(kind === "group" ? { group: key } : {})
})

const nameOf = (kind: Kind, key: string): string => `${kind} ${key}`

export const make = Effect.fnUntraced(function* (
  scope: Scope.Scope,
  brokers: Brokers["Service"],
  anyBroker: AnyBroker,
  budgets: Budgets,
  retry: Backoff.Retry
): Effect.fn.Return<Coordinators> {
  const clock = yield* Clock.Clock
  const random = yield* Random.Random
  const now = () => Backoff.monotonic(clock)
  const delays = yield* Backoff.lasting(retry)
  const known = new Map<string, Known>()
  const shared = SingleFlight.make<string, Broker>(scope)

  const find = Effect.fnUntraced(function* (kind: Kind, key: string) {
    const keyType = kind === "group" ? 0 : 1
    const found = yield* anyBroker.ask((broker) => ofBroker(broker, keyType, key))
    if (found.errorCode !== 0) {
      anyBroker.turn()
      return yield* KafkaError.fromCode(found.errorCode, whereOf(kind, key))
    }
    brokers.learn([{ id: found.nodeId, host: found.host, port: found.port }])
    return yield* brokers.get(found.nodeId)
  })

  /** Whoever forgets the same node over and over is told of it ever more seldom: only another node is progress. */
  const findAgain = Effect.fnUntraced(function* (kind: Kind, key: string, before: Known | undefined) {
    const { againAt: mayAt = 0, forgottenAt = 0, foundAt: was = 0 } = before ?? {}
    const isAnew = forgottenAt - was >= usefulAfter || now() - Math.max(mayAt, forgottenAt) >= forgottenAfter
    const wait = isAnew ? 0 : mayAt - now()
    if (wait > 0) yield* Effect.sleep(Math.ceil(wait))
    const broker = yield* find(kind, key)
    const same = before?.id === broker.id && !isAnew
    // If it is forgotten again, another may know better.
    if (same) anyBroker.turn()
    const [foundAt, repeats] = [now(), same ? before.repeats + 1 : 0]
    const delay = before?.delay ?? delays()
    const againAt =
      foundAt + delay(repeats, random.nextDoubleUnsafe(), () => KafkaError.fromCode(ofNoUse, whereOf(kind, key)))
    const name = nameOf(kind, key)
    // As the newest: what was found longest ago is forgotten first.
    known.delete(name)
    kept(
      known,
      name,
      () => ({ id: broker.id, foundAt, forgottenAt: undefined, repeats, delay, againAt }),
      rememberedAtMost
    )
    return broker
  })

  const forget = (kind: Kind, key: string) => {
    const name = nameOf(kind, key)
    const one = known.get(name)
    if (one !== undefined) known.set(name, { ...one, forgottenAt: one.forgottenAt ?? now() })
  }
  const lookUp = (kind: Kind, key: string, once: boolean) => {
    const name = nameOf(kind, key)
    const found = Effect.suspend(() => findAgain(kind, key, known.get(name)))
    const waitingFor = `the coordinator of ${name}`
    return once
      ? shared(`once ${name}`, budgets.once(found, waitingFor))
      : shared(name, budgets.retried(found, waitingFor))
  }

  return {
    get: (kind, key, { once = false } = {}) =>
      Effect.suspend(() => {
        const one = known.get(nameOf(kind, key))
        if (one === undefined || one.forgottenAt !== undefined) return lookUp(kind, key, once)
        // Metadata have told where it was, and then of no such broker.
        return Effect.catch(brokers.get(one.id), () => {
          forget(kind, key)
          return lookUp(kind, key, once)
        })
      }),
    forget
  }
})
