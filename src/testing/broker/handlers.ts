/** Every API that this broker serves, by its key. */
import { apiVersions } from "./ApiVersions.ts"
import { createTopics } from "./CreateTopics.ts"
import { deleteTopics } from "./DeleteTopics.ts"
import { fetch } from "./Fetch.ts"
import { findCoordinator } from "./FindCoordinator.ts"
import type { Handler } from "./Handler.ts"
import { heartbeat } from "./Heartbeat.ts"
import { initProducerId } from "./InitProducerId.ts"
import { joinGroup } from "./JoinGroup.ts"
import { leaveGroup } from "./LeaveGroup.ts"
import { listOffsets } from "./ListOffsets.ts"
import { metadata } from "./Metadata.ts"
import { offsetCommit } from "./OffsetCommit.ts"
import { offsetFetch } from "./OffsetFetch.ts"
import { produce } from "./Produce.ts"
import { syncGroup } from "./SyncGroup.ts"

export const handlers: ReadonlyMap<number, Handler> = new Map(
  [
    produce,
    fetch,
    listOffsets,
    metadata,
    offsetCommit,
    offsetFetch,
    findCoordinator,
    joinGroup,
    heartbeat,
    leaveGroup,
    syncGroup,
    apiVersions,
    createTopics,
    deleteTopics,
    initProducerId
  ].map((handler) => [handler.key, handler])
)
