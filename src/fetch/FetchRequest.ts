/** A Fetch request and its response, between partitions and the wire: at every version, with sessions and without. Pure. */
import type * as Fetch from "../protocol/messages/Fetch.ts"
import * as Wire from "../protocol/Wire.ts"
import type { FetchSettings } from "../Transport.ts"
import type { FetchedPartition, PartitionAnswer } from "./FetchedPartition.ts"
import type { Request } from "./FetchScheduler.ts"
import type { FetchSession, Turn, Wanted } from "./FetchSession.ts"

type Body = (typeof Fetch.Request.schema)["~type.make.in"]
type Response = (typeof Fetch.Response.schema)["Type"]

/** From here on topics are named by id. */
export const firstById = 13
/** From here on the broker keeps sessions, where it is asked to. */
const firstWithSessions = 7
/** From here on the whole answer has a limit. */
const firstWithMaxBytes = 3
/** No partition is asked for less, where many share what all of them together may bring. */
const leastShare = 4096

/** What was asked, as it was asked. */
export interface Sent {
  readonly version: number
  /** Whether the answer leaves out what has not changed. */
  readonly isIncremental: boolean
  /** By what the response names them with. */
  readonly byKey: ReadonlyMap<string, FetchedPartition>
}

const keyOf = (topic: string, partition: number): string => `${partition}:${topic}`

/** How much each partition may bring, and how many are asked, of a broker that knows no limit of the whole answer. */
export const shares = (
  { maxBytes, partitionBytes, slots }: Pick<Request<unknown>, "maxBytes" | "partitionBytes" | "slots">,
  version: number
): { readonly each: number; readonly keep: number } => {
  if (version >= firstWithMaxBytes) return { each: partitionBytes, keep: slots.length }
  const fair = Math.floor(maxBytes / Math.max(1, slots.length))
  const each = Math.min(Math.max(fair, leastShare), partitionBytes)
  return { each, keep: Math.max(1, Math.floor(maxBytes / each)) }
}

/** Whether what is asked for is to come from the leader, whatever replica it would name: all of it, or nothing. */
const staysAtLeader = ({ sentAt, slots }: Request<FetchedPartition>): boolean =>
  slots.length > 0 && slots[0]!.atLeaderUntil > sentAt

/** The first, and those that go with it: the rack that a request names is that of all of it. */
export const alike = (
  request: Request<FetchedPartition>,
  { clientRack }: FetchSettings
): ReadonlyArray<FetchedPartition> => {
  const { sentAt, slots } = request
  const stays = staysAtLeader(request)
  return clientRack === undefined ? slots : slots.filter((slot) => slot.atLeaderUntil > sentAt === stays)
}

/** Makes the request. The partitions are those that still wait for it. */
export const make = (
  request: Request<FetchedPartition>,
  partitions: ReadonlyArray<FetchedPartition>,
  version: number,
  each: number,
  session: FetchSession,
  settings: FetchSettings
): { readonly body: Body; readonly sent: Sent } => {
  const isById = version >= firstById
  const byKey = new Map<string, FetchedPartition>()
  const wanted = partitions.map((partition) => {
    const one = wantedOf(partition, isById, version < firstWithMaxBytes ? Math.max(each, partition.leastBytes) : each)
    byKey.set(one.key, partition)
    return one
  })
  const turn: Turn =
    version >= firstWithSessions
      ? session.next(wanted, isById)
      : { sessionId: 0, sessionEpoch: -1, wanted, forgotten: [] }
  return {
    body: {
      maxWaitMs: request.maxWait,
      // What is full waits for nobody: it cannot bring more. Brokers see to it by themselves, since some release.
      minBytes: Math.min(settings.minBytes, each, request.maxBytes),
      maxBytes: request.maxBytes,
      isolationLevel: settings.isolation === "committed" ? 1 : 0,
      sessionId: turn.sessionId,
      sessionEpoch: turn.sessionEpoch,
      topics: grouped(turn.wanted).map((of) => ({
        ...nameOf(of[0]!, isById),
        partitions: of.map((one) => ({
          partition: one.partition,
          currentLeaderEpoch: one.currentLeaderEpoch,
          fetchOffset: one.offset,
          ...(version >= 12 ? { lastFetchedEpoch: one.lastFetchedEpoch } : undefined),
          partitionMaxBytes: one.maxBytes
        }))
      })),
      ...(version < firstWithSessions
        ? undefined
        : {
            forgottenTopicsData: grouped(turn.forgotten).map((of) => ({
              ...nameOf(of[0]!, isById),
              partitions: of.map((one) => one.partition)
            }))
          }),
      rackId: staysAtLeader(request) ? "" : (settings.clientRack ?? "")
    },
    sent: { version, isIncremental: turn.sessionEpoch > 0, byKey }
  }
}

/** As it was wanted last, where nothing has changed. */
const wantedOf = (partition: FetchedPartition, isById: boolean, maxBytes: number): Wanted => {
  const before = partition.wanted
  const epoch = partition.leader?.epoch ?? -1
  if (
    before !== undefined &&
    before.isById === isById &&
    before.topicId === partition.topicId &&
    before.offset === partition.next &&
    before.currentLeaderEpoch === epoch &&
    before.lastFetchedEpoch === partition.nextEpoch &&
    before.maxBytes === maxBytes
  ) {
    return before
  }
  return (partition.wanted = {
    key: keyOf(isById ? partition.topicId! : partition.topic, partition.partition),
    topic: partition.topic,
    topicId: partition.topicId,
    isById,
    partition: partition.partition,
    offset: partition.next,
    currentLeaderEpoch: epoch,
    lastFetchedEpoch: partition.nextEpoch,
    maxBytes
  })
}

const nameOf = ({ topic, topicId }: Wanted, isById: boolean) =>
  isById ? { topicId: topicId ?? Wire.zeroUuid } : { topic }

/** Those of one topic that follow each other together: the order of the partitions is the order of service. */
const grouped = (wanted: ReadonlyArray<Wanted>): ReadonlyArray<ReadonlyArray<Wanted>> => {
  const groups: Array<Array<Wanted>> = []
  let last: Array<Wanted> | undefined
  for (const one of wanted) {
    const before = last?.[0]
    if (last !== undefined && before!.topic === one.topic && before!.topicId === one.topicId) last.push(one)
    else groups.push((last = [one]))
  }
  return groups
}

/** Calls `f` with each partition that a response tells of, and its answer. */
export const forEachAnswer = (
  response: Response,
  { byKey, version }: Sent,
  f: (partition: FetchedPartition, answer: PartitionAnswer) => void
): void => {
  for (const { topic, topicId, partitions } of response.responses) {
    const name = version >= firstById ? topicId : topic
    for (const answer of partitions) {
      const partition = byKey.get(keyOf(name, answer.partitionIndex))
      if (partition !== undefined) f(partition, answer)
    }
  }
}

/** How an answer of one partition counts: it brings something, or says what is to be heard; else nothing came. */
export const weigh = (answer: PartitionAnswer): "gave" | "told" | "empty" =>
  answer.records !== null && answer.records.length > 0
    ? "gave"
    : answer.errorCode !== 0 || answer.divergingEpoch.endOffset >= 0 || answer.preferredReadReplica >= 0
      ? "told"
      : "empty"
