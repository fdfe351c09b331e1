/**
 * A script: all that happens in a simulation, as plain data. A cluster, the settings of whoever uses it, and steps, each
 * at its time. Each step stands for itself: one that finds nobody to do it, or nothing to do it to, does nothing, so that
 * any of them may be left out. Times are milliseconds. Pure.
 */
import * as Schema from "effect/Schema"
import { releases } from "../embedded/Profile.ts"

const Name = Schema.String.check(Schema.isPattern(/^[a-zA-Z][\w.-]*$/))
const Int = Schema.Int
const Millis = Schema.Int.check(Schema.isGreaterThanOrEqualTo(0))
const maybe = Schema.optionalKey

export const Cluster = Schema.Struct({
  brokers: Int,
  /** Which release the brokers play; without it they do everything at once. */
  release: maybe(Schema.Literals(releases)),
  autoCreate: maybe(Schema.Boolean),
  coldStart: maybe(Schema.Boolean),
  /** Where it is less than the release has: it is not finalized yet. */
  transactionVersion: maybe(Schema.Literals([0, 1, 2])),
  /** Everybody authenticates, and again after so long; 0: once for each connection. */
  sessionLifetime: maybe(Millis),
  /** In so many racks, in turn: r0, r1 and so on. */
  racks: maybe(Int),
  /** Metrics of clients are wanted, each so many milliseconds. */
  telemetry: maybe(Millis)
})

export const Topic = Schema.Struct({
  name: Name,
  partitions: Int,
  replicas: Int,
  minInSync: maybe(Int),
  maxMessageBytes: maybe(Int),
  compacted: maybe(Schema.Boolean)
})

/** A process: what it has ends with it. */
export const Client = Schema.Struct({
  name: Name,
  connect: maybe(Schema.Literals(["eagerly", "lazily"])),
  bootstrapTimeout: maybe(Millis),
  connectTimeout: maybe(Millis),
  requestTimeout: maybe(Millis),
  metadataTimeout: maybe(Millis),
  metadataMaxAge: maybe(Millis),
  connectionsMaxIdle: maybe(Millis),
  maxPendingResponseBytes: maybe(Int),
  /** It tells the cluster how it does. */
  telemetry: maybe(Schema.Boolean)
})

export const Producer = Schema.Struct({
  name: Name,
  client: Name,
  acks: maybe(Schema.Literals([0, 1, "all"])),
  idempotent: maybe(Schema.Boolean),
  compression: maybe(Schema.Literals(["none", "gzip", "snappy", "lz4", "zstd"])),
  linger: maybe(Millis),
  minQueued: maybe(Int),
  batchBytes: maybe(Int),
  maxRequestBytes: maybe(Int),
  maxInFlight: maybe(Int),
  requestTimeout: maybe(Millis),
  deliveryTimeout: maybe(Millis),
  closeTimeout: maybe(Millis),
  bufferBytes: maybe(Int),
  bufferRecords: maybe(Int),
  whenFull: maybe(Schema.Literals(["block", "fail"])),
  partitioner: maybe(Schema.Literals(["default", "random", "roundRobin", "consistent"]))
})

/** Who runs transactions: of several of one transactional id the last that begins fences the others. */
export const Transactor = Schema.Struct({
  name: Name,
  client: Name,
  transactionalId: Name,
  transactionTimeout: maybe(Millis),
  apiTimeout: maybe(Millis),
  compression: maybe(Schema.Literals(["none", "gzip", "snappy", "lz4", "zstd"])),
  linger: maybe(Millis),
  batchBytes: maybe(Int),
  maxInFlight: maybe(Int),
  requestTimeout: maybe(Millis),
  deliveryTimeout: maybe(Millis),
  closeTimeout: maybe(Millis),
  bufferRecords: maybe(Int)
})

const Assignor = Schema.Literals(["range", "roundRobin", "sticky", "cooperativeSticky"])

