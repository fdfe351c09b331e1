/** Members of a group in ZooKeeper as processes, what they delivered, and a feed of records beside them. */
import { fileURLToPath } from "node:url"
import { assert } from "@effect/vitest"
import { Effect, Fiber, Layer, Result, Schedule, type Scope } from "effect"
import { Kafka, type Membership, Producer, Topic } from "samsa"
import * as Program from "../interop/Program.ts"
import * as KafkaServer from "./KafkaServer.ts"

type Said =
  | { readonly event: "record"; readonly partition: number; readonly offset: number }
  | {
      readonly event: "assigned" | "revoked" | "lost" | "drained" | "revoketimedout"
      readonly partitions: ReadonlyArray<number>
    }
  | { readonly event: "failed"; readonly message: string }
  | { readonly event: "frozen" }

/** A member, ours or another's. */
export class Member {
  readonly name: string
  readonly ours: boolean
  readonly owns = new Set<number>()
  readonly delivered: Array<string> = []
  readonly events: Array<string> = []
  failure: string | undefined
  /** It has stopped itself, as it was told. */
  isFrozen = false
  program!: Program.Program<Said>
  constructor(name: string, ours: boolean) {
    this.name = name
    this.ours = ours
  }
  hear(said: Said): void {
    if (said.event === "record") this.delivered.push(`${said.partition}:${said.offset}`)
    else if (said.event === "failed") this.failure = said.message
    else if (said.event === "frozen") this.isFrozen = true
    else {
      this.events.push(`${said.event} ${[...said.partitions].sort((a, b) => a - b).join(" ")}`)
      // What is not ours tells all that it has.
      if (!this.ours) this.owns.clear()
      for (const partition of said.partitions) {
        if (said.event === "assigned") this.owns.add(partition)
        if (said.event === "revoked" || said.event === "lost") this.owns.delete(partition)
      }
    }
  }
  get leave() {
    return Effect.gen({ self: this }, function* () {
      yield* this.program.signal("SIGTERM")
      const how = yield* this.program.end
      if (how !== "exit 0" && how !== "exit 130" && how !== "exit 143" && how !== "SIGTERM")
        assert.fail(`${this.name} ended so: ${how}`)
      this.owns.clear()
    })
  }
  get kill() {
    return Effect.gen({ self: this }, function* () {
      yield* this.program.signal("SIGKILL")
      yield* this.program.end
      this.owns.clear()
    })
  }
}

const encode = (text: string) => new TextEncoder().encode(text)
const member = fileURLToPath(new URL("zookeeper-member.ts", import.meta.url))

export interface Options {
  readonly work?: number
  readonly drainTimeout?: number
  readonly membership?: Membership.ZooKeeperOptions
  readonly zooKeeper?: string
  readonly sessionTimeout?: number
  readonly freeze?: { readonly at: "create" | "remove"; readonly when: "before" | "sent" | "answered" }
}

/** A topic that records go to all the time, and the group that reads it. */
export class Group {
  readonly members: Array<Member> = []
  readonly produced: Array<number>
  readonly server: KafkaServer.KafkaServer["Service"]
  readonly topic: string
  readonly group: string
  feeding: Fiber.Fiber<unknown, unknown> | undefined

  constructor(server: KafkaServer.KafkaServer["Service"], topic: string, partitions: number, group = `group-${topic}`) {
    this.server = server
    this.topic = topic
    this.group = group
    this.produced = Array.from({ length: partitions }, () => 0)
  }

  /** Another member, of a program that says what it does as ours do. */
  readonly start = Effect.fnUntraced(
    { self: this },
    function* (this: Group, name: string, command: ReadonlyArray<string>, ours: boolean) {
      const one = new Member(name, ours)
      this.members.push(one)
      one.program = yield* Program.start<Said>({
        command,
        parse: (line) => {
          if (!line.startsWith("{")) return undefined
          const said = JSON.parse(line) as Said
          one.hear(said)
          return said
        }
      })
      return one
    }
  )

  readonly join = (name: string, options: Options = {}): Effect.Effect<Member, never, Scope.Scope> =>
    this.start(
      name,
      [
        process.execPath,
        "--conditions=samsa-source",
        member,
        JSON.stringify({ zooKeeper: this.server.zooKeeper, group: this.group, topic: this.topic, ...options })
      ],
      true
    )

