/**
 * Makes docs/settings.md from the doc comments of what can be set: `npm run docs:settings`. A comment's sentences that
 * begin with "Default", "Java:", "PyKafka:" and the like become columns; what is left says what the setting is.
 */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"

const root = fileURLToPath(new URL("../..", import.meta.url))
export const page = Path.join(root, "docs/settings.md")

/** A member of an interface, as it stands there. */
export interface Member {
  readonly name: string
  readonly optional: boolean
  readonly type: string
  readonly doc: string
}

/** What a doc comment says, by what it says it of. */
export interface Told {
  readonly what: string
  /** Undefined where none is told. */
  readonly fallback: string | undefined
  /** The names elsewhere, by whose they are. */
  readonly elsewhere: ReadonlyArray<{ readonly whose: string; readonly names: string }>
}

const undocumented = (comment: string): string =>
  comment
    .replaceAll(/^\s*\/\*\*|\*\/\s*$/g, "")
    .replaceAll(/^\s*\* ?/gm, "")
    .replaceAll(/\s+/g, " ")
    .trim()

/** The members of an interface that stands in a text as the formatter writes it. */
export const membersOf = (text: string, name: string): ReadonlyArray<Member> => {
  const head = new RegExp(`^(?:export )?interface ${name}\\b[^{]*\\{\n`, "m").exec(text)
  if (head === null) throw new Error(`no interface ${name}`)
  const from = head.index + head[0].length
  const body = text.slice(from, text.indexOf("\n}", from) + 1)
  const member =
    /^((?: {2}\/\*\*(?:(?!\*\/)[\s\S])*\*\/\n)?) {2}readonly (\w+)(\??):([\s\S]*?)\n(?= {2}(?:\/\*\*|readonly )|(?![\s\S]))/gm
  return [...body.matchAll(member)].map(([, comment, name, optional, type]) => ({
    name: name!,
    optional: optional === "?",
    type: type!
      .replaceAll(/\s+/g, " ")
      .trim()
      .replace(/ \| undefined$/, ""),
    doc: undocumented(comment!)
  }))
}

const sources = /^(Java|PyKafka|librdkafka|JVM|Kafka)(?: \(Streams\))?: /

