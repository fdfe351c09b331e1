/**
 * What of a request is against the protocol, seen where it arrives: versions that are not served, and members that go on
 * after they have left. What only its handler can tell (wrong broker, gaps in sequences, commits beyond the log, session
 * epochs) is noted there.
 */
import type { EmbeddedCluster } from "./Cluster.ts"

const apiVersionsKey = 18

/** The connections on which ApiVersions was answered. */
const told = new WeakSet<object>()

/** A request was answered, and the answer was not lost. */
export const answered = (connection: object, api: string): void => {
  if (api === "ApiVersions") told.add(connection)
}

/**
 * A version that is not served. Who cannot know what is served may try: ApiVersions itself, what came before it, and the
 * oldest of an API, by which a broker that did not answer ApiVersions shows how old it is.
 */
export const unserved = (
  cluster: EmbeddedCluster,
  connection: object,
  clientId: string,
  apiKey: number,
  api: string,
  version: number
): void => {
  const tells = cluster.settings.profile.listed.some((range) => range.apiKey === apiVersionsKey)
  const isTrying = apiKey === apiVersionsKey || (version === 0 && !told.has(connection))
  if (tells && !isTrying) cluster.misused(clientId, `${api} v${version} is not served`)
}

/** Who has left, by connection: another connection may have removed a member that does not know yet. */
const left = new WeakMap<object, Set<string>>()

const ofMembers: ReadonlySet<string> = new Set(["JoinGroup", "SyncGroup", "Heartbeat", "OffsetCommit"])

interface OfGroup {
  readonly groupId: string
  readonly memberId: string
  readonly memberEpoch?: number
  readonly members?: ReadonlyArray<{ readonly memberId: string }>
}

const goneOf = (connection: object): Set<string> => {
  let gone = left.get(connection)
  if (gone === undefined) left.set(connection, (gone = new Set()))
  return gone
}

const ofMember = (
  cluster: EmbeddedCluster,
  connection: object,
  api: string,
  clientId: string,
  { groupId, memberId }: OfGroup
): void => {
  if (left.get(connection)?.has(`${groupId} ${memberId}`) === true)
    cluster.misused(clientId, `${api} of a member of group ${groupId} that has left`)
}

/** Looks at a request before it is served. */
export const request = (
  cluster: EmbeddedCluster,
  connection: object,
  api: string,
  clientId: string,
  request: unknown
): void => {
  if (api === "ConsumerGroupHeartbeat") {
    // a member of the consumer protocol may join again under the same id
    const { groupId, memberEpoch = 0, memberId } = request as OfGroup
    if (memberEpoch < 0) goneOf(connection).add(`${groupId} ${memberId}`)
    else if (memberEpoch === 0) left.get(connection)?.delete(`${groupId} ${memberId}`)
    else ofMember(cluster, connection, api, clientId, request as OfGroup)
  } else if (api === "LeaveGroup") {
    const { groupId, memberId, members = [] } = request as OfGroup
    const gone = goneOf(connection)
    for (const id of [memberId, ...members.map((member) => member.memberId)])
      if (id !== "") gone.add(`${groupId} ${id}`)
  } else if (ofMembers.has(api)) ofMember(cluster, connection, api, clientId, request as OfGroup)
}
