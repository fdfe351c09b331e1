/**
 * One seed makes a script. What happens, how often and for how long is chosen by weights, which a theme shifts: a script
 * is of calm hours in which one thing is wrong, or of storms, of many partitions, of groups that come and go, of topics
 * that vanish. Steps come alone, in bursts, and at the very end of one before: what breaks clients is mostly two things at
 * once. Pure.
 */
import { type Release, releases } from "../embedded/Profile.ts"
import { type Choices, choices } from "./Choices.ts"
import * as Mishaps from "./Mishaps.ts"
import * as Ranges from "./Ranges.ts"
import type { Script, Step, Topic } from "./Script.ts"

/** What a script is mostly about: how long it is, how much happens, and the weights of what does. */
interface Theme {
  readonly minutes: ReadonlyArray<number>
  readonly mishaps: readonly [from: number, to: number]
  readonly weights: { readonly [K in keyof typeof mishaps]?: number }
}

/** What a step is chosen with. */
interface Plan extends Mishaps.Scene {
  readonly choose: Choices
  readonly release: Release | undefined
  readonly producers: ReadonlyArray<string>
  readonly members: ReadonlyArray<string>
  readonly topics: ReadonlyArray<Topic>
  /** Topics that may be deleted, or lose records. */
  readonly brittle: ReadonlyArray<Topic>
}

type Mishap = (plan: Plan, at: number, lasts: number) => ReadonlyArray<Step>

const partitionOf = (choose: Choices, topics: ReadonlyArray<Topic>) => {
  const topic = choose.of(topics)
  return { topic: topic.name, partition: choose.below(topic.partitions) }
}

const some = (choose: Choices, partitions: number): ReadonlyArray<number> =>
  Array.from(
    new Set(Array.from({ length: choose.of([1, 1, 2, 5]) }, () => choose.below(partitions))),
    (partition) => partition
  )

const ofMember =
  (f: (member: string, at: number, lasts: number, plan: Plan) => ReadonlyArray<Step>): Mishap =>
  (plan, at, lasts) =>
    plan.members.length === 0 ? [] : f(plan.choose.of(plan.members), at, lasts, plan)

/** A member that goes comes back, mostly. */
const andBack = (plan: Plan, member: string, at: number, lasts: number): ReadonlyArray<Step> =>
  plan.choose.chance(0.7) ? [{ at: at + lasts, do: "join", member }] : []

const mishaps = {
  produceFault: ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, ["produce"])],
  fetchFault: ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, ["fetch"])],
  groupFault: ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, ["group"])],
  commitFault: ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, ["commit"])],
  metadataFault: ({ choose, ...scene }, at, lasts) => [Mishaps.fault(choose, scene, at, lasts, ["metadata", "any"])],
  link: ({ choose, ...scene }, at, lasts) => [Mishaps.link(choose, scene, at, lasts)],
  down: ({ brokers, choose }, at, lasts) => [{ at, do: "down", broker: 1 + choose.below(brokers), for: lasts }],
  stand: ({ brokers, choose }, at, lasts) => [{ at, do: "stand", broker: 1 + choose.below(brokers), for: lasts }],
  /** One broker after the other. */
  rolling: ({ brokers, choose }, at, lasts) => {
    const each = Math.min(lasts, choose.of([2000, 10_000]))
    return Array.from({ length: brokers }, (_, i) => ({
      at: at + i * (each + choose.of([0, 5000])),
      do: "down" as const,
      broker: i + 1,
      for: each
    }))
  },
  moveLeader: ({ brokers, choose, topics }, at) =>
    Array.from({ length: choose.of([1, 1, 5]) }, (_, i) => ({
      at: at + i * choose.of([0, 0, 100]),
      do: "moveLeader" as const,
      ...partitionOf(choose, topics),
      ...(choose.chance(0.3) ? { to: 1 + choose.below(brokers) } : {})
    })),
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
  seek: ofMember((member, at, _, { choose, topics }) => [
    {
      at,
      do: "seek",
      member,
      ...partitionOf(choose, topics),
      ...(choose.chance(0.3) ? {} : { back: choose.below(20) })
    }
  ]),
  commit: ofMember((member, at, _, { choose, topics }) => [
    { at, do: "commit", member, ...partitionOf(choose, topics), back: choose.below(5) }
  ]),
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

