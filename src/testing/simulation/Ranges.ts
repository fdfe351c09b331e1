/** The settings that a script gives to clients, producers and members, from all of their legal range. Pure. */
import type { Release } from "../embedded/Profile.ts"
import { releases } from "../embedded/Profile.ts"
import type { Choices } from "./Choices.ts"
import type * as Script from "./Script.ts"

/** Left out, or one of these: the defaults are what most programs have. */
export const maybe = <Name extends string, A>(
  choose: Choices,
  p: number,
  name: Name,
  values: ReadonlyArray<A>
): { readonly [N in Name]?: A } =>
  choose.chance(p) ? ({ [name]: choose.of(values) } as { readonly [N in Name]?: A }) : {}

/** Whether brokers of a release have what came with another one; without a release they have everything. */
export const since = (release: Release | undefined, first: Release): boolean =>
  release === undefined || releases.indexOf(release) >= releases.indexOf(first)

export const client = (choose: Choices, name: string, telemetry: boolean): Script.Client => ({
  name,
  ...maybe(choose, telemetry ? 0.6 : 0, "telemetry", [true]),
  ...maybe(choose, 0.2, "connect", ["eagerly", "lazily"] as const),
  ...maybe(choose, 0.5, "requestTimeout", [1000, 3000, 10_000]),
  ...maybe(choose, 0.3, "connectTimeout", [500, 2000, 10_000]),
  ...maybe(choose, 0.4, "metadataTimeout", [1000, 5000, 20_000]),
  metadataMaxAge: choose.of([1000, 10_000, 60_000, 60_000]),
  ...maybe(choose, 0.2, "connectionsMaxIdle", [1000, 10_000, 60_000])
})

/** What all of a script have in common. */
export interface Common {
  readonly release: Release | undefined
  /** Whether producers compress. */
  readonly compresses: boolean
  /** In how many racks its brokers are. */
  readonly racks?: number | undefined
  /** The topic of dead letters. */
  readonly letters?: string | undefined
}

export const producer = (
  choose: Choices,
  name: string,
  client: string,
  { compresses, release }: Common
): Script.Producer => {
  const knowsIdempotence = since(release, "0.11")
  const acks = choose.weighted<0 | 1 | "all" | undefined>([
    [12, undefined],
    [2, "all"],
    [1, 1],
    [0.5, 0]
  ])
  const idempotent = acks === 0 || acks === 1 || !knowsIdempotence || choose.chance(0.1) ? false : undefined
  const compressions = ["none", "gzip", "snappy", "lz4", ...(since(release, "2.8") ? (["zstd"] as const) : [])] as const
  return {
    name,
    client,
    ...(acks === undefined ? {} : { acks }),
    // Without sequences only one request at a time keeps the order.
    ...(idempotent === undefined ? maybe(choose, 0.4, "maxInFlight", [1, 2, 5]) : { idempotent, maxInFlight: 1 }),
    ...maybe(choose, compresses ? 0.7 : 0, "compression", compressions),
    ...maybe(choose, 0.5, "linger", [0, 1, 50, 1000]),
    ...maybe(choose, 0.1, "minQueued", [1, 5, 100]),
    ...maybe(choose, 0.4, "batchBytes", [1, 200, 2000, 16_384]),
    ...maybe(choose, 0.2, "maxRequestBytes", [2000, 10_000, 100_000]),
    ...maybe(choose, 0.5, "requestTimeout", [500, 1000, 3000, 10_000]),
    ...maybe(choose, 0.5, "deliveryTimeout", [1000, 5000, 20_000, 60_000]),
    ...maybe(choose, 0.4, "closeTimeout", [0, 100, 3000, 10_000]),
    ...maybe(choose, 0.3, "bufferBytes", [100, 2000, 20_000]),
    ...maybe(choose, 0.3, "bufferRecords", [1, 2, 10, 100]),
    ...maybe(choose, 0.2, "whenFull", ["block", "fail"] as const),
    ...maybe(choose, 0.3, "partitioner", ["random", "roundRobin", "consistent"] as const)
  }
}