export const Member = Schema.Struct({
  name: Name,
  client: Name,
  /** Without a group it is assigned all of its topics. */
  group: maybe(Name),
  topics: Schema.Array(Name),
  enter: Schema.Literals(["subscribe", "pattern", "assign"]),
  from: Schema.Literals(["earliest", "latest"]),
  protocol: maybe(Schema.Literals(["classic", "consumer"])),
  assignor: maybe(Assignor),
  /** Instead of one: the group takes the first that all of its members have. */
  assignors: maybe(Schema.Array(Assignor)),
  /** In which rack it is. */
  rack: maybe(Name),
  instanceId: maybe(Name),
  sessionTimeout: maybe(Millis),
  heartbeatInterval: maybe(Millis),
  rebalanceTimeout: maybe(Millis),
  leaveTimeout: maybe(Millis),
  /** How it reads; `poll` pulls arrays, and gives each pull a second; `process` copies `to` a topic in transactions. */
  way: Schema.Literals(["run", "keys", "none", "stream", "partitions", "eachPartition", "poll", "process"]),
  to: maybe(Name),
  /** Of `process`. Default: its name. */
  transactionalId: maybe(Name),
  transactionTimeout: maybe(Millis),
  /** So many records in a transaction. */
  batch: maybe(Int),
  /** What a handler fails with ends `process`, as there is no `retry`. */
  failsWhole: maybe(Schema.Boolean),
  concurrency: maybe(Int),
  /** How long a handler takes. */
  handles: maybe(Millis),
  /** Its handlers cannot be interrupted. */
  uninterruptible: maybe(Schema.Boolean),
  /** The handler of each so many-th record fails, so often, before it succeeds. */
  failsEvery: maybe(Int),
  failsTimes: maybe(Int),
  /** Of `run`: what has failed so often more goes to a topic. Default: it is tried for ever. */
  retries: maybe(Int),
  deadLetter: maybe(Name),
  /** Each so many-th record is handled, and never marked: for the ways that mark by hand. */
  forgets: maybe(Int),
  isolation: maybe(Schema.Literals(["committed", "uncommitted"])),
  onOutOfRange: maybe(Schema.Literals(["earliest", "nearest", "fail"])),
  commitInterval: maybe(Millis),
  commitEvery: maybe(Int),
  commitTimeout: maybe(Millis),
  drainTimeout: maybe(Millis),
  closeTimeout: maybe(Millis),
  apiTimeout: maybe(Millis),
  maxRecords: maybe(Int),
  progressTimeout: maybe(Millis),
  onStalled: maybe(Schema.Literals(["event", "interrupt"])),
  /** What it does at an assignment, and before a revoke, takes so long. */
  hooks: maybe(Millis),
  maxWait: maybe(Millis),
  minBytes: maybe(Int),
  maxBytes: maybe(Int),
  maxPartitionBytes: maybe(Int),
  bufferBytes: maybe(Int)
})

const step = <const Do extends string, const Fields extends Schema.Struct.Fields>(name: Do, fields: Fields) =>
  Schema.Struct({ at: Millis, do: Schema.Literal(name), ...fields })

/** What can be done to a request: see `Fault`. */
export const Action = Schema.Literals([
  "error",
  "errorAfter",
  "loseRequest",
  "loseResponse",
  "withhold",
  "delay",
  "close",
  "trickle",
  "breakOff",
  "corruptCrc",
  "truncate",
  "throttle",
  "staleMetadata"
])

/**
 * What becomes of bytes between a client and a broker, where each left out is all of them: `cut` holds them back in both
 * directions, `up` and `down` in one, and they arrive when it is over, as TCP sends them again; `dead` loses what passes
 * on the connections that are open, for good; `delay` and `slow` (bytes a second, of each connection) hold them up; `bytes` gives them
 * piecemeal; `refuse` lets nobody in; `reset` ends what is open. `duplicate` holds back, in both directions, what passes on
 * the connections that are open: whoever gives one up has another beside it, and what was held arrives when it is over.
 */
export const Way = Schema.Literals([
  "cut",
  "up",
  "down",
  "dead",
  "delay",
  "slow",
  "bytes",
  "refuse",
  "reset",
  "duplicate"
])