type Kind = keyof typeof mishaps

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
  rolling: 0.3,
  moveLeader: 2,
  moveCoordinator: 1,
  addPartitions: 0.7,
  addBroker: 0.2,
  deleteTopic: 1,
  recreateTopic: 1,
  unclean: 1,
  trim: 0.7,
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
  slow: 2,
  closeProducer: 0.7,
  flush: 0.5
}

const themes: ReadonlyArray<readonly [weight: number, theme: Theme]> = [
  // One thing at a time, for long: what is healthy beside it must go on.
  [3, { minutes: [10, 20], mishaps: [1, 4], weights: {} }],
  [4, { minutes: [1, 3, 5], mishaps: [4, 12], weights: {} }],
  [2, { minutes: [2, 5], mishaps: [15, 30], weights: {} }],
  [
    2,
    {
      minutes: [2, 4],
      mishaps: [3, 10],
      weights: { leave: 8, stop: 5, interrupt: 5, storm: 2, crash: 5, freeze: 5, groupFault: 8 }
    }
  ],
  [
    2,
    {
      minutes: [2, 4],
      mishaps: [3, 10],
      weights: { produceFault: 12, closeProducer: 5, flush: 3, moveLeader: 6, down: 4, link: 8 }
    }
  ],
  [
    2,
    {
      minutes: [2, 4],
      mishaps: [3, 8],
      weights: { deleteTopic: 6, recreateTopic: 6, unclean: 6, trim: 4, addPartitions: 3 }
    }
  ],
  [2, { minutes: [3, 6], mishaps: [3, 8], weights: { stand: 8, down: 5, link: 10, rolling: 2 } }],
  [1, { minutes: [2, 4], mishaps: [3, 8], weights: { slow: 8, pause: 6, seek: 6, commit: 5, commitFault: 10 } }]
]

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

/** What a producer sends: little by little, at once, in bulk, and to chosen partitions. */
const sends = (choose: Choices, producers: ReadonlyArray<string>, topics: ReadonlyArray<Topic>, end: number) =>
  Array.from({ length: choose.between(2, 9) }, (): Step => {
    const topic = choose.of(topics)
    const how = choose.of(["send", "send", "sendAll", "sendAll", "offer", "parallel", "sink"] as const)
    const count = choose.weighted([
      [2, 1],
      [4, 10],
      [4, 60],
      [1.5, 400],
      [how === "sendAll" || how === "sink" ? 0.5 : 0, 2500]
    ])
    const pace = how === "parallel" ? 0 : choose.of([0, 0, 10, 300, 2000])
    return {
      at: choose.below(end),
      do: "send",
      producer: choose.of(producers),
      topic: topic.name,
      count,
      how,
      keys: topic.compacted === true ? 5 : choose.of([0, 0, 3, 50]),
      ...(choose.chance(0.3)
        ? {
            partitions: choose.chance(0.5)
              ? some(choose, topic.partitions)
              : Array.from({ length: topic.partitions }, (_, i) => i)
          }
        : {}),
      bytes: choose.weighted([
        [5, 12],
        [4, 100],
        [1.5, 1500],
        [0.3, 30_000]
      ]),
      ...(pace === 0 ? {} : { pace: Math.min(pace, Math.ceil(end / count)) }),
      ...(choose.chance(0.12) ? { interrupt: choose.of([0, 1, 20, 400, 5000]) } : {})
    }
  })

