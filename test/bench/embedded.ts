/**
 * How long the embedded broker takes to be there, and what it does a second: `node --conditions=samsa-source
 * test/bench/embedded.ts`. Raw frames in process, batches of 1000 records of 100 bytes: no client's work is in it.
 */
import { Effect } from "effect"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Fetch from "../../src/protocol/messages/Fetch.ts"
import * as Produce from "../../src/protocol/messages/Produce.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import { EmbeddedKafka } from "../../src/testing/index.ts"

const perBatch = 1000
const batches = 1000

const starts = Effect.gen(function* () {
  const times: Array<number> = []
  for (let i = 0; i < 20; i++) {
    const before = performance.now()
    yield* Effect.scoped(
      Effect.tap(EmbeddedKafka.make({ brokers: 3, topics: [{ name: "t", partitions: 12 }], listen: i >= 10 }), () =>
        Effect.sync(() => times.push(performance.now() - before))
      )
    )
  }
  const median = (from: number) => times.slice(from + 1, from + 10).sort((a, b) => a - b)[4]!
  console.log(
    `start, 3 brokers: the first ${times[0]!.toFixed(1)} ms, then ${median(0).toFixed(1)} ms in process, ${median(10).toFixed(1)} ms with TCP ports (limit 50 ms)`
  )
})

const throughput = Effect.gen(function* () {
  const broker = yield* EmbeddedKafka.make({ topics: ["t"] })
  const records = RecordBatch.encode(
    Array.from({ length: perBatch }, (_, i) => ({ key: null, value: new Uint8Array(100), headers: [], timestamp: i }))
  )
  let onFrame: (frame: Uint8Array) => void = () => {}
  const splitter = Frame.makeSplitter({ maxFrameBytes: 1e9, onFrame: (frame) => onFrame(frame) })
  const connection = yield* broker.connect(
    { host: "embedded-1", port: 9092 },
    { onData: (chunk) => splitter.push(chunk), onClose: () => {} }
  )
  const measure = (name: string, run: (done: () => void) => void) =>
    Effect.callback<void>((resume) => {
      const [before, cpu] = [performance.now(), process.cpuUsage()]
      run(() => {
        const seconds = (performance.now() - before) / 1000
        const { system, user } = process.cpuUsage(cpu)
        const millions = (batches * perBatch) / 1e6
        console.log(
          `${name}: ${(millions / seconds).toFixed(2)} million records/s, ${((system + user) / 1e6 / millions).toFixed(2)} CPU s per million`
        )
        resume(Effect.void)
      })
    })
  const produce = Frame.encodeRequest(
    Produce.Request,
    9,
    { correlationId: 1, clientId: "bench" },
    { acks: -1, timeoutMs: 1000, topicData: [{ name: "t", partitionData: [{ index: 0, records }] }] }
  )
  yield* measure("produce", (done) => {
    let answered = 0
    onFrame = () => (++answered === batches ? done() : connection.write(produce))
    connection.write(produce)
  })
  yield* measure("fetch", (done) => {
    let position = 0
    const ask = () =>
      connection.write(
        Frame.encodeRequest(
          Fetch.Request,
          12,
          { correlationId: 1, clientId: "bench" },
          {
            maxWaitMs: 100,
            minBytes: 1,
            topics: [
              { topic: "t", partitions: [{ partition: 0, fetchOffset: position, partitionMaxBytes: 1024 * 1024 }] }
            ]
          }
        )
      )
    onFrame = (frame) => {
      const { value } = Frame.readResponse(Fetch.Response, 12, frame)
      const records = value.responses[0]!.partitions[0]!.records!
      for (let at = 0, size; (size = RecordBatch.sizeAt(records, at)) !== undefined; at += size) {
        if (size > records.length - at) break
        position = RecordBatch.header(records, at).lastOffset + 1
      }
      if (position >= batches * perBatch) done()
      else ask()
    }
    ask()
  })
})

Effect.runFork(Effect.scoped(Effect.andThen(starts, throughput)))
