/**
 * The native `GroupOffsets`: the offsets that a group keeps in Kafka, at its coordinator.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import { Cluster } from "./Cluster.ts"
import * as CommittedOffsets from "./group/CommittedOffsets.ts"
import * as TransactionOffsets from "./group/TransactionOffsets.ts"
import { KafkaConfig } from "./KafkaConfig.ts"
import { GroupOffsets } from "./GroupOffsets.ts"
import { perService } from "./PerService.ts"

/**
 * Makes the service.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make: Effect.Effect<GroupOffsets["Service"], never, Cluster | KafkaConfig> = Effect.gen(function* () {
  const cluster = yield* Cluster
  const { retry } = yield* KafkaConfig
  return GroupOffsets.of({
    fetch: (group, partitions, as, waits) => CommittedOffsets.fetch(cluster, retry, group, partitions, as, waits),
    commit: (group, as, commits) => CommittedOffsets.commit(cluster, group, as, commits),
    commitIn: (transaction, group, as, commits) => TransactionOffsets.commit(cluster, transaction, group, as, commits)
  })
})

/**
 * The native `GroupOffsets`, over `Cluster`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<GroupOffsets, never, Cluster | KafkaConfig> = perService([Cluster, KafkaConfig], () =>
  Layer.effect(GroupOffsets, make)
)
