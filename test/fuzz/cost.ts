/**
 * What an answer of the largest size that is taken costs a client: memory, the longest hold-up of its event loop, and how
 * it ends. Each row is a process of its own, its broker another. Prints the table of docs/security.md.
 *
 * node --conditions=samsa-source test/fuzz/cost.ts [row]
 */
import { Cause, Effect, Exit, Logger, Redacted, Stream } from "effect"
import { fork, spawnSync } from "node:child_process"
import * as Net from "node:net"
import * as Tls from "node:tls"
import { fileURLToPath } from "node:url"
import * as Zlib from "node:zlib"
import { Brokers } from "../../src/Broker.ts"
import * as Cluster from "../../src/Cluster.ts"
import * as Compression from "../../src/Compression.ts"
import * as Consumer from "../../src/Consumer.ts"
import * as Kafka from "../../src/Kafka.ts"
import * as Membership from "../../src/Memberships.ts"
import * as ConsumerProtocol from "../../src/group/ConsumerProtocol.ts"
import * as Frame from "../../src/protocol/Frame.ts"
import * as Heartbeat from "../../src/protocol/messages/Heartbeat.ts"
import * as RecordBatch from "../../src/protocol/records/RecordBatch.ts"
import * as Answers from "../hostile/Answers.ts"
import { certificates } from "../network/Certificates.ts"

const MiB = 1 << 20

interface Row {
  /** What bounds it. */
  readonly bound: string
  readonly what: string
  readonly answers: () => { readonly [api: string]: Answers.Answer }
  readonly partitions?: number
  readonly tls?: true
  /** Writes a response in pieces of one byte. */
  readonly pieces?: true
  readonly options?: Partial<Kafka.Options>
  readonly use: Effect.Effect<unknown, unknown, Kafka.Kafka | Brokers>
}

const int32 = (n: number) => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}
const uvarint = (n: number) => {
  const out: Array<number> = []
  for (; n > 127; n = Math.floor(n / 128)) out.push((n & 127) | 128)
  return Buffer.from([...out, n])
}

const topic = Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topics(["t"]))
const topics = Effect.flatMap(Cluster.Cluster, (cluster) => cluster.topics(null))

const consume = (millis: number) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.assign({ topic: "t", from: "earliest", drainTimeout: "100 millis" })
    let records = 0
    yield* consumer.stream.pipe(
      Stream.runForEachArray((array) => Effect.sync(() => void (records += array.length))),
      Effect.timeoutOption(millis)
    )
    return `${records} records`
  }).pipe(Effect.scoped)

const member = (membership: Membership.Membership) =>
  Effect.gen(function* () {
    const consumer = yield* Consumer.subscribe({
      topics: ["t"],
      group: "g",
      from: "earliest",
      drainTimeout: "100 millis",
      membership
    })
    yield* Stream.runDrain(consumer.stream).pipe(Effect.timeoutOption(20_000))
  }).pipe(Effect.scoped)
const joined = member(Membership.classic())

const assigned = (count: number): { readonly [api: string]: Answers.Answer } => {
  const partitions = Array.from({ length: count }, (_, partition) => ({ topic: "t", partition }))
  const assignment = ConsumerProtocol.encodeAssignment({ partitions, userData: null })
  return { SyncGroup: () => ({ protocolType: "consumer", protocolName: "range", assignment }) }
}

/** A batch of as many records as go into so many bytes, as a broker takes it from any producer. */
const legal = (bytes: number, codec: Compression.Codec) => {
  const plain = Buffer.alloc(bytes)
  let count = 0
  let at = 0
  for (;;) {
    const delta = uvarint(count * 2)
    const length = 5 + delta.length
    if (at + 1 + length > plain.length) break
    plain[at++] = length * 2
    at += 2
    at += delta.copy(plain, at)
    plain[at++] = 1
    plain[at++] = 1
    at++
    count++
  }
  const small =
    codec.name === "zstd"
      ? Zlib.zstdCompressSync(plain.subarray(0, at), { params: { [Zlib.constants.ZSTD_c_compressionLevel]: 9 } })
      : codec.compress(plain.subarray(0, at))
  return { batch: batchOf(small, codec.id, count), count }
}