export const Step = Schema.Union([
  // ── work
  step("send", {
    producer: Name,
    topic: Name,
    count: Int,
    how: Schema.Literals(["send", "sendAll", "offer", "parallel", "sink"]),
    /** So many keys; 0: none. */
    keys: Int,
    /** To these partitions, in turn. Default: the partitioner's choice. */
    partitions: maybe(Schema.Array(Int)),
    /** Of a value. */
    bytes: Int,
    /** Between two records, or arrays. */
    pace: maybe(Millis),
    /** It is interrupted after so long. */
    interrupt: maybe(Millis)
  }),
  step("flush", { producer: Name }),
  step("closeProducer", { producer: Name }),
  /** Transactions, one after the other. */
  step("transact", {
    transactor: Name,
    /** Each record goes to the next of these. */
    topics: Schema.Array(Name),
    times: Int,
    /** Records of each transaction. */
    count: Int,
    /** `send` and `sendAll` fail with the first record that does, the others leave that to the transaction. */
    how: Schema.Literals(["send", "sendAll", "offer", "parallel"]),
    keys: Int,
    bytes: Int,
    /** `late`: it does not end by itself. */
    end: Schema.Literals(["commit", "fail", "interrupt", "late"]),
    /** It is open for so long after its last record; with `interrupt` that comes so long after it began. */
    open: maybe(Millis),
    pace: maybe(Millis),
    /** The offset of a group, which is called after the transactional id, is part of it. */
    offsets: maybe(Schema.Boolean)
  }),
  step("closeTransactor", { transactor: Name }),
  // ── lives
  /** With `protocol` as one of that, where the cluster has been raised to a release that has it. */
  step("join", { member: Name, protocol: maybe(Schema.Literals(["classic", "consumer"])) }),
  step("leave", { member: Name }),
  /** `stop`, and its Scope closes so much later. */
  step("stop", { member: Name, for: Millis }),
  /** What reads is interrupted, and its Scope closes so much later. */
  step("interrupt", { member: Name, for: Millis }),
  /** `kill`: its connections end; `power`: nobody hears of its end. */
  step("crash", { client: Name, how: Schema.Literals(["kill", "power"]) }),
  step("freeze", { client: Name, for: Millis, timersFirst: maybe(Schema.Boolean) }),
  step("pause", { member: Name, topic: Name, partitions: Schema.Array(Int), for: Millis }),
  /** Back by so many records, or to the first one. */
  step("seek", { member: Name, topic: Name, partition: Int, back: maybe(Int) }),
  /** By hand, so many records below its position. */
  step("commit", { member: Name, topic: Name, partition: Int, back: Int }),
  /** It reads all of its topics but one, and after so long all of them again. */
  step("resubscribe", { member: Name, topic: Name, for: Millis }),
  /** The wall clock of a process is set: so many milliseconds forwards, or back. */
  step("setClock", { client: Name, by: Int }),
  /** Handlers of a topic, or of one partition, take so long. */
  step("slow", { topic: Name, partition: maybe(Int), takes: Millis, for: Millis }),
  // ── the cluster's life
  /** It comes back as it was, or as another release that is not older than the cluster's protocol, which stays as it is. */
  step("down", { broker: Int, for: Millis, release: maybe(Schema.Literals(releases)) }),
  /** It does nothing, and its connections stay open (SIGSTOP). */
  step("stand", { broker: Int, for: Millis }),
  /** The protocol becomes that of a newer release, where all brokers have it by now. */
  step("raise", { release: Schema.Literals(releases) }),
  step("addBroker", {}),
  step("moveLeader", { topic: Name, partition: Int, to: maybe(Int) }),
  /** Its replicas are to be on these brokers, the first of them preferred. */
  step("reassign", { topic: Name, partition: Int, replicas: Schema.Array(Int) }),
  step("moveCoordinator", { group: Name, to: maybe(Int) }),
  step("moveTransactions", { transactionalId: Name, to: maybe(Int) }),
  step("addPartitions", { topic: Name, total: Int }),
  /** It is made again after so long. */
  step("deleteTopic", { topic: Name, for: Millis }),
  step("recreateTopic", { topic: Name }),
  /** All but so many of its last records are gone. */
  step("trim", { topic: Name, partition: Int, keep: Int }),
  /** Retention: each second all but so many of the last records of each partition are gone. */
  step("retain", { topic: Name, keep: Int, for: Millis }),
  step("compact", { topic: Name }),
  /** A follower copies nothing; `shrink`: it is taken out of those in sync. */
  step("lag", { topic: Name, partition: Int, for: Millis, shrink: maybe(Schema.Boolean) }),
  /** A follower that copies nothing and is not in sync is made the leader after so long. */
  step("unclean", { topic: Name, partition: Int, for: Millis }),
  // ── network and faults
  step("link", { client: maybe(Name), broker: maybe(Int), how: Way, amount: maybe(Int), for: Millis }),
  step("fault", {
    api: Schema.String,
    action: Action,
    code: maybe(Int),
    millis: maybe(Millis),
    topic: maybe(Name),
    partition: maybe(Int),
    group: maybe(Name),
    client: maybe(Name),
    broker: maybe(Int),
    nth: maybe(Int),
    times: maybe(Int),
    probability: maybe(Schema.Number),
    seed: maybe(Int),
    for: Millis
  })
])

export const Script = Schema.Struct({
  /** Of the broker's own choices, such as ids. */
  seed: Int,
  /** How many steps a fiber does until another has its turn. Default 2048. */
  turns: maybe(Int),
  cluster: Cluster,
  topics: Schema.Array(Topic),
  clients: Schema.Array(Client),
  producers: Schema.Array(Producer),
  transactors: Schema.Array(Transactor),
  members: Schema.Array(Member),
  steps: Schema.Array(Step)
})

export type Script = typeof Script.Type
export type Topic = typeof Topic.Type
export type Client = typeof Client.Type
export type Producer = typeof Producer.Type
export type Transactor = typeof Transactor.Type
export type Member = typeof Member.Type
export type Step = typeof Step.Type
export type StepOf<Do extends Step["do"]> = Extract<Step, { readonly do: Do }>

/** How long a step is in force, or takes by its own will; 0 for what is over at once. */
const lasts = (step: Step): number =>
  step.do === "send"
    ? step.count * (step.pace ?? 0)
    : step.do === "transact"
      ? step.times * ((step.pace ?? 0) + (step.open ?? 0))
      : "for" in step
        ? step.for
        : 0

/** When the last of it is over. */
export const endOf = (script: Script): number =>
  script.steps.reduce((end, step) => Math.max(end, step.at + lasts(step)), 0)

/** Topics of which no log says in the end what was written: they are deleted, or lose records in an election. */
export const volatileTopics = (script: Script): ReadonlySet<string> =>
  new Set(
    script.steps.flatMap((step) =>
      step.do === "deleteTopic" || step.do === "recreateTopic" || step.do === "unclean" ? [step.topic] : []
    )
  )
