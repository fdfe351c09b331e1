/** What may go wrong in a script, how often and for how long: each mishap is a step, or several that belong together. Pure. */
import { type Release, releases } from "../embedded/Profile.ts"
import type { Choices } from "./Choices.ts"
import * as Mishaps from "./Mishaps.ts"
import { since } from "./Ranges.ts"
import type { Step, Topic } from "./Script.ts"

/** What a script is mostly about: how long it is, how much happens, and the weights of what does. */
export interface Theme {
  readonly minutes: ReadonlyArray<number>
  readonly mishaps: readonly [from: number, to: number]
  readonly weights: { readonly [K in keyof typeof mishaps]?: number }
}

/** What a step is chosen with. */
export interface Plan extends Mishaps.Scene {
  readonly choose: Choices
  readonly release: Release | undefined
  readonly producers: ReadonlyArray<string>
  readonly transactors: ReadonlyArray<string>
  readonly transactionalIds: ReadonlyArray<string>
  readonly members: ReadonlyArray<string>
  /** Those of them that keep their positions in transactions: nobody else sets them. */
  readonly chained: ReadonlySet<string>
  readonly topics: ReadonlyArray<Topic>
  /** Topics that may be deleted, or lose records. */
  readonly brittle: ReadonlyArray<Topic>
}

type Mishap = (plan: Plan, at: number, lasts: number) => ReadonlyArray<Step>

const partitionOf = (choose: Choices, topics: ReadonlyArray<Topic>) => {
  const topic = choose.of(topics)
  return { topic: topic.name, partition: choose.below(topic.partitions) }
}

/** Some partitions. */
export const some = (choose: Choices, partitions: number): ReadonlyArray<number> =>
  Array.from(
    new Set(Array.from({ length: choose.of([1, 1, 2, 5]) }, () => choose.below(partitions))),
    (partition) => partition
  )

const ofMember =
  (f: (member: string, at: number, lasts: number, plan: Plan) => ReadonlyArray<Step>): Mishap =>
  (plan, at, lasts) =>
    plan.members.length === 0 ? [] : f(plan.choose.of(plan.members), at, lasts, plan)

/** Of one whose positions are its own. */
const ofReader = (f: Parameters<typeof ofMember>[0]): Mishap =>
  ofMember((member, at, lasts, plan) => (plan.chained.has(member) ? [] : f(member, at, lasts, plan)))

/** A member that goes comes back, mostly. */
const andBack = (plan: Plan, member: string, at: number, lasts: number): ReadonlyArray<Step> =>
  plan.choose.chance(0.7) ? [{ at: at + lasts, do: "join", member }] : []

const faultOf =
  (...kinds: Parameters<typeof Mishaps.fault>[4]): Mishap =>
  ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, kinds)]