const batchOf = (small: Uint8Array, codec: number, count: number) => {
  const batch = Buffer.concat([
    RecordBatch.encode([{ key: null, value: null, headers: [], timestamp: 0 }]).subarray(0, 61),
    small
  ])
  batch.writeInt32BE(batch.length - 12, 8)
  batch.writeInt16BE(codec, 21)
  batch.writeInt32BE(count - 1, 23)
  batch.writeInt32BE(count, 57)
  RecordBatch.sign(batch)
  return batch
}

const fetched =
  (batch: Uint8Array, count: number): Answers.Answer =>
  ({ body }, healthy) => {
    const wanted = body.topics[0]?.partitions.filter(({ fetchOffset }: any) => fetchOffset === 0) ?? []
    if (wanted.length === 0) return healthy()
    return {
      responses: [
        {
          ...body.topics[0],
          partitions: wanted.map(({ partition }: any) => ({
            partitionIndex: partition,
            highWatermark: count,
            lastStableOffset: count,
            logStartOffset: 0,
            records: batch
          }))
        }
      ]
    }
  }

const rows: { readonly [name: string]: Row } = {
  nothing: { bound: "", what: "a client of one healthy topic", answers: () => ({}), use: topic },
  strangers: {
    bound: "1 MiB before authentication",
    what: "ApiVersions of 1 MiB, all of it rows",
    answers: () => ({
      ApiVersions: (request) => {
        const count = Math.floor((MiB - 100) / 7)
        const rows = Buffer.alloc(count * 7)
        for (let i = 0; i < count; i++) rows.writeInt16BE(i & 0x7fff, i * 7)
        return Answers.rawFrame(request, Buffer.concat([Buffer.alloc(2), uvarint(count + 1), rows, Buffer.alloc(5)]))
      }
    }),
    use: topic
  },
  tags: {
    bound: "256 tagged fields of a struct",
    what: "ApiVersions of 1 MiB, all of it unknown tagged fields",
    answers: () => ({
      ApiVersions: (request) =>
        Answers.rawFrame(
          request,
          Buffer.concat([
            Buffer.alloc(2),
            uvarint(1),
            Buffer.alloc(4),
            uvarint(500_000),
            Buffer.alloc(1_000_000, Buffer.of(100, 0))
          ])
        )
    }),
    use: topic
  },
  topics: {
    bound: "`maxResponseBytes` (100 MiB)",
    what: "Metadata of a million topics, all asked for",
    answers: () => {
      let kept: Uint8Array | undefined
      return {
        Metadata: (request, healthy) => {
          if (request.body.topics?.length === 0) return healthy()
          kept ??= Answers.frame(request, {
            ...healthy(),
            topics: Array.from({ length: 1_000_000 }, (_, i) => ({
              name: `topic-${i}`,
              partitions: [{ partitionIndex: 0, leaderId: 1, leaderEpoch: 1, replicaNodes: [1], isrNodes: [1] }]
            }))
          })
          const frame = Buffer.from(kept)
          frame.writeInt32BE(request.correlationId, 4)
          return frame
        }
      }
    },
    options: { metadataTimeout: "2 minutes", requestTimeout: "2 minutes" },
    use: topics
  },
  elements: {
    bound: "2^21 elements of a message",
    what: "Metadata of 100 MiB, all of it topics of nothing",
    answers: () => ({
      Metadata: (request, healthy) => {
        if (request.body.topics?.length === 0) return healthy()
        // Error, empty name, id, internal, no partitions, operations, no tags.
        const bytes = 2 + 1 + 16 + 1 + 1 + 4 + 1
        const count = Math.floor((100 * MiB - 200) / bytes)
        const one = Buffer.alloc(bytes)
        one[2] = 1
        one[20] = 1
        const head = Buffer.concat([Buffer.alloc(4), uvarint(1), uvarint(0), int32(1), uvarint(count + 1)])
        return Answers.rawFrame(request, Buffer.concat([head, Buffer.alloc(count * bytes, one), Buffer.alloc(6)]))
      }
    }),
    options: { metadataTimeout: "1 minute", requestTimeout: "1 minute" },
    use: topics
  },
  pieces: {
    bound: "four times what has come of it",
    what: "a response of 1 MiB in TLS records of a byte",
    answers: () => ({ Heartbeat: (request) => Answers.rawFrame(request, Buffer.alloc(MiB)) }),
    tls: true,
    pieces: true,
    options: { requestTimeout: "2 minutes" },
    use: Effect.flatMap(Brokers, (brokers) =>
      Effect.flatMap(brokers.get(1), (broker) => broker.send(Heartbeat, () => ({ groupId: "g" })))
    )
  },
  pending: {
    bound: "`maxPendingResponseBytes` (256 MiB)",
    what: "20 connections, each with 60 MiB of a response that does not end",
    answers: () => ({
      Heartbeat: (request) => Buffer.concat([int32(100 * MiB), int32(request.correlationId), Buffer.alloc(60 * MiB)])
    }),
    options: { requestTimeout: "15 seconds" },
    use: Effect.flatMap(Brokers, (brokers) =>
      Effect.flatMap(brokers.get(1), (broker) =>
        Effect.all(
          Array.from({ length: 20 }, (_, i) =>
            Effect.exit(broker.send(Heartbeat, () => ({ groupId: "g" }), { channel: `c${i}` }))
          ),
          { concurrency: 20 }
        )
      )
    )
  },
  partition: {
    bound: "1000 places that a response leaves out",
    what: "partition 2^31-1 of a topic of one",
    answers: () => ({
      Metadata: (request, healthy) =>
        request.body.topics?.length === 0
          ? healthy()
          : { ...healthy(), topics: [{ name: "t", partitions: [{ partitionIndex: 2 ** 31 - 1, leaderId: 1 }] }] }
    }),
    use: topic
  },
  iterations: {
    bound: "`sasl.maxIterations` (16 384)",
    what: "SCRAM-SHA-512 of 16 384 iterations",
    answers: () => {
      let round = 0
      return {
        SaslAuthenticate: ({ body }) => {
          const nonce = /r=(.*)$/.exec(Buffer.from(body.authBytes).toString())?.[1]
          return { authBytes: Buffer.from(round++ % 2 === 0 ? `r=${nonce}x,s=AAAA,i=16384` : "v=AAAA") }
        }
      }
    },
    options: { sasl: { mechanism: "SCRAM-SHA-512", username: "u", password: Redacted.make("p") } },
    use: topic
  },
  ...Object.fromEntries(
    [Compression.gzip(), Compression.snappy(), Compression.lz4(), Compression.zstd()].map((codec): [string, Row] => [
      `legal-${codec.name}`,
      {
        bound: "`fetch.bufferBytes` (64 MiB), and a batch of 128 MiB",
        what: `one batch of 1.28 M records, ${codec.name}`,
        answers: () => {
          const { batch, count } = legal(11.6 * MiB, codec)
          return { Fetch: fetched(batch, count) }
        },
        use: consume(8000)
      }
    ])
  ),
  "bomb-zstd": {
    bound: "`fetch.bufferBytes` (64 MiB), and a batch of 128 MiB",
    what: "one batch of 127 MiB of records of 9 bytes, zstd",
    answers: () => {
      const { batch, count } = legal(127 * MiB, Compression.zstd())
      return { Fetch: fetched(batch, count) }
    },
    use: consume(30_000)
  },
  "sixteen-zstd": {
    bound: "`fetch.bufferBytes` (64 MiB), and a batch of 128 MiB",
    what: "16 partitions, each with a record of 127 MiB in 12 KiB of zstd",
    partitions: 16,
    answers: () => {
      const batch = RecordBatch.encode(
        [{ key: null, value: Buffer.alloc(127 * MiB - 100), headers: [], timestamp: 1 }],
        { compression: Compression.zstd({ level: 9 }) }
      )
      return { Fetch: fetched(batch, 1) }
    },
    use: consume(20_000)
  },
  "assigned-led": {
    bound: "`maxPartitions` (16 384)",
    what: "SyncGroup with 16 384 partitions",
    partitions: 16_384,
    answers: () => assigned(16_384),
    use: joined
  },
  "assigned-away": {
    bound: "`maxPartitions` (16 384)",
    what: "SyncGroup with 16 384 partitions, one of which is there",
    answers: () => assigned(16_384),
    use: joined
  },
  "assigned-beyond": {
    bound: "`maxPartitions` (16 384), and 262 144 that are read",
    what: "SyncGroup with 262 144 partitions",
    answers: () => assigned(262_144),
    use: joined
  },
  "given-beyond": {
    bound: "`maxPartitions` (16 384), and 262 144 that are read",
    what: "ConsumerGroupHeartbeat with 262 144 partitions",
    answers: () => Answers.giving(Array.from({ length: 262_144 }, (_, i) => i)),
    use: member(Membership.consumer())
  }
}