export const transactor = (
  choose: Choices,
  name: string,
  client: string,
  transactionalId: string,
  { compresses }: Common
): Script.Transactor => ({
  name,
  client,
  transactionalId,
  ...maybe(choose, 0.8, "transactionTimeout", [5000, 20_000, 60_000]),
  ...maybe(choose, 0.7, "apiTimeout", [2000, 15_000]),
  ...maybe(choose, compresses ? 0.7 : 0, "compression", ["gzip", "lz4"] as const),
  ...maybe(choose, 0.5, "linger", [0, 1, 50, 1000]),
  ...maybe(choose, 0.4, "batchBytes", [1, 200, 2000]),
  ...maybe(choose, 0.4, "maxInFlight", [1, 2, 5]),
  ...maybe(choose, 0.5, "requestTimeout", [500, 1000, 3000, 10_000]),
  ...maybe(choose, 0.5, "deliveryTimeout", [1000, 5000, 20_000]),
  ...maybe(choose, 0.4, "closeTimeout", [100, 3000, 10_000]),
  ...maybe(choose, 0.2, "bufferRecords", [1, 10])
})

/** What the members of a group have in common. */
export interface Group {
  readonly name: string
  readonly topics: ReadonlyArray<string>
  readonly from: "earliest" | "latest"
  readonly protocol: "classic" | "consumer" | "mixed"
  readonly assignor: "range" | "roundRobin" | "sticky" | "cooperativeSticky"
  /** Of all of them: what a member skips as aborted another one would read again, before what is committed. */
  readonly isolation?: "committed" | "uncommitted"
}

const isolation = (choose: Choices) => maybe(choose, 0.2, "isolation", ["committed", "uncommitted"] as const)

export const group = (
  choose: Choices,
  name: string,
  topics: ReadonlyArray<string>,
  release: Release | undefined
): Group => ({
  name,
  topics,
  from: choose.of(["earliest", "earliest", "latest"]),
  protocol: since(release, "4.0")
    ? choose.weighted([
        [4, "classic"],
        [4, "consumer"],
        [1, "mixed"]
      ] as const)
    : "classic",
  assignor: choose.of(["range", "roundRobin", "sticky", "cooperativeSticky", "cooperativeSticky"]),
  ...isolation(choose)
})

/** What of a cluster only some have: racks, sessions that end, an interest in metrics. */
export const cluster = (choose: Choices, release: Release | undefined, brokers: number) => ({
  ...maybe(choose, since(release, "2.8") && brokers > 1 ? 0.12 : 0, "racks", [2, brokers]),
  ...maybe(
    choose,
    since(release, "0.10.2") ? 0.1 : 0,
    "sessionLifetime",
    since(release, "2.8") ? [0, 2000, 15_000] : [0]
  ),
  ...maybe(choose, since(release, "3.9") ? 0.12 : 0, "telemetry", [1000, 30_000])
})

/** How a consumer reads, and what it makes of what it reads. */
const reading = (choose: Choices, { letters, racks, release }: Common) => {
  // Before KIP-74 a record that is larger than the answer stops its partition, and of many partitions few have room at a time.
  const mayBeSmall = since(release, "0.10.2")
  const way = choose.of(["run", "run", "keys", "none", "stream", "partitions", "eachPartition", "poll"] as const)
  const isRun = way === "run" || way === "keys" || way === "none"
  return {
    way,
    ...(way === "keys" || way === "none" ? { concurrency: choose.of([1, 2, 4, 16]) } : {}),
    ...maybe(choose, 0.35, "handles", [1, 20, 300, 3000, 20_000]),
    ...(choose.chance(0.05) ? { uninterruptible: true } : {}),
    ...(isRun && choose.chance(0.15) ? { failsEvery: choose.of([7, 20]), failsTimes: choose.of([1, 3]) } : {}),
    ...(isRun && letters !== undefined && choose.chance(0.6)
      ? {
          failsEvery: choose.of([2, 7]),
          failsTimes: choose.of([1, 5]),
          retries: choose.of([0, 2]),
          deadLetter: letters
        }
      : {}),
    ...maybe(choose, racks === undefined ? 0 : 0.7, "rack", ["r0", "r1"]),
    ...(isRun ? {} : maybe(choose, 0.15, "forgets", [2, 7, 40])),
    ...maybe(choose, 0.2, "onOutOfRange", ["earliest", "nearest", "fail"] as const),
    ...maybe(choose, 0.4, "commitInterval", [10, 200, 1000]),
    ...maybe(choose, 0.15, "commitEvery", [1, 5, 50]),
    ...maybe(choose, 0.3, "commitTimeout", [1000, 5000]),
    ...maybe(choose, 0.4, "closeTimeout", [100, 2000, 10_000]),
    ...maybe(choose, 0.3, "apiTimeout", [1000, 10_000]),
    ...maybe(choose, 0.4, "maxRecords", [1, 2, 5, 50]),
    ...(choose.chance(0.1)
      ? { progressTimeout: choose.of([5000, 30_000]), onStalled: choose.of(["event", "interrupt"] as const) }
      : {}),
    ...maybe(choose, 0.4, "maxWait", [200, 2000, 10_000]),
    ...maybe(choose, 0.2, "minBytes", [100, 10_000]),
    ...maybe(choose, mayBeSmall ? 0.3 : 0, "maxBytes", [1, 500, 5000]),
    ...maybe(choose, mayBeSmall ? 0.3 : 0, "maxPartitionBytes", [1, 200, 2000]),
    ...maybe(choose, 0.4, "bufferBytes", mayBeSmall ? [1, 200, 2000, 50_000] : [2_000_000])
  }
}

