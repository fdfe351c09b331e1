/**
 * The few requests that the harness itself makes, in raw bytes: it must not depend on the client that it tests.
 * Metadata v0 and v1 are answered by every broker from 0.8.2 (v0) and 0.10 (v1) to 4.4.
 */
import * as Net from "node:net"
import { Data, Effect } from "effect"
import type { Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"

/** A broker did not answer, or answered with an error code. */
export class ProbeError extends Data.TaggedError("ProbeError")<{ readonly message: string; readonly code?: number }> {}

const int16 = (n: number): Buffer => {
  const bytes = Buffer.alloc(2)
  bytes.writeInt16BE(n)
  return bytes
}
const int32 = (n: number): Buffer => {
  const bytes = Buffer.alloc(4)
  bytes.writeInt32BE(n)
  return bytes
}
const text = (s: string): Buffer => Buffer.concat([int16(Buffer.byteLength(s)), Buffer.from(s)])

/** Sends a request with header v1 on a connection of its own, and gives the response's body. */
const call = (
  port: number,
  key: number,
  version: number,
  body: ReadonlyArray<Buffer>,
  timeoutMillis = 2000
): Effect.Effect<Buffer, ProbeError> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true })
    const fail = (message: string) => {
      socket.destroy()
      resume(Effect.fail(new ProbeError({ message: `127.0.0.1:${port}, API ${key} v${version}: ${message}` })))
    }
    let bytes = Buffer.alloc(0)
    socket.setTimeout(timeoutMillis, () => fail(`no answer in ${timeoutMillis} ms`))
    socket.on("error", (error) => fail(error.message))
    socket.on("end", () => fail("closed without an answer"))
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      if (bytes.length < 4 || bytes.length < 4 + bytes.readInt32BE(0)) return
      socket.destroy()
      resume(Effect.succeed(bytes.subarray(8)))
    })
    const request = Buffer.concat([int16(key), int16(version), int32(7), text("samsa-harness"), ...body])
    socket.write(Buffer.concat([int32(request.length), request]))
    return Effect.sync(() => socket.destroy())
  })

class Reader {
  readonly bytes: Buffer
  at = 0
  constructor(bytes: Buffer) {
    this.bytes = bytes
  }
  int8(): number {
    return this.bytes.readInt8((this.at += 1) - 1)
  }
  int16(): number {
    return this.bytes.readInt16BE((this.at += 2) - 2)
  }
  int32(): number {
    return this.bytes.readInt32BE((this.at += 4) - 4)
  }
  text(): string {
    const length = Math.max(this.int16(), 0)
    return this.bytes.toString("utf8", this.at, (this.at += length))
  }
  array<A>(read: () => A): ReadonlyArray<A> {
    return Array.from({ length: Math.max(this.int32(), 0) }, read)
  }
}

export interface Metadata {
  readonly brokers: ReadonlyArray<{ readonly id: number; readonly port: number }>
  /** -1 where the version does not tell. */
  readonly controller: number
  readonly topics: ReadonlyArray<{
    readonly code: number
    readonly name: string
    readonly partitions: ReadonlyArray<{
      readonly code: number
      readonly partition: number
      readonly leader: number
      readonly isr: ReadonlyArray<number>
    }>
  }>
}

/** What one broker knows. Naming a topic may create it. */
export const metadata = (
  version: Version,
  port: number,
  topics: ReadonlyArray<string>
): Effect.Effect<Metadata, ProbeError> => {
  const v = KafkaVersion.atLeast(version, 0, 10) ? 1 : 0
  return Effect.map(call(port, 3, v, [int32(topics.length), ...topics.map(text)]), (bytes) => {
    const r = new Reader(bytes)
    const brokers = r.array(() => {
      const id = r.int32()
      r.text()
      const at = r.int32()
      if (v === 1) r.text()
      return { id, port: at }
    })
    const controller = v === 1 ? r.int32() : -1
    return {
      brokers,
      controller,
      topics: r.array(() => {
        const code = r.int16()
        const name = r.text()
        if (v === 1) r.int8()
        const partitions = r.array(() => ({
          code: r.int16(),
          partition: r.int32(),
          leader: r.int32(),
          replicas: r.array(() => r.int32()),
          isr: r.array(() => r.int32())
        }))
        return { code, name, partitions }
      })
    }
  })
}

/** CreateTopics: from 0.10.1 on; the broker must be the controller in ZooKeeper mode (else code 41). */
export const createTopic = (
  version: Version,
  port: number,
  topic: { readonly name: string; readonly partitions: number; readonly replication: number },
  configs: Readonly<Record<string, string>>
): Effect.Effect<void, ProbeError> => {
  const v = KafkaVersion.atLeast(version, 4) ? 2 : 0
  const entries = Object.entries(configs)
  const body = [
    int32(1),
    text(topic.name),
    int32(topic.partitions),
    int16(topic.replication),
    int32(0),
    int32(entries.length),
    ...entries.flatMap(([key, value]) => [text(key), text(value)]),
    int32(15_000),
    Buffer.alloc(v === 2 ? 1 : 0)
  ]
  return Effect.flatMap(call(port, 19, v, body, 20_000), (bytes) => {
    const r = new Reader(bytes)
    if (v === 2) r.int32()
    r.int32()
    r.text()
    const code = r.int16()
    return code === 0
      ? Effect.void
      : Effect.fail(new ProbeError({ message: `topic ${topic.name} was not created: code ${code}`, code }))
  })
}

/**
 * Whether ZooKeeper has a node: a session of its own (the four-letter words are switched off by default from 3.5 on),
 * an `exists`, and the session's end.
 */
export const zooKeeperHas = (port: number, path: string): Effect.Effect<boolean, ProbeError> =>
  Effect.callback((resume) => {
    const socket = Net.connect({ host: "127.0.0.1", port, noDelay: true })
    const fail = (message: string) => {
      socket.destroy()
      resume(Effect.fail(new ProbeError({ message: `ZooKeeper at 127.0.0.1:${port}: ${message}` })))
    }
    const send = (...parts: ReadonlyArray<Buffer>) => {
      const body = Buffer.concat(parts)
      socket.write(Buffer.concat([int32(body.length), body]))
    }
    let bytes = Buffer.alloc(0)
    let connected = false
    socket.setTimeout(2000, () => fail("no answer"))
    socket.on("error", (error) => fail(error.message))
    socket.on("end", () => fail("closed"))
    socket.on("data", (chunk) => {
      bytes = Buffer.concat([bytes, chunk])
      while (bytes.length >= 4 && bytes.length >= 4 + bytes.readInt32BE(0)) {
        const frame = bytes.subarray(4, 4 + bytes.readInt32BE(0))
        bytes = bytes.subarray(4 + frame.length)
        if (!connected) {
          connected = true
          send(int32(1), int32(3), int32(Buffer.byteLength(path)), Buffer.from(path), Buffer.from([0]))
          continue
        }
        send(int32(2), int32(-11))
        socket.end()
        const code = frame.readInt32BE(12)
        resume(Effect.succeed(code === 0))
        return
      }
    })
    const session = Buffer.alloc(44)
    session.writeInt32BE(10_000, 12)
    session.writeInt32BE(16, 24)
    send(session)
    return Effect.sync(() => socket.destroy())
  })