// ── the broker's process

const serve = (row: Row): void => {
  const broker = Answers.make({ answers: row.answers(), partitions: row.partitions })
  const accept = (socket: Net.Socket) => {
    socket.setNoDelay(true)
    socket.on("error", () => socket.destroy())
    const { port } = server.address() as Net.AddressInfo
    const splitter = Frame.makeSplitter({
      maxFrameBytes: 1e9,
      onFrame: (frame) => {
        const response = broker.answer(frame, { host: "localhost", port })
        if (response === undefined) return
        if (row.pieces !== true || response.length < 100_000) {
          // A Fetch that has nothing waits.
          if (response.length < 1000 && broker.counts["Fetch"] !== undefined)
            setTimeout(() => socket.write(response), 20)
          else socket.write(response)
          return
        }
        let at = 0
        const more = () => {
          for (let i = 0; i < 2000 && at < response.length; i++) socket.write(response.subarray(at, ++at))
          if (at < response.length) setImmediate(more)
        }
        more()
      }
    })
    socket.on("data", (chunk) => splitter.push(chunk))
  }
  const server: Net.Server =
    row.tls === true
      ? Tls.createServer({ key: certificates.serverKey, cert: certificates.serverCert }, accept)
      : Net.createServer(accept)
  server.listen(0, "127.0.0.1", () => process.send!((server.address() as Net.AddressInfo).port))
  process.on("disconnect", () => process.exit(0))
}

