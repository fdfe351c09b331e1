/**
 * One seed makes a script. What happens, how often and for how long is chosen by weights, which a theme shifts: a script
 * is of calm hours in which one thing is wrong, or of storms, of many partitions, of groups that come and go, of topics
 * that vanish. Steps come alone, in bursts, and at the very end of one before: what breaks clients is mostly two things at
 * once. Pure.
 */
import { releases } from "../embedded/Profile.ts"
import { type Choices, choices } from "./Choices.ts"
import { happenings, type Kind, type Plan, some, type Theme } from "./Happenings.ts"
import * as Ranges from "./Ranges.ts"
import { endOf, type Script, type Step, type Topic } from "./Script.ts"

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
      weights: { leave: 8, stop: 5, interrupt: 5, storm: 2, crash: 5, freeze: 5, groupFault: 8, resubscribe: 5 }
    }
  ],
  [
    2,
    {
      minutes: [2, 4],
      mishaps: [3, 10],
      weights: { produceFault: 12, transactionFault: 8, closeProducer: 5, flush: 3, moveLeader: 6, down: 4, link: 8 }
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

/** What transactional producers do: mostly they commit. */
const transactions = (
  choose: Choices,
  transactors: ReadonlyArray<Script["transactors"][number]>,
  topics: ReadonlyArray<Topic>,
  end: number
) =>
  Array.from({ length: transactors.length * choose.between(1, 4) }, (): Step => {
    const list = choose.chance(0.5) ? topics.map(({ name }) => name) : [choose.of(topics).name]
    const open = choose.of([0, 0, 0, 20, 300, 3000, 15_000])
    const pace = choose.of([0, 0, 300, 2000])
    const ends = choose.of(["commit", "commit", "commit", "commit", "fail", "interrupt", "late"] as const)
    return {
      at: choose.below(end),
      do: "transact",
      transactor: choose.of(transactors).name,
      topics: list,
      times: ends === "late" ? 1 : choose.of([1, 3, 10, open > 1000 ? 3 : 30]),
      count: choose.of([1, 3, 10, 40]),
      how: choose.of(["send", "sendAll", "sendAll", "offer", "parallel"] as const),
      keys: topics.some(({ compacted, name }) => compacted === true && list.includes(name)) ? 5 : choose.of([0, 3, 50]),
      bytes: choose.of([12, 12, 100, 1500]),
      end: ends,
      ...(open === 0 ? {} : { open }),
      ...(pace === 0 ? {} : { pace }),
      ...(choose.chance(0.4) ? { offsets: true } : {})
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

/** How many steps a fiber takes in one turn. */
const turns = (choose: Choices) => Ranges.maybe(choose, 0.4, "turns", [3, 5, 17, 100])

/** What may happen around a program that is not the script's. */
const around: ReadonlyArray<Kind> = [
  "produceFault",
  "fetchFault",
  "groupFault",
  "commitFault",
  "metadataFault",
  "link",
  "down",
  "stand",
  "rolling",
  "moveLeader",
  "reassign",
  "moveCoordinator",
  "lag",
  "freeze",
  "setClock"
]

/** The script of what happens around a program, which is the process `program`: to it, its cluster and its network. */
export const aroundProgram = (
  seed: number,
  given: { readonly brokers: number; readonly topics: ReadonlyArray<Topic>; readonly groups: ReadonlyArray<string> }
): Script => {
  const choose = choices(seed)
  const { brokers, groups, topics } = given
  const theme = choose.weighted(themes)
  const end = Math.floor(choose.of([1, 2, 3]) * 60_000)
  const clients = ["program"]
  const nobody = { producers: [], transactors: [], transactionalIds: [], members: [], chained: new Set<string>() }
  const scene = { brokers, groups, topics, clients, brittle: [], writers: [], ...nobody }
  const steps = happenings({ choose, release: undefined, ...scene }, theme, end, around)
  return {
    seed,
    ...turns(choose),
    cluster: { brokers },
    topics,
    clients: [{ name: "program" }],
    producers: [],
    transactors: [],
    members: [],
    steps: steps.toSorted((a, b) => a.at - b.at)
  }
}

/** The clients that are no members. */
const writersOf = (
  clients: ReadonlyArray<{ readonly name: string }>,
  members: ReadonlyArray<{ readonly client: string }>
): ReadonlyArray<string> => clients.flatMap(({ name }) => (members.some(({ client }) => client === name) ? [] : [name]))

/** How much longer a script becomes that goes on. */
const minutesMore = [0.5, 1]

/** A script that goes on: what a seed chooses happens amid what it says, and behind it. */
export const continued = (start: Script, seed: number): Script => {
  const choose = choices(seed)
  const theme = choose.weighted(themes)
  const kept = new Set(start.members.flatMap(({ deadLetter, to }) => [deadLetter ?? [], to ?? []].flat()))
  const topics = start.topics.filter(({ name }) => !kept.has(name))
  const chained = start.members.filter(({ way }) => way === "process").map(({ name }) => name)
  const plan: Plan = {
    choose,
    release: start.cluster.release,
    brokers: start.cluster.brokers,
    topics,
    clients: start.clients.map(({ name }) => name),
    writers: writersOf(start.clients, start.members),
    groups: [...new Set(start.members.flatMap(({ group }) => group ?? []))],
    producers: start.producers.map(({ name }) => name),
    transactors: start.transactors.map(({ name }) => name),
    transactionalIds: [...start.transactors.map(({ transactionalId }) => transactionalId), ...chained],
    chained: new Set(chained),
    members: start.members.map(({ name }) => name),
    brittle: topics.slice(1)
  }
  const from = choose.below(endOf(start) + 1)
  const end = endOf(start) - from + choose.of(minutesMore) * 60_000
  const more = [
    ...(plan.producers.length === 0 ? [] : sends(choose, plan.producers, topics, end)),
    ...transactions(choose, start.transactors, topics, end),
    ...happenings(plan, theme, end)
  ]
  const steps = [...start.steps, ...more.map((step) => ({ ...step, at: step.at + from }))]
  return { ...start, seed, ...turns(choose), steps: steps.toSorted((a, b) => a.at - b.at) }
}

/** The script of a seed. */
export const script = (seed: number): Script => {
  const choose = choices(seed)
  const theme = choose.weighted(themes)
  const end = Math.floor(choose.of(theme.minutes) * 60_000)
  const release = choose.chance(0.5) ? undefined : choose.of(releases)
  const compresses = choose.chance(0.4)
  const brokers = choose.weighted([
    [2, 1],
    [2, 2],
    [8, 3],
    [1, 5],
    [1, 7]
  ])
  const topics = topicsOf(choose, brokers, end > 300_000)
  const special = Ranges.cluster(choose, release, brokers)
  // Nothing befalls it but what befalls its brokers; dead letters have headers, which came with format 2 of records.
  const letters: ReadonlyArray<Topic> = choose.chance(Ranges.since(release, "0.11") ? 0.15 : 0)
    ? [{ name: "d1", partitions: choose.of([1, 3]), replicas: Math.min(brokers, choose.of([1, 3])) }]
    : []
  const common = { release, compresses, racks: special.racks, letters: letters[0]?.name }
  // What is copied to keeps its records.
  const isChained = Ranges.since(release, "2.8") && choose.chance(0.25)
  const copies: Topic = { name: "o1", partitions: choose.of([1, 3]), replicas: Math.min(brokers, choose.of([1, 3])) }
  const all = isChained ? [...topics, copies] : topics
  const names = topics.map(({ name }) => name)
  const clients: Array<string> = []
  const clientOf = () => {
    // Mostly a client of one's own.
    if (clients.length > 0 && choose.chance(0.15)) return choose.of(clients)
    clients.push(`c${clients.length + 1}`)
    return clients.at(-1)!
  }
  const producers = Array.from({ length: choose.of([1, 1, 2, 3]) }, (_, i) =>
    Ranges.producer(choose, `p${i + 1}`, clientOf(), common)
  )
  const hasGroups = Ranges.since(release, "0.9")
  const groups = Array.from({ length: hasGroups ? choose.of([1, 1, 1, 2]) : 0 }, (_, i) =>
    Ranges.group(choose, `g${i + 1}`, choose.chance(0.7) ? names : [choose.of(names)], release)
  )
  const chain = isChained ? [Ranges.group(choose, "chain", [choose.of(names)], release)] : []
  const ids = Array.from({ length: choose.of([1, 2, 3]) }, () => choose.of(["x1", "x1", "x2", "x3"]))
  const transactors = (Ranges.since(release, "0.11") && choose.chance(0.35) ? ids : []).map((id, i) =>
    // Now and then of one id: who comes later fences the one before.
    Ranges.transactor(choose, `w${i + 1}`, clientOf(), id, common)
  )
  const chained = chain.flatMap((group) =>
    Array.from({ length: choose.of([1, 2, 3]) }, (_, i) =>
      Ranges.chained(choose, `k${i + 1}`, clientOf(), group, copies.name, common)
    )
  )
  const members = [
    ...groups.flatMap((group, i) =>
      Array.from({ length: choose.of([1, 2, 3, 3, 5]) }, (_, j) =>
        Ranges.member(choose, `m${i * 5 + j + 1}`, clientOf(), group, common)
      )
    ),
    ...chained,
    ...(choose.chance(hasGroups ? 0.2 : 1)
      ? [Ranges.alone(choose, "a1", clientOf(), choose.chance(0.5) ? names : all.map(({ name }) => name), common)]
      : [])
  ]
  const plan: Plan = {
    choose,
    release,
    brokers,
    topics: all,
    clients,
    writers: writersOf(
      clients.map((name) => ({ name })),
      members
    ),
    groups: [...groups, ...chain].map(({ name }) => name),
    producers: producers.map(({ name }) => name),
    transactors: transactors.map(({ name }) => name),
    transactionalIds: [
      ...transactors.map(({ transactionalId }) => transactionalId),
      ...chained.map(({ name }) => name)
    ],
    chained: new Set(chained.map(({ name }) => name)),
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
    ...transactions(choose, transactors, topics, end),
    ...happenings(plan, theme, end)
  ]
  return {
    seed,
    ...turns(choose),
    cluster: {
      brokers,
      ...(release === undefined ? {} : { release }),
      ...(choose.chance(0.1) ? { autoCreate: true } : {}),
      ...(choose.chance(0.1) ? { coldStart: true } : {}),
      ...((release === undefined || Ranges.since(release, "4.0")) && choose.chance(0.3)
        ? { transactionVersion: choose.of([0, 1] as const) }
        : {}),
      ...special
    },
    topics: [...all, ...letters],
    clients: clients.map((name) => Ranges.client(choose, name, special.telemetry !== undefined)),
    producers,
    transactors,
    members,
    steps: steps.toSorted((a, b) => a.at - b.at)
  }
}
