/**
 * Pure. Where a group of ZooKeeper keeps its members and their claims: the nodes of PyKafka's BalancedConsumer, as its
 * releases wrote them, and those of the JVM's high-level consumer (0.8 to 1.1).
 *
 * | layout | group in the paths | topic in the owners' path | a claim | its data |
 * |---|---|---|---|---|
 * | `pykafka` (2.5 and later on Python 3) | `group` | `b'topic'` | `<leader>-<partition>` | the member's id |
 * | `pykafka-2.3-py3` | `b'group'` | `b'topic'` | the same | the same |
 * | `pykafka-py2` | `group` | `topic` | the same | the same |
 * | `jvm` | `group` | `topic` | `<partition>` | the id, `-`, the thread's number |
 */

import * as JavaPattern from "./JavaPattern.ts"

export type LayoutName = "pykafka" | "pykafka-2.3-py3" | "pykafka-py2" | "jvm"

/** A layout for a group. A *claimant* is who stands in a claim. */
export interface Layout {
  readonly name: LayoutName
  /** Where the members are. */
  readonly ids: string
  /** Where the claims on a topic's partitions are. */
  readonly owners: (topic: string) => string
  /** Whether a claim's name has the partition's leader in it. */
  readonly hasLeaders: boolean
  /** Whether a member may say something else under the same id: what it reads, where one id is for all topics. */
  readonly idsChange: boolean
  /** The name of a claim; undefined where it would need a leader and there is none. */
  readonly claim: (partition: number, leader: number) => string | undefined
  /** The partition of a claim; undefined where it is none. */
  readonly partitionOf: (claim: string) => number | undefined
  /** A member's id nodes and what they hold: one for each topic, or one for all. */
  readonly registration: (topics: ReadonlyArray<string>) => ReadonlyMap<string, string>
  /** As whom a topic's partitions are claimed. */
  readonly claimant: (topic: string) => string
  /** The id node of a claimant. */
  readonly memberOf: (claimant: string) => string
  /** The claimants of a topic among the members, in their order. */
  readonly participants: (members: ReadonlyMap<string, string>, topic: string) => ReadonlyArray<string>
  /** Whether members read different topics, or by different numbers of streams, as far as what they and we name says. */
  readonly isMixed: (members: ReadonlyMap<string, string>, topics: ReadonlyArray<string>) => boolean
  /** Whether it is a member of another layout that says this of itself, and reads one of the topics: there is no sharing with it. */
  readonly isStrange: (said: string, topics: ReadonlyArray<string>) => boolean
  /** Whether what somebody says of itself cannot be read: then it counts as no member of any topic that it garbles. */
  readonly isUnreadable: (said: string, topics: ReadonlyArray<string>) => boolean
  /** A topic's partitions in the order in which they are shared out. */
  readonly order: <P extends { readonly partition: number; readonly leader: number }>(
    topic: string,
    partitions: ReadonlyArray<P>
  ) => ReadonlyArray<P>
}

/** Who a member is. */
interface Self {
  readonly hostname: string
  /** A new UUID at each call. */
  readonly uuid: () => string
  /** Milliseconds since 1970. */
  readonly time: number
}

export const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** `repr` of bytes in Python 3: what `format` makes of a name that is bytes. */
export const pythonBytes = (text: string): string => {
  const bytes = new TextEncoder().encode(text)
  const quote = text.includes("'") && !text.includes('"') ? '"' : "'"
  let out = ""
  for (const byte of bytes) {
    const char = String.fromCharCode(byte)
    if (char === "\\" || char === quote) out += `\\${char}`
    else if (char === "\t") out += "\\t"
    else if (char === "\n") out += "\\n"
    else if (char === "\r") out += "\\r"
    else if (byte < 0x20 || byte > 0x7e) out += `\\x${byte.toString(16).padStart(2, "0")}`
    else out += char
  }
  return `b${quote}${out}${quote}`
}

const parsed = (text: string | undefined): number | undefined =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : undefined

/** PyKafka's nodes; an id of its own for each topic, as each of its consumers has. */
const pykafka = (name: LayoutName, group: string, topicName: (topic: string) => string, self: Self): Layout => {
  const ids = new Map<string, string>()
  const idOf = (topic: string): string => {
    let id = ids.get(topic)
    if (id === undefined) ids.set(topic, (id = `${self.hostname}:${self.uuid()}`))
    return id
  }
  return {
    name,
    ids: `/consumers/${group}/ids`,
    owners: (topic) => `/consumers/${group}/owners/${topicName(topic)}`,
    hasLeaders: true,
    idsChange: false,
    claim: (partition, leader) => (leader < 0 ? undefined : `${leader}-${partition}`),
    // as PyKafka reads it: what stands between the first and the second hyphen
    partitionOf: (claim) => parsed(claim.split("-")[1]),
    registration: (topics) => new Map(topics.map((topic) => [idOf(topic), topic])),
    claimant: idOf,
    memberOf: (claimant) => claimant,
    participants: (members, topic) =>
      [...members]
        .filter(([, data]) => data === topic)
        .map(([id]) => id)
        .sort(compare),
    isMixed: () => false,
    isStrange: (said, topics) => {
      const subscription = subscriptionOf(said)
      return subscription !== undefined && topics.some((topic) => streamsFor(subscription, topic) > 0)
    },
    isUnreadable: (said, topics) => isJunk(subscriptionOf(said), topics),
    // the strings are sorted, so that partition 10 comes before 2 and the leaders count
    order: (_, partitions) =>
      [...partitions].sort((a, b) => compare(`${a.leader}-${a.partition}`, `${b.leader}-${b.partition}`))
  }
}