const mishaps = {
  produceFault: faultOf("produce"),
  fetchFault: faultOf("fetch"),
  groupFault: faultOf("group"),
  commitFault: faultOf("commit"),
  metadataFault: faultOf("metadata", "any"),
  link: ({ choose, ...scene }, at, lasts) => [Mishaps.link(choose, scene, at, lasts)],
  down: ({ brokers, choose }, at, lasts) => [{ at, do: "down", broker: 1 + choose.below(brokers), for: lasts }],
  stand: ({ brokers, choose }, at, lasts) => [{ at, do: "stand", broker: 1 + choose.below(brokers), for: lasts }],
  /** One broker after the other, at times to a newer release, and then the protocol and the members, one after the other. */
  rolling: ({ brokers, choose, members, release }, at, lasts) => {
    const each = Math.min(lasts, choose.of([2000, 10_000]))
    const newer = release !== undefined && since(release, "0.11") ? releases.filter((one) => !since(release, one)) : []
    const to = newer.length > 0 && choose.chance(0.75) ? { release: choose.of(newer) } : {}
    const next = each + choose.of([0, 5000])
    const steps: ReadonlyArray<Step> = Array.from({ length: brokers }, (_, i) => ({
      at: at + i * next,
      do: "down" as const,
      broker: i + 1,
      for: each,
      ...to
    }))
    if (to.release === undefined || !since(release, "2.8") || choose.chance(0.3)) return steps
    const over = at + brokers * next + 1000
    const protocol = since(to.release, "4.0") && choose.chance(0.7) ? { protocol: "consumer" as const } : {}
    const joins = members.flatMap((member, i): ReadonlyArray<Step> => [
      { at: over + 2000 + i * 3000, do: "leave", member },
      { at: over + 3000 + i * 3000, do: "join", member, ...protocol }
    ])
    return [...steps, { at: over, do: "raise", release: to.release }, ...("protocol" in protocol ? joins : [])]
  },
  moveLeader: ({ brokers, choose, topics }, at) =>
    Array.from({ length: choose.of([1, 1, 5]) }, (_, i) => ({
      at: at + i * choose.of([0, 0, 100]),
      do: "moveLeader" as const,
      ...partitionOf(choose, topics),
      ...(choose.chance(0.3) ? { to: 1 + choose.below(brokers) } : {})
    })),
  /** Some partitions of a topic, to other brokers. */
  reassign: ({ brokers, choose, topics }, at) => {
    const topic = choose.of(topics)
    return some(choose, topic.partitions).map((partition, i) => {
      const first = choose.below(brokers)
      const replicas = Array.from({ length: topic.replicas }, (_, j) => 1 + ((first + j) % brokers))
      return { at: at + i * choose.of([0, 0, 100]), do: "reassign" as const, topic: topic.name, partition, replicas }
    })
  },
  transactionFault: faultOf("transaction"),
  moveTransactions: ({ choose, transactionalIds }, at) => [
    { at, do: "moveTransactions", transactionalId: choose.of(transactionalIds) }
  ],
  closeTransactor: ({ choose, transactors }, at) =>
    transactors.length === 0 ? [] : [{ at, do: "closeTransactor", transactor: choose.of(transactors) }],
  moveCoordinator: ({ choose, groups }, at) =>
    groups.length === 0 ? [] : [{ at, do: "moveCoordinator", group: choose.of(groups) }],
  addPartitions: ({ choose, topics }, at) => {
    const topic = choose.of(topics)
    return [{ at, do: "addPartitions", topic: topic.name, total: topic.partitions + choose.of([1, 3]) }]
  },
  addBroker: (_, at) => [{ at, do: "addBroker" }],
  deleteTopic: ({ brittle, choose }, at, lasts) =>
    brittle.length === 0 ? [] : [{ at, do: "deleteTopic", topic: choose.of(brittle).name, for: lasts }],
  recreateTopic: ({ brittle, choose }, at) =>
    brittle.length === 0 ? [] : [{ at, do: "recreateTopic", topic: choose.of(brittle).name }],
  unclean: ({ brittle, choose }, at, lasts) =>
    brittle.length === 0 ? [] : [{ at, do: "unclean", ...partitionOf(choose, brittle), for: lasts }],
  trim: ({ choose, topics }, at) => [
    { at, do: "trim", ...partitionOf(choose, topics), keep: choose.of([0, 0, 1, 10]) }
  ],
  retain: ({ choose, topics }, at, lasts) => [
    { at, do: "retain", topic: choose.of(topics).name, keep: choose.of([0, 3, 30]), for: Math.min(lasts, 60_000) }
  ],
  compact: ({ choose, topics }, at) => {
    const compacted = topics.filter((topic) => topic.compacted === true)
    return compacted.length === 0 ? [] : [{ at, do: "compact", topic: choose.of(compacted).name }]
  },
  lag: ({ choose, topics }, at, lasts) => [
    { at, do: "lag", ...partitionOf(choose, topics), ...(choose.chance(0.5) ? { shrink: true } : {}), for: lasts }
  ],
  leave: ofMember((member, at, lasts, plan) => [{ at, do: "leave", member }, ...andBack(plan, member, at, lasts)]),
  stop: ofMember((member, at, lasts, plan) => [
    { at, do: "stop", member, for: plan.choose.of([0, 100, lasts]) },
    ...andBack(plan, member, at, lasts)
  ]),
  interrupt: ofMember((member, at, lasts, plan) => [
    { at, do: "interrupt", member, for: plan.choose.of([0, 100, lasts]) },
    ...andBack(plan, member, at, lasts)
  ]),
  /** Many, one after the other, as an autoscaler does it. */
  storm: (plan, at, lasts) =>
    plan.members.length === 0
      ? []
      : Array.from({ length: plan.choose.between(4, 16) }, (_, i) => ({
          at: at + Math.floor((lasts * i) / 16),
          do: plan.choose.of(["join", "join", "leave"] as const),
          member: plan.choose.of(plan.members)
        })),
  crash: (plan, at, lasts) => {
    const { choose, clients, members } = plan
    return [
      { at, do: "crash", client: choose.of(clients), how: choose.of(["kill", "power"] as const) },
      ...(members.length === 0 ? [] : andBack(plan, choose.of(members), at, lasts))
    ]
  },
  freeze: ({ choose, clients }, at, lasts) => [
    { at, do: "freeze", client: choose.of(clients), for: lasts, ...(choose.chance(0.5) ? { timersFirst: true } : {}) }
  ],
  pause: ofMember((member, at, lasts, { choose, topics }) => {
    const topic = choose.of(topics)
    return [{ at, do: "pause", member, topic: topic.name, partitions: some(choose, topic.partitions), for: lasts }]
  }),
  seek: ofReader((member, at, _, { choose, topics }) => [
    {
      at,
      do: "seek",
      member,
      ...partitionOf(choose, topics),
      ...(choose.chance(0.3) ? {} : { back: choose.below(20) })
    }
  ]),
  commit: ofReader((member, at, _, { choose, topics }) => [
    { at, do: "commit", member, ...partitionOf(choose, topics), back: choose.below(5) }
  ]),
  resubscribe: ofMember((member, at, lasts, { choose, topics }) => [
    { at, do: "resubscribe", member, topic: choose.of(topics).name, for: lasts }
  ]),
  setClock: ({ choose, clients }, at) => [
    {
      at,
      do: "setClock",
      client: choose.of(clients),
      by: choose.of([-3_600_000, -5000, -500, 500, 2000, 9000, 3_600_000])
    }
  ],
  slow: ({ choose, topics }, at, lasts) => [
    {
      at,
      do: "slow",
      ...(choose.chance(0.8) ? partitionOf(choose, topics) : { topic: choose.of(topics).name }),
      takes: choose.of([300, 3000, 20_000, 60_000]),
      for: lasts
    }
  ],
  closeProducer: ({ choose, producers }, at) => [{ at, do: "closeProducer", producer: choose.of(producers) }],
  flush: ({ choose, producers }, at) => [{ at, do: "flush", producer: choose.of(producers) }]
} satisfies { readonly [name: string]: Mishap }

