/** What Produce requests say, as a broker reads them: acks, time-outs, names and ids of topics, compression. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Producer, Topic } from "samsa"
import { zeroUuid } from "../../src/protocol/Wire.ts"
import * as InProcess from "../hostile/InProcess.ts"

const topic = Topic.bytes("t")
const id = "AAAAAAAAAAAAAAAAAAAAQQ"

interface Said {
  readonly version: number
  readonly acks: number
  readonly timeoutMs: number
  readonly topicData: ReadonlyArray<{
    readonly name: string
    readonly topicId: string
    readonly partitionData: ReadonlyArray<{ readonly records: Uint8Array }>
  }>
}

/** What the broker was told by producers that send a record of this value each. */
const said = (
  producers: ReadonlyArray<Producer.Options>,
  { offered = 13, topicId = id, value = Buffer.from("v") } = {}
) =>
  Effect.gen(function* () {
    const all: Array<Said> = []
    const { layer } = yield* InProcess.make({
      versions: { Produce: offered },
      answers: {
        Metadata: (_, healthy) => {
          const answer = healthy() as { readonly topics: ReadonlyArray<object> }
          return { ...answer, topics: answer.topics.map((one) => ({ ...one, topicId })) }
        },
        Produce: ({ body, version }, healthy) => {
          all.push({ ...body, version })
          return body.acks === 0 ? undefined : healthy()
        }
      }
    })
    yield* Effect.forEach(producers, (options) =>
      Effect.scoped(Effect.flatMap(Producer.make(options), (producer) => producer.send(topic, { value, partition: 0 })))
    ).pipe(Effect.provide(layer))
    return all
  })

describe("a Produce request says", () => {
  it.effect("acks as brokers know them: 2 and more are all", () =>
    Effect.gen(function* () {
      const asked = [0, 1, "all", -1, 2, 3, 32_767] as const
      const requests = yield* said(asked.map((acks) => ({ acks })))
      assert.deepStrictEqual(
        requests.map(({ acks }) => acks),
        [0, 1, -1, -1, -1, -1, -1]
      )
    })
  )

  it.effect("whole milliseconds, of a setting that has none", () =>
    Effect.gen(function* () {
      const options = {
        linger: 0.5,
        requestTimeout: "1500.25 millis",
        deliveryTimeout: 9000.5,
        closeTimeout: 0.5
      } as const
      const requests = yield* said([{ ...options, ackTimeout: 100.5 }, options, { ackTimeout: "100 micros" }])
      assert.deepStrictEqual(
        requests.map(({ timeoutMs }) => timeoutMs),
        [101, 1126, 1]
      )
    })
  )

  for (const [how, offered, topicId, version, expected] of [
    ["name before v13", 12, id, 12, ["t", zeroUuid]],
    ["id from v13 on", 13, id, 13, ["", id]],
    ["name where it has no id", 13, zeroUuid, 12, ["t", zeroUuid]]
  ] as const)
    it.effect(`its topic by ${how}, and not by the other`, () =>
      Effect.gen(function* () {
        const [request] = yield* said([{}], { offered, topicId })
        assert.strictEqual(request!.version, version)
        assert.deepStrictEqual(
          request!.topicData.map(({ name, topicId }) => [name, topicId]),
          [[...expected]]
        )
      })
    )

  /** Few words, in no order that comes again: what is looked for longer is found more of. */
  let state = 1
  const word = () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) | 0
    return Math.floor(((state >>> 8) / 2 ** 24) ** 2 * 2000).toString(5)
  }
  const prose = Array.from({ length: 20_000 }, word).join(" ")
  for (const [compression, hard] of [
    ["gzip", 9],
    ["zstd", 19]
  ] as const)
    for (const [size, value] of [
      ["small", Buffer.from(prose.slice(0, 12_000))],
      ["large, which is compressed beside the event loop", Buffer.from(prose)]
    ] as const)
      it.effect(`fewer bytes at a higher compressionLevel: ${compression}, a batch that is ${size}`, () =>
        Effect.gen(function* () {
          const requests = yield* said(
            [1, hard].map((compressionLevel) => ({ compression, compressionLevel })),
            { value }
          )
          const sizes = requests.map(({ topicData }) => topicData[0]!.partitionData[0]!.records.length)
          assert.isBelow(sizes[1]!, sizes[0]!)
        })
      )
})
