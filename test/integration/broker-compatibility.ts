/** The table of versions and what was negotiated with each, as the run has found it. */
import type { Offer } from "../../src/Broker.ts"
import * as Api from "../../src/protocol/Api.ts"
import type { Mode, Version } from "./KafkaVersion.ts"

interface Noted {
  readonly offer: Offer
  readonly spoken: ReadonlyMap<number, number>
}

const noted = new Map<string, Noted>()
const key = (version: Version, mode: Mode) => `${version} ${mode}`

/** What was negotiated with a release: the version by API key. */
export const note = (version: Version, mode: Mode, offer: Offer, spoken: ReadonlyMap<number, number>): void => {
  noted.set(key(version, mode), { offer, spoken })
}

const how = (by: Offer["by"]): string => (typeof by === "number" ? `v${by}` : "not asked")

/** The page, where every release of the matrix was noted. */
export const document = (
  matrix: ReadonlyArray<{ readonly version: Version; readonly mode: Mode }>
): string | undefined => {
  const columns = matrix.map(({ version, mode }) => ({ version, mode, seen: noted.get(key(version, mode)) }))
  if (columns.some(({ seen }) => seen === undefined)) return undefined
  const row = (cells: ReadonlyArray<string>) => `| ${cells.join(" | ")} |`
  const releases = columns.map(({ version, mode }) =>
    matrix.filter((one) => one.version === version).length > 1
      ? `${version} ${mode === "kraft" ? "KRaft" : "ZooKeeper"}`
      : version
  )
  const apis = Api.all.filter(({ key }) => columns.some(({ seen }) => seen!.spoken.has(key)))
  return `# Compatibility

Samsa speaks to every broker from Apache Kafka 0.8.2 on. This page is written by the integration tests
(\`test/integration/broker-matrix.test.ts\`), from what they negotiated with the real brokers that they ran: by API and
release the version that is spoken, which is the highest that both sides know. A dash: the broker has not got that API,
or says so by configuration; using it fails with \`Unsupported\`, which names what each side offers.

On every one of these releases the same tests ask for metadata, coordinators and offsets, write records by every
version of Produce and read them by every version of Fetch, cut the connections, kill the broker and find it again.
TLS with a client certificate is shown on each of them from 0.9 on, SASL with each mechanism that it has from 0.10 on.
\`docs/connecting.md\` says how a broker's release is found out.

${row(["API", ...releases])}
${row(["---", ...releases.map(() => "---")])}
${row(["*asked by ApiVersions*", ...columns.map(({ seen }) => how(seen!.offer.by))])}
${apis.map((api) => row([`${api.name} (${api.key})`, ...columns.map(({ seen }) => seen!.spoken.get(api.key)?.toString() ?? "–")])).join("\n")}
`
}