export const member = (
  choose: Choices,
  name: string,
  client: string,
  { assignor, from, isolation, name: group, protocol: ofGroup, topics }: Group,
  common: Common
): Script.Member => {
  const protocol = ofGroup === "mixed" ? choose.of(["classic", "consumer"] as const) : ofGroup
  const rebalanceTimeout = choose.of([5000, 15_000, 30_000])
  const sessionTimeout = protocol === "consumer" ? 10_000 : choose.of([6000, 10_000, 10_000, 30_000])
  const most = Math.floor(Math.min(sessionTimeout, rebalanceTimeout) / 3)
  return {
    name,
    client,
    group,
    topics,
    from,
    enter: choose.chance(0.15) ? "pattern" : "subscribe",
    protocol,
    assignor,
    ...(isolation === undefined ? {} : { isolation }),
    ...(since(common.release, "2.8") && choose.chance(0.2) ? { instanceId: name } : {}),
    sessionTimeout,
    rebalanceTimeout,
    drainTimeout: choose.of([100, 1000, 3000, rebalanceTimeout - 1]),
    ...(protocol === "classic" ? { heartbeatInterval: choose.of([most, Math.min(most, 1000)]) } : {}),
    ...maybe(choose, 0.3, "leaveTimeout", [100, 1000, 10_000]),
    ...maybe(choose, 0.15, "hooks", [0, 50, 4000]),
    ...reading(choose, common)
  }
}

/** A member that copies what it reads, in transactions. */
export const chained = (
  choose: Choices,
  name: string,
  client: string,
  group: Group,
  to: string,
  common: Common
): Script.Member => {
  const {
    commitEvery: _,
    commitInterval: __,
    concurrency: ___,
    forgets: ____,
    deadLetter: ______,
    isolation: _____,
    retries: _______,
    ...rest
  } = member(choose, name, client, { ...group, from: "earliest" }, common)
  const { failsEvery, failsTimes, handles, uninterruptible: ________, ...reads } = rest
  const fails = choose.chance(0.2)
  return {
    ...reads,
    enter: "subscribe",
    way: "process",
    to,
    ...maybe(choose, 0.8, "transactionTimeout", [10_000, 20_000, 60_000]),
    ...maybe(choose, 0.7, "batch", [1, 5, 30, 30, 200]),
    ...maybe(choose, 0.3, "handles", [1, 20, 300]),
    ...(fails ? { failsEvery: 7, failsTimes: choose.of([1, 3]), ...maybe(choose, 0.3, "failsWhole", [true]) } : {})
  }
}

/** A consumer that reads all of its topics by itself. */
export const alone = (
  choose: Choices,
  name: string,
  client: string,
  topics: ReadonlyArray<string>,
  common: Common
): Script.Member => ({
  name,
  client,
  topics,
  from: "earliest",
  enter: "assign",
  drainTimeout: 3000,
  ...isolation(choose),
  ...reading(choose, common)
})