export type Kind = keyof typeof mishaps

/** How often each is chosen, where no theme says otherwise. */
const usual: { readonly [K in Kind]: number } = {
  produceFault: 4,
  fetchFault: 4,
  groupFault: 4,
  commitFault: 3,
  metadataFault: 2,
  link: 5,
  down: 2,
  stand: 2,
  rolling: 1,
  moveLeader: 2,
  reassign: 1,
  moveCoordinator: 1,
  addPartitions: 0.7,
  addBroker: 0.2,
  deleteTopic: 1,
  recreateTopic: 1,
  unclean: 1,
  trim: 0.7,
  retain: 0.5,
  compact: 0.5,
  lag: 1,
  leave: 2,
  stop: 1,
  interrupt: 1,
  storm: 0.3,
  crash: 1,
  freeze: 1.5,
  pause: 1,
  seek: 1,
  commit: 0.7,
  resubscribe: 1,
  setClock: 0.5,
  slow: 2,
  closeProducer: 0.7,
  flush: 0.5,
  transactionFault: 4,
  moveTransactions: 1.5,
  closeTransactor: 0.7
}

const ofTransactions: ReadonlySet<string> = new Set<Kind>(["transactionFault", "moveTransactions", "closeTransactor"])

/** How long something is wrong: a moment, or about as long as some time-out, or longer than any. */
const lasting = (choose: Choices, most: number): number =>
  Math.min(
    most,
    choose.weighted<() => number>([
      [1, () => choose.below(200)],
      [3, () => choose.between(200, 5000)],
      [3, () => choose.between(5000, 30_000)],
      [2, () => choose.of([500, 1000, 3000, 5000, 6000, 10_000, 15_000, 30_000]) + choose.of([-1, 0, 1])],
      [1.5, () => choose.between(30_000, 180_000)]
    ])()
  )

/** What happens, over the time of the script. */
export const happenings = (
  plan: Plan,
  theme: Theme,
  end: number,
  all: ReadonlyArray<Kind> = Object.keys(mishaps) as Array<Kind>
): ReadonlyArray<Step> => {
  const { choose } = plan
  const kinds = all
    // What none of the script could do would be a mishap less.
    .filter((kind) => plan.transactionalIds.length > 0 || !ofTransactions.has(kind))
    .map((kind) => [theme.weights[kind] ?? usual[kind], kind] as const)
  const steps: Array<Step> = []
  let last = 0
  for (let i = choose.between(...theme.mishaps); i > 0; i--) {
    const lasts = lasting(choose, end)
    const at = choose.chance(0.35)
      ? // Together with the one before, or at its end.
        Math.min(end, last + choose.of([0, 0, 1, 50, 500]))
      : choose.below(end)
    steps.push(...(mishaps[choose.weighted(kinds)] as Mishap)(plan, at, lasts))
    last = choose.chance(0.5) ? at : at + lasts
  }
  return steps
}