/** Sentences, which end at a full stop before a capital letter; and what stands behind a semicolon before a source. */
const sentencesOf = (doc: string): ReadonlyArray<string> =>
  doc.split(/(?<=[.!?]) (?=[A-Z`"]|librdkafka: )|; (?=(?:Java|PyKafka|librdkafka|JVM|Kafka): )/)

/** What a comment says, taken apart. */
export const toldBy = (doc: string): Told => {
  const what: Array<string> = []
  const elsewhere: Array<{ readonly whose: string; readonly names: string }> = []
  let fallback: string | undefined
  for (const sentence of sentencesOf(doc)) {
    const source = sources.exec(sentence)
    if (source !== null)
      elsewhere.push({ whose: source[1]!, names: sentence.slice(source[0].length).replace(/\.$/, "") })
    else if (/^Default(?: |: )/.test(sentence) && fallback === undefined)
      fallback = sentence.replace(/^Default:? /, "").replace(/\.$/, "")
    else what.push(sentence)
  }
  return { what: what.join(" "), fallback, elsewhere }
}

/** Interfaces, and the file in `src` that each stands in. */
type Parts = ReadonlyArray<readonly [file: string, name: string]>

interface Section {
  readonly title: string
  readonly text: string
  readonly parts: Parts
}

export const sections: ReadonlyArray<Section> = [
  {
    title: "Kafka.layer",
    text: "A client. `Kafka.layerZooKeeper` takes the same without `bootstrap`. What connects: [connecting](connecting.md).",
    parts: [
      ["KafkaConfig.ts", "Options"],
      ["KafkaConfig.ts", "OptionsWithoutBootstrap"]
    ]
  },
  {
    title: "tls",
    text: "Of `Kafka.layer` and `RdKafka.layer`: [security](security.md).",
    parts: [["Security.ts", "Tls"]]
  },
  { title: "sasl: PLAIN", text: "A name and a password, which the broker hears.", parts: [["Security.ts", "Plain"]] },
  {
    title: "sasl: SCRAM-SHA-256, SCRAM-SHA-512",
    text: "A name and a password, which the broker does not hear.",
    parts: [["Security.ts", "Scram"]]
  },
  { title: "sasl: OAUTHBEARER", text: "A token.", parts: [["Security.ts", "OAuthBearer"]] },
  { title: "sasl: AWS_MSK_IAM", text: "IAM of Amazon MSK.", parts: [["Security.ts", "MskIam"]] },
  {
    title: "RdKafka.layer",
    text: "Those of `Kafka.layer`, of which [some mean something else there](transports.md#librdkafka), and:",
    parts: [["RdKafka.ts", "Native"]]
  },
  {
    title: "Producer.layer, Producer.make",
    text: "How it works: [producing](producing.md).",
    parts: [["produce/Settings.ts", "Options"]]
  },
  {
    title: "Partitioner.defaultPartitioner, Partitioner.sticky",
    text: "",
    parts: [["Partitioner.ts", "StickyOptions"]]
  },
  {
    title: "Transaction.layer",
    text: "Those of a producer but `acks` and `idempotent`, and ([transactions](transactions.md)):",
    parts: [["Transaction.ts", "Options"]]
  },
  { title: "Transaction.process", text: "", parts: [["transact/ProcessOptions.ts", "ProcessOptions"]] },
  {
    title: "Consumer.subscribe, Consumer.subscribePattern",
    text: "A member of a group, and what every consumer may set ([below](#every-consumer)): [consuming](consuming.md).",
    parts: [
      ["consume/Options.ts", "SubscribeOptions"],
      ["consume/Options.ts", "SubscribePatternOptions"],
      ["consume/Options.ts", "GroupOptions"]
    ]
  },
  {
    title: "Consumer.assign",
    text: "Partitions that are chosen, and what every consumer may set.",
    parts: [
      ["consume/Options.ts", "AssignedTopic"],
      ["consume/Options.ts", "AssignedTopics"],
      ["consume/Options.ts", "BoundedOptions"]
    ]
  },
  {
    title: "Every consumer",
    text: "",
    parts: [
      ["consume/Settings.ts", "CommonOptions"],
      ["consume/Options.ts", "UndecodableOptions"]
    ]
  },
  { title: "fetch", text: "Of every consumer.", parts: [["consume/Settings.ts", "FetchOptions"]] },
  {
    title: "run",
    text: "How `consumer.run` handles records.",
    parts: [
      ["Consumer.ts", "RunPolicy"],
      ["Consumer.ts", "DeadLetterPolicy"]
    ]
  },
  {
    title: "Membership.classic",
    text: "A classic group: [groups](groups.md).",
    parts: [["ClassicGroup.ts", "ClassicOptions"]]
  },
  {
    title: "Membership.consumer",
    text: "A group of the consumer protocol (KIP-848). `Membership.auto` takes these and those of `Membership.classic`.",
    parts: [["ConsumerGroup.ts", "ConsumerOptions"]]
  },
  {
    title: "Membership.zooKeeper",
    text: "[A group in ZooKeeper](zookeeper-groups.md).",
    parts: [["ZooKeeperGroup.ts", "ZooKeeperOptions"]]
  },
  {
    title: "ZooKeeper.layer",
    text: "A session of ZooKeeper.",
    parts: [
      ["ZooKeeper.ts", "Options"],
      ["ZooKeeper.ts", "Timeouts"]
    ]
  },
  {
    title: "Admin.layer",
    text: "[Admin](admin.md). Each verb takes `timeout`, too.",
    parts: [["Admin.ts", "Options"]]
  },
  {
    title: "Telemetry.layer",
    text: "Client telemetry (KIP-714): [observability](observability.md#client-telemetry). Java: enable.metrics.push, which is on there.",
    parts: [["Telemetry.ts", "Options"]]
  },
  {
    title: "Tracing.Settings",
    text: "A reference: `Effect.provideService(Tracing.Settings, { … })`, or `Layer.succeed`. [Observability](observability.md).",
    parts: [["tracing/Spans.ts", "Options"]]
  },
  { title: "Metrics.Settings", text: "A reference, as that of tracing.", parts: [["metrics/Current.ts", "Options"]] }
]

const texts = new Map<string, string>()
const textOf = (file: string): string => {
  const known = texts.get(file)
  if (known !== undefined) return known
  const text = Fs.readFileSync(Path.join(root, "src", file), "utf8")
  texts.set(file, text)
  return text
}

/** The settings of a section, each once; what is ruled out by one of its parts (`never`) may be left out. */
export const settingsOf = ({ parts }: Section): ReadonlyArray<Member> => {
  const all = parts.flatMap(([file, name]) => membersOf(textOf(file), name))
  const isRuledOut = ({ type }: Member) => type === "never" || type === "undefined"
  const found = new Map<string, Member>()
  for (const one of all) {
    const optional = one.optional || all.some((other) => other.name === one.name && isRuledOut(other))
    if (!isRuledOut(one) && !found.has(one.name)) found.set(one.name, { ...one, optional })
  }
  return [...found.values()]
}

const typeOf = (member: Member): string => {
  const { name, type } = member
  if (type === "number" && /bytes$/i.test(name)) return "bytes"
  if (type.length > 60 && type.includes("=>")) return "a function"
  if (name === "topics" && type === "T") return typeOf({ ...member, type: "ReadonlyArray<T>" })
  return `\`${type.replaceAll("Duration.Input", "Duration").replaceAll(/\bT\b/g, "Topic | string").replaceAll("|", "\\|")}\``
}

const cell = (text: string): string => text.replaceAll(/\\?\|/g, "\\|")

const row = (member: Member): string => {
  const { elsewhere, fallback, what } = toldBy(member.doc)
  const names = elsewhere.map(({ names, whose }) => (whose === "Java" ? names : `${whose}: ${names}`)).join("; ")
  const falls = member.optional ? (fallback ?? "none") : (fallback ?? "*must be set*")
  return `| \`${member.name}\` | ${typeOf(member)} | ${cell(falls)} | ${cell(names)} | ${cell(what)} |`
}

/** The page, as it is to be. */
export const render = (): string =>
  [
    "# Settings",
    "",
    "Made from the doc comments in the code by `npm run docs:settings`; a test fails where it is stale.",
    "",
    'A `Duration` is what Effect takes for one: `"5 seconds"`, `{ minutes: 1 }`, milliseconds. What is no such setting, or no value of one, fails with `Misconfigured`, which names every mistake at once. Names elsewhere are those of Kafka\'s Java client unless they say otherwise.',
    ...sections.flatMap((section) => [
      "",
      `## ${section.title}`,
      "",
      ...(section.text === "" ? [] : [section.text, ""]),
      "| setting | type | default | elsewhere | what it is |",
      "|---|---|---|---|---|",
      ...settingsOf(section).map(row)
    ]),
    ""
  ].join("\n")

if (process.argv[1] === fileURLToPath(import.meta.url)) Fs.writeFileSync(page, render())
