/**
 * What the coordinator of a group is asked that may be asked twice: a try ends once the group is known to have another
 * coordinator, and the next one goes there.
 */
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import type { Broker } from "../Broker.ts"
import type { Cluster } from "../Cluster.ts"
import * as ErrorCode from "../ErrorCode.ts"
import { formatAddress } from "../KafkaConfig.ts"
import * as KafkaError from "../KafkaError.ts"

/** How often it is looked whether the coordinator is known to be another one, in milliseconds. */
const followEvery = 1_000

/** Fails once the group is known to have another coordinator than this broker: what it was asked it may never answer. */
const elsewhere = (cluster: Cluster["Service"], group: string, asked: Broker, seeks: boolean) => {
  const attempt = {
    address: formatAddress(asked),
    cause: `no answer, and group ${group} has another coordinator by now`
  }
  const coordinator = Effect.suspend(() => {
    if (seeks) cluster.forgetCoordinator("group", group)
    return Effect.option(cluster.coordinator("group", group))
  })
  return Effect.forever(
    Effect.flatMap(Effect.delay(coordinator, followEvery), (now) =>
      Option.isNone(now) || now.value.id === asked.id
        ? Effect.void
        : Effect.fail(KafkaError.make({ _tag: "Unreachable", attempts: [attempt] }))
    )
  )
}

/**
 * Asks the coordinator of a group; looks for another one the next time, where this one is gone or not it any more. That
 * it is silent or has moved is found by whoever else asks, a member's heartbeat above all; `seeks`: by this one itself,
 * which nobody else does for it any more.
 */
export const asked = <A>(
  cluster: Cluster["Service"],
  group: string,
  ask: (coordinator: Broker) => Effect.Effect<A, KafkaError.KafkaError>,
  { seeks = false }: { readonly seeks?: boolean } = {}
): Effect.Effect<A, KafkaError.KafkaError> =>
  Effect.flatMap(cluster.coordinator("group", group), (broker) => {
    const answer = Effect.tapError(ask(broker), ({ reason }) =>
      Effect.sync(() => {
        const moved = reason._tag === "Server" && ErrorCode.asks(reason.code) === "coordinator"
        if (moved || reason._tag === "Unreachable" || reason._tag === "TimedOut")
          cluster.forgetCoordinator("group", group)
      })
    )
    return Effect.raceFirst(answer, elsewhere(cluster, group, broker, seeks))
  })
