/** Every case. What needs a cluster that was never used comes first. */
import type { Case } from "../Lab.ts"
import { cases as access } from "./Access.ts"
import { cases as apiVersions } from "./ApiVersions.ts"
import { cases as cluster } from "./Cluster.ts"
import { cases as configs } from "./Configs.ts"
import { cases as consumerGroups } from "./ConsumerGroups.ts"
import { cases as fetch } from "./Fetch.ts"
import { cases as fetchSessions } from "./FetchSessions.ts"
import { cases as findCoordinator } from "./FindCoordinator.ts"
import { cases as groupAdmin } from "./GroupAdmin.ts"
import { cases as groups } from "./Groups.ts"
import { cases as leaderEpochs } from "./LeaderEpochs.ts"
import { cases as listOffsets } from "./ListOffsets.ts"
import { cases as metadata } from "./Metadata.ts"
import { cases as mixedGroups } from "./MixedGroups.ts"
import { cases as offsets } from "./Offsets.ts"
import { cases as produce } from "./Produce.ts"
import { cases as producers } from "./Producers.ts"
import { cases as replicas } from "./Replicas.ts"
import { cases as sasl } from "./Sasl.ts"
import { cases as staticMembers } from "./StaticMembers.ts"
import { cases as topics } from "./Topics.ts"
import { cases as transactions } from "./Transactions.ts"

export const cases: ReadonlyArray<Case> = [
  ...findCoordinator,
  ...apiVersions,
  ...metadata,
  ...produce,
  ...fetch,
  ...fetchSessions,
  ...listOffsets,
  ...leaderEpochs,
  ...groups,
  ...staticMembers,
  ...consumerGroups,
  ...mixedGroups,
  ...offsets,
  ...groupAdmin,
  ...producers,
  ...transactions,
  ...topics,
  ...configs,
  ...cluster,
  ...replicas,
  ...access,
  ...sasl
]