// ── the client's process

const measure = async (row: Row, port: number): Promise<void> => {
  const layer = Kafka.layer({
    bootstrap: [`localhost:${port}`],
    bootstrapTimeout: "20 seconds",
    ...(row.tls === true ? { tls: { ca: certificates.ca } } : {}),
    ...row.options
  })
  // By the clock of this thread: other processes' work is not ours.
  const spent = () => {
    const { system, user } = process.threadCpuUsage()
    return (system + user) / 1000
  }
  let last = spent()
  let stall = 0
  const look = () => {
    const now = spent()
    stall = Math.max(stall, now - last)
    last = now
  }
  const from = performance.now()
  const timer = setInterval(look, 1)
  const exit = await Effect.runPromiseExit(
    // From here on: modules were loaded before, and most of the code has not run yet all the same.
    Effect.andThen(
      Effect.sync(() => {
        last = spent()
        stall = 0
      }),
      row.use
    ).pipe(Effect.provide(layer), Effect.scoped, Effect.provide(Logger.layer([]))) as Effect.Effect<unknown, unknown>
  )
  look()
  clearInterval(timer)
  const error = Exit.isFailure(exit) ? Cause.squash(exit.cause) : undefined
  const end =
    error === undefined
      ? typeof (exit as any).value === "string"
        ? (exit as any).value
        : "a value"
      : String((error as any).reason?._tag ?? error)
  process.stdout.write(
    `${JSON.stringify({
      millis: Math.round(performance.now() - from),
      stall: Math.round(stall),
      rss: Math.round(process.resourceUsage().maxRSS / 1024),
      end
    })}\n`
  )
  process.exit(0)
}

// ── the one that runs them

const self = fileURLToPath(import.meta.url)
const [mode, name, port] = process.argv.slice(2)
if (mode === "--serve") serve(rows[name!]!)
else if (mode === "--client") await measure(rows[name!]!, Number(port))
else {
  console.log("| bounded by | an answer | memory | longest hold-up (CPU) | until | ends as |")
  console.log("|---|---|---|---|---|---|")
  for (const [name, { bound, what }] of Object.entries(rows)) {
    if (mode !== undefined && !name.includes(mode)) continue
    const broker = fork(self, ["--serve", name], { execArgv: ["--conditions=samsa-source"] })
    const at = await new Promise<number>((resolve) => broker.once("message", (port) => resolve(port as number)))
    const { status, stderr, stdout } = spawnSync(
      process.execPath,
      ["--conditions=samsa-source", self, "--client", name, String(at)],
      { encoding: "utf8", timeout: 300_000, maxBuffer: 1e8 }
    )
    broker.kill("SIGKILL")
    try {
      const { end, millis, rss, stall } = JSON.parse(stdout.trim().split("\n").at(-1)!)
      console.log(`| ${bound} | ${what} | ${rss} MiB | ${stall} ms | ${millis} ms | ${end} |`)
    } catch {
      console.log(`| ${bound} | ${what} | ended with ${status} | | | ${stderr.slice(-300)} |`)
    }
  }
  process.exit(0)
}