const topicsOf = (choose: Choices, brokers: number, isLong: boolean): ReadonlyArray<Topic> =>
  Array.from({ length: choose.of([1, 2, 2, 3]) }, (_, i): Topic => {
    const replicas = Math.min(brokers, choose.of([1, 3, 3]))
    return {
      name: `t${i}`,
      partitions: choose.weighted([
        [3, 1],
        [5, choose.between(2, 7)],
        [3, choose.between(8, 21)],
        [isLong ? 0.2 : 1, 65],
        [isLong ? 0 : 0.3, 200]
      ]),
      replicas,
      ...(replicas === 3 && choose.chance(0.3) ? { minInSync: 2 } : {}),
      ...(choose.chance(0.1) ? { compacted: true } : {})
    }
  })

/** What happens, over the time of the script. */
const happenings = (plan: Plan, theme: Theme, end: number): ReadonlyArray<Step> => {
  const { choose } = plan
  const kinds = (Object.keys(mishaps) as Array<Kind>).map((kind) => [theme.weights[kind] ?? usual[kind], kind] as const)
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

/** The script of a seed. */
export const script = (seed: number): Script => {
  const choose = choices(seed)
  const theme = choose.weighted(themes)
  const end = Math.floor(choose.of(theme.minutes) * 60_000)
  const release = choose.chance(0.5) ? undefined : choose.of(releases)
  const brokers = choose.weighted([
    [2, 1],
    [2, 2],
    [8, 3],
    [1, 5],
    [1, 7]
  ])
  const topics = topicsOf(choose, brokers, end > 300_000)
  const names = topics.map(({ name }) => name)
  const clients: Array<string> = []
  const clientOf = () => {
    // Mostly a client of one's own.
    if (clients.length > 0 && choose.chance(0.15)) return choose.of(clients)
    clients.push(`c${clients.length + 1}`)
    return clients.at(-1)!
  }
  const producers = Array.from({ length: choose.of([1, 1, 2, 3]) }, (_, i) =>
    Ranges.producer(choose, `p${i + 1}`, clientOf(), release)
  )
  const hasGroups = Ranges.since(release, "0.9")
  const groups = Array.from({ length: hasGroups ? choose.of([1, 1, 1, 2]) : 0 }, (_, i) =>
    Ranges.group(choose, `g${i + 1}`, choose.chance(0.7) ? names : [choose.of(names)], release)
  )
  const members = [
    ...groups.flatMap((group, i) =>
      Array.from({ length: choose.of([1, 2, 3, 3, 5]) }, (_, j) =>
        Ranges.member(choose, `m${i * 5 + j + 1}`, clientOf(), group, release)
      )
    ),
    ...(choose.chance(hasGroups ? 0.2 : 1) ? [Ranges.alone(choose, "a1", clientOf(), names, release)] : [])
  ]
  const plan: Plan = {
    choose,
    release,
    brokers,
    topics,
    clients,
    groups: groups.map(({ name }) => name),
    producers: producers.map(({ name }) => name),
    members: members.map(({ name }) => name),
    // The first one keeps its records, so that there is always something to compare.
    brittle: topics.slice(1)
  }
  const steps: ReadonlyArray<Step> = [
    ...members.map(({ name }, i): Step => ({
      at: choose.chance(0.6) ? i * choose.of([0, 0, 10]) : choose.below(end),
      do: "join",
      member: name
    })),
    ...sends(choose, plan.producers, topics, end),
    ...happenings(plan, theme, end)
  ]
  return {
    seed,
    ...(choose.chance(0.4) ? { turns: choose.of([3, 5, 17, 100]) } : {}),
    cluster: {
      brokers,
      ...(release === undefined ? {} : { release }),
      ...(choose.chance(0.1) ? { autoCreate: true } : {}),
      ...(choose.chance(0.1) ? { coldStart: true } : {})
    },
    topics,
    clients: clients.map((name) => Ranges.client(choose, name)),
    producers,
    members,
    steps: steps.toSorted((a, b) => a.at - b.at)
  }
}