interface Subscription {
  readonly pattern: string
  /** What was read, of any kind. */
  readonly subscription: Readonly<Record<string, unknown>>
}

/** What a JVM consumer says of itself; undefined where it is none. */
const subscriptionOf = (json: string): Subscription | undefined => {
  try {
    const { pattern, subscription } = JSON.parse(json)
    if (typeof subscription !== "object" || subscription === null) return undefined
    return { pattern: String(pattern ?? "static"), subscription }
  } catch {
    return undefined
  }
}

/** A number of streams; 0 where it is none. */
const countOf = (value: unknown): number => (isCount(value) ? Number(value) : 0)

const isCount = (value: unknown): boolean =>
  typeof value === "number" ? Number.isInteger(value) : typeof value === "string" && /^\d{1,9}$/.test(value)

/** What is read by a list of topics; undefined where that cannot be told. Its commas are alternatives, as the JVM has them. */
const isListed = (list: string, topic: string): boolean | undefined => {
  const regex = list.trim().replaceAll(",", "|").replaceAll(" ", "")
  const isQuote = (at: number) => regex[at] === '"' || regex[at] === "'"
  let [start, end] = [0, regex.length]
  while (start < end && isQuote(start)) start++
  while (start < end && isQuote(end - 1)) end--
  return JavaPattern.test(regex.slice(start, end), topic)
}

const isOfLists = (pattern: string): boolean => pattern === "white_list" || pattern === "black_list"

/** How many streams a member has for a topic; undefined where that cannot be told. */
const streamsOf = ({ pattern, subscription }: Subscription, topic: string): number | undefined => {
  if (!isOfLists(pattern)) return countOf(subscription[topic])
  const [list, streams] = Object.entries(subscription)[0] ?? ["", 0]
  const listed = isListed(list, topic)
  return listed === undefined ? undefined : listed === (pattern === "white_list") ? countOf(streams) : 0
}

/** The same; nothing is known of who cannot be told. */
const streamsFor = (subscription: Subscription, topic: string): number => streamsOf(subscription, topic) ?? 0

/** Whether a number of streams cannot be read, or whether it is for one of the topics. */
const isJunk = (subscription: Subscription | undefined, topics: ReadonlyArray<string>): boolean =>
  subscription !== undefined &&
  (!Object.values(subscription.subscription).every(isCount) ||
    topics.some((topic) => streamsOf(subscription, topic) === undefined))

const jvm = (group: string, self: Self): Layout => {
  const id = `${group}_${self.hostname}-${self.time}-${self.uuid().slice(0, 8)}`
  return {
    name: "jvm",
    ids: `/consumers/${group}/ids`,
    owners: (topic) => `/consumers/${group}/owners/${topic}`,
    hasLeaders: false,
    idsChange: true,
    claim: (partition) => `${partition}`,
    partitionOf: (claim) => parsed(claim),
    registration: (topics) =>
      new Map([
        [
          id,
          JSON.stringify({
            version: 1,
            subscription: Object.fromEntries(topics.map((topic) => [topic, 1])),
            pattern: "static",
            timestamp: `${self.time}`
          })
        ]
      ]),
    claimant: () => `${id}-0`,
    memberOf: (claimant) => claimant.replace(/-\d+$/, ""),
    participants: (members, topic) =>
      [...members]
        .flatMap(([member, data]) => {
          const subscription = subscriptionOf(data)
          const streams = subscription === undefined ? 0 : streamsFor(subscription, topic)
          return Array.from({ length: Math.max(0, Math.min(streams, 10_000)) }, (_, i) => `${member}-${i}`)
        })
        .sort(compare),
    isMixed: (members, topics) => {
      const all = [...members.values()].map(subscriptionOf).filter((one) => one !== undefined)
      const named = new Set(topics)
      for (const { pattern, subscription } of all)
        if (!isOfLists(pattern)) for (const topic of Object.keys(subscription)) named.add(topic)
      const rows = all.map((one) => [...named].map((topic) => streamsFor(one, topic)))
      const read = [...named.keys()].map((_, i) => i).filter((i) => rows.some((row) => row[i]! > 0))
      return rows.some((row) => read.some((i) => row[i] !== row[read[0]!]))
    },
    isStrange: (said, topics) => topics.includes(said),
    isUnreadable: (said, topics) => {
      const subscription = subscriptionOf(said)
      return subscription === undefined || isJunk(subscription, topics)
    },
    order: (_, partitions) => [...partitions].sort((a, b) => a.partition - b.partition)
  }
}

/** The layout of a group, with a new member's ids. */
export const make = (name: LayoutName, group: string, self: Self): Layout => {
  switch (name) {
    case "pykafka":
      return pykafka(name, group, pythonBytes, self)
    case "pykafka-2.3-py3":
      return pykafka(name, pythonBytes(group), pythonBytes, self)
    case "pykafka-py2":
      return pykafka(name, group, (topic) => topic, self)
    case "jvm":
      return jvm(group, self)
  }
}

/** Why a group cannot have this name: it makes no path of a node, or no member of the JVM could be in it. */
export const mistakes = ({ ids, name }: Layout, group: string): ReadonlyArray<string> => {
  if (name === "jvm" && !/^[a-zA-Z0-9._-]+$/.test(group))
    return [`group "${group}": in the jvm layout its name has letters, digits, ".", "_" and "-" alone`]
  // oxlint-disable-next-line no-control-regex
  return /\/(\/|\.\.?(\/|$))|[\u0000-\u001f\u007f-\u009f\ud800-\uf8ff\ufff0-\uffff]/.test(ids)
    ? [`group "${group}" makes no path of a node: ${ids}`]
    : []
}
