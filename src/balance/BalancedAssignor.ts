/**
 * Pure. How the members of a group in ZooKeeper share partitions out. Nobody leads: each works it out for itself from
 * the same nodes, so that all must use the same one, and it must depend on nothing else.
 */

/** A topic, who wants to read it, and its partitions; both in the order that the layout gives them. */
export interface Subject {
  readonly topic: string
  readonly participants: ReadonlyArray<string>
  readonly partitions: ReadonlyArray<{ readonly partition: number; readonly leader: number }>
}

/** Shares partitions out. PyKafka: membership_protocol. */
export interface BalancedAssignor {
  readonly name: string
  /** For each subject, by topic: to whom each of its partitions goes, in their order. */
  readonly assign: (subjects: ReadonlyArray<Subject>) => ReadonlyMap<string, ReadonlyArray<string>>
  /** The same in the JVM's layout where members read different topics. Left out: `assign`. */
  readonly assignMixed?: BalancedAssignor["assign"] | undefined
}

/** Of each topic a run of partitions to each participant. PyKafka: RangeProtocol. JVM: partition.assignment.strategy=range. */
export const range: BalancedAssignor = {
  name: "range",
  assign: (subjects) =>
    new Map(
      subjects.map(({ participants, partitions, topic }) => {
        const share = Math.floor(partitions.length / participants.length)
        const more = partitions.length % participants.length
        return [topic, participants.flatMap((one, i) => Array.from({ length: share + (i < more ? 1 : 0) }, () => one))]
      })
    )
}

/** Each topic's partitions dealt out in turn. PyKafka: RoundRobinProtocol. */
export const roundRobin: BalancedAssignor = {
  name: "roundrobin",
  assign: (subjects) =>
    new Map(
      subjects.map(({ participants, partitions, topic }) => [
        topic,
        partitions.flatMap((_, k) => participants[k % participants.length] ?? [])
      ])
    )
}

/** `String.hashCode` of Java. */
const javaHash = (text: string): number => {
  let hash = 0
  for (let i = 0; i < text.length; i++) hash = (Math.imul(hash, 31) + text.charCodeAt(i)) | 0
  return hash
}

/** Partitions by the hash of their names, dealt out in turn to who reads the first of the topics. */
const dealt: BalancedAssignor["assign"] = (subjects) => {
  const participants = subjects[0]?.participants ?? []
  const order = new Map<string, number>()
  subjects
    .flatMap(({ partitions, topic }) =>
      partitions.map(({ partition }) => ({ name: `[${topic},${partition}]`, key: `${topic}-${partition}` }))
    )
    .sort((a, b) => javaHash(a.name) - javaHash(b.name))
    .forEach(({ key }, i) => order.set(key, i))
  return new Map(
    subjects.map(({ partitions, topic }) => [
      topic,
      partitions.flatMap(
        ({ partition }) => participants[order.get(`${topic}-${partition}`)! % participants.length] ?? []
      )
    ])
  )
}

/**
 * All partitions of all topics, by the hash of their names, dealt out in turn. JVM:
 * partition.assignment.strategy=roundrobin, which refuses members that read different topics; here each topic is dealt
 * out by itself then.
 */
export const jvmRoundRobin: BalancedAssignor = {
  name: "jvm-roundrobin",
  assign: dealt,
  assignMixed: (subjects) => new Map(subjects.flatMap((subject) => [...dealt([subject])]))
}
