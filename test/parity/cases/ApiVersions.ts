/** ApiVersions: what is offered, and how what is not offered is met. */
import { Effect } from "effect"
import * as Frame from "../../../src/protocol/Frame.ts"
import * as ApiVersions from "../../../src/protocol/messages/ApiVersions.ts"
import * as Fetch from "../../../src/protocol/messages/Fetch.ts"
import * as Metadata from "../../../src/protocol/messages/Metadata.ts"
import { handlers } from "../../../src/testing/embedded/handlers.ts"
import type { Case } from "../Lab.ts"

/** The ranges of those APIs that the embedded broker serves. */
const ranges = (keys: ReadonlyArray<{ apiKey: number; minVersion: number; maxVersion: number }>) =>
  keys
    .filter((each) => handlers.has(each.apiKey))
    .sort((a, b) => a.apiKey - b.apiKey)
    .map((each) => `${each.apiKey}: ${each.minVersion}-${each.maxVersion}`)

const named = { clientSoftwareName: "parity", clientSoftwareVersion: "1.0" }

/** A frame of a key and version that no message has: a header, and two empty names. */
const bare = (key: number, version: number): Uint8Array => {
  const frame = Buffer.alloc(16)
  frame.writeInt16BE(key, 0)
  frame.writeInt16BE(version, 2)
  frame.writeInt32BE(77, 4)
  frame.writeInt16BE(2, 8)
  frame.write("xy", 10)
  return Uint8Array.from(frame)
}

const refused = (answer: Uint8Array | "closed") =>
  answer === "closed" ? answer : Frame.readResponse(ApiVersions.Response, 0, answer).value

export const cases: ReadonlyArray<Case> = [
  {
    api: "ApiVersions",
    behaviour: "lists the versions of each API, at each version",
    ask: (ask) =>
      ask.atEach(ApiVersions, (version) =>
        Effect.gen(function* () {
          const client = yield* ask.connect()
          const { apiKeys, errorCode } = yield* client.send(ApiVersions, version, version >= 3 ? named : {})
          return { errorCode, apiKeys: ranges(apiKeys) }
        })
      )
  },
  {
    api: "ApiVersions",
    behaviour: "lists features from v3 on",
    ask: (ask) =>
      ask.atEach(
        ApiVersions,
        (version) =>
          Effect.gen(function* () {
            const client = yield* ask.connect()
            const { finalizedFeatures, supportedFeatures, zkMigrationReady } = yield* client.send(
              ApiVersions,
              version,
              named
            )
            const byName = (a: { readonly name: string }, b: { readonly name: string }) => (a.name < b.name ? -1 : 1)
            return {
              supported: Array.from(supportedFeatures).sort(byName),
              finalized: Array.from(finalizedFeatures).sort(byName),
              zkMigrationReady
            }
          }),
        (version) => version >= 3
      )
  },
  {
    api: "ApiVersions",
    behaviour: "of a version that is not known is answered in the layout of v0, and the connection stays",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.connect()
        const answers = []
        for (const version of [ask.newest(ApiVersions) + 1, 99])
          answers.push(refused(yield* client.exchange(bare(18, version))))
        answers.push((yield* client.send(ApiVersions, 0, {})).errorCode)
        return answers
      })
  },
  {
    api: "ApiVersions",
    behaviour: "refuses names of software that are not legal",
    ask: (ask) =>
      Effect.gen(function* () {
        const answers: { [name: string]: unknown } = {}
        for (const name of ["", "a b", "-a", "a-", "ä", "ok.1-x"]) {
          const client = yield* ask.connect()
          const answer = yield* client.ask(ApiVersions, 3, { clientSoftwareName: name, clientSoftwareVersion: "1" })
          answers[`"${name}"`] = answer === "closed" ? answer : [answer.errorCode, answer.apiKeys.length > 0]
        }
        return answers
      })
  },
  {
    api: "ApiVersions",
    behaviour: "v5 for another cluster or node",
    only: "4.4.0",
    ask: (ask) =>
      Effect.gen(function* () {
        const client = yield* ask.connect()
        const { clusterId } = yield* client.send(Metadata, 9, { topics: [] })
        const answers: Array<unknown> = []
        for (const [cluster, node] of [
          [null, -1],
          [clusterId, 1],
          [clusterId, 2],
          ["another", 1],
          ["another", -1],
          [null, 1],
          [clusterId, -1]
        ] as const) {
          const answer = yield* client.ask(ApiVersions, 5, { ...named, clusterId: cluster, nodeId: node })
          answers.push(answer === "closed" ? answer : [answer.errorCode, ranges(answer.apiKeys).length > 0])
        }
        return answers
      })
  },
  {
    api: "ApiVersions",
    behaviour: "a version or an API that is not known closes the connection",
    ask: (ask) =>
      Effect.gen(function* () {
        const answers = []
        for (const [key, version] of [
          [Metadata.Request.key, 99],
          [Metadata.Request.key, -1],
          [Fetch.Request.key, 99],
          [999, 0],
          [-1, 0]
        ] as const) {
          const client = yield* ask.connect()
          answers.push((yield* client.exchange(bare(key, version))) === "closed" ? "closed" : "answered")
        }
        return answers
      })
  }
]