  /** Sends a record to each partition, every so many milliseconds. */
  readonly feed = (every: number) =>
    Effect.gen({ self: this }, function* () {
      const topic = Topic.bytes(this.topic)
      const producer = yield* Producer.Producer
      const once = Effect.gen({ self: this }, function* () {
        const results = yield* producer.sendAll(
          topic,
          // which says where it will be: nobody else writes here
          this.produced.map((end, partition) => ({ key: null, value: encode(`${partition}:${end}`), partition }))
        )
        for (const [partition, result] of results.entries())
          if (Result.isSuccess(result) && result.success.offset !== undefined)
            this.produced[partition] = Math.max(this.produced[partition]!, result.success.offset + 1)
      })
      this.feeding = yield* Effect.forkScoped(Effect.repeat(Effect.ignore(once), Schedule.spaced(every)))
    })

  readonly stopFeeding = Effect.suspend(() =>
    this.feeding === undefined ? Effect.void : Fiber.interrupt(this.feeding)
  )

  /** Waits until each partition has one owner among these, and each of these its fair share. */
  readonly balanced = (members: ReadonlyArray<Member>, seconds = 40) =>
    Effect.gen({ self: this }, function* () {
      const count = this.produced.length
      const fair = new Set([Math.floor(count / members.length), Math.ceil(count / members.length)])
      for (let i = 0; i < seconds * 20; i++) {
        const owned = members.flatMap((one) => [...one.owns])
        if (owned.length === count && new Set(owned).size === count && members.every((one) => fair.has(one.owns.size)))
          return
        for (const one of members) if (one.failure !== undefined) assert.fail(`${one.name} failed: ${one.failure}`)
        yield* Effect.sleep(50)
      }
      assert.fail(
        `not balanced within ${seconds} s: ${members.map((one) => `${one.name} [${[...one.owns]}]`).join(", ")}`
      )
    })

  /** Who delivered each record. */
  get deliveries(): ReadonlyMap<string, ReadonlyArray<string>> {
    const all = new Map<string, Array<string>>()
    for (const { delivered, name } of this.members)
      for (const record of delivered) {
        const by = all.get(record)
        if (by === undefined) all.set(record, [name])
        else by.push(name)
      }
    return all
  }

  /** Waits until every record that was produced is delivered: none is skipped. Gives those that were delivered more than once. */
  readonly all = Effect.gen({ self: this }, function* () {
    yield* this.stopFeeding
    // what was sent last may have arrived though nobody heard
    const missing = () => {
      const seen = this.deliveries
      const left: Array<string> = []
      this.produced.forEach((end, partition) => {
        for (let offset = 0; offset < end; offset++)
          if (!seen.has(`${partition}:${offset}`)) left.push(`${partition}:${offset}`)
      })
      return left
    }
    for (let i = 0; i < 600 && missing().length > 0; i++) yield* Effect.sleep(50)
    const left = missing()
    if (left.length > 0) assert.fail(`${left.length} records were skipped: ${left.slice(0, 20).join(", ")}`)
    yield* Effect.sleep(300)
    return [...this.deliveries].filter(([, by]) => by.length > 1)
  })
}

/** A topic, its feed and its group, with a client for the feed. */
export const withGroup = <A, E, R>(
  options: { readonly topic: string; readonly partitions: number; readonly every?: number; readonly group?: string },
  body: (group: Group) => Effect.Effect<A, E, R>
) =>
  Effect.flatMap(KafkaServer.KafkaServer, (server) =>
    Effect.gen(function* () {
      yield* server.createTopic(options.topic, {
        partitions: options.partitions,
        replication: Math.min(2, server.nodes.length)
      })
      const group = new Group(server, options.topic, options.partitions, options.group)
      yield* group.feed(options.every ?? 20)
      return yield* body(group)
    }).pipe(
      Effect.scoped,
      Effect.provide(
        Producer.layer({ acks: server.nodes.length > 1 ? "all" : 1, idempotent: false }).pipe(
          Layer.provideMerge(Kafka.layer({ bootstrap: server.bootstrap }))
        )
      )
    )
  ).pipe(KafkaServer.diagnosed)
