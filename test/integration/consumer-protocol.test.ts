/**
 * Groups of the consumer protocol (KIP-848) on real brokers, while records flow: members of ours come and go, are killed
 * and frozen, and lose their broker; members of Java and of librdkafka are in one group with ours, by this protocol and by
 * the classic one, between which brokers convert the group. All of it by SAMSA_FULL=1, else a sample.
 */
import { fileURLToPath } from "node:url"
import { assert, layer } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { Assignor, Membership, Producer, Topic } from "samsa"
import * as Schema from "effect/Schema"
import * as Program from "../interop/Program.ts"
import { churn } from "./Churn.ts"
import { connected, twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"
import { type Foreign, java, mixed, python } from "./Mixed.ts"
import * as Party from "./Party.ts"

const partitions = 8
/** Hearts that beat as quickly as those of the classic members of these tests. */
const quick = {
  "group.consumer.min.heartbeat.interval.ms": 300,
  "group.consumer.heartbeat.interval.ms": 300,
  "group.consumer.min.session.timeout.ms": 1_000,
  "group.consumer.session.timeout.ms": 6_000
}
const versions: ReadonlyArray<Version> = ["4.0.2", "4.4.0"]
const consumer = (options: Membership.ConsumerOptions = {}) =>
  Membership.consumer({ sessionTimeout: "6 seconds", ...options })

const classic = () => Membership.classic({ assignors: [Assignor.cooperativeSticky], heartbeatInterval: "300 millis" })
const librdkafka = (strategy: string | null) => python("confluent", "with_confluent.py", { strategy })

const foreigners: ReadonlyArray<Foreign> = [
  { name: "java", membership: () => consumer(), flows: true, join: java() },
  { name: "librdkafka", membership: () => consumer(), flows: true, join: librdkafka(null) },
  {
    name: "java-classic",
    membership: () => consumer(),
    flows: true,
    repeats: true,
    join: java("CooperativeStickyAssignor")
  },
  { name: "java-and-our-classic", membership: classic, flows: true, join: java() },
  { name: "librdkafka-classic", membership: () => consumer(), flows: true, join: librdkafka("cooperative-sticky") }
]

/** What a member in a process of its own says. */
type Said =
  | { readonly event: "done"; readonly at: number; readonly partition: number; readonly value: string }
  | { readonly event: "Assigned" | "Revoked" | "Lost"; readonly partitions: ReadonlyArray<number> }

const program = fileURLToPath(new URL("consumer-member.ts", import.meta.url))

/** A member in a process of its own, in the group that has the topic's name. */
const inProcess = (bootstrap: ReadonlyArray<string>, topic: string, membership: Membership.ConsumerOptions) =>
  Program.start<Said>({
    command: [
      process.execPath,
      "--conditions=samsa-source",
      program,
      JSON.stringify({ bootstrap, topic, membership: { sessionTimeout: 6_000, ...membership } })
    ],
    parse: (line) => (line.startsWith("{") ? (JSON.parse(line) as Said) : undefined)
  })
const doneBy = (one: Program.Program<Said>) => one.events.flatMap((said) => (said.event === "done" ? said.value : []))

/** A topic that records flow to, until they are to stop; what members of ours have of it. */
const flowing = Effect.fnUntraced(function* (name: string, as: () => Membership.Membership = consumer) {
  const server = yield* KafkaServer.KafkaServer
  yield* server.createTopic(name, { partitions })
  const topic = Topic.make(name, { key: Schema.NullOr(Schema.String), value: Schema.String })
  const party = Party.make({
    group: name,
    topic,
    commitInterval: "200 millis",
    as: () => as()
  })
  const producer = yield* Producer.Producer
  let sent = 0
  let flows = true
  const send = Effect.suspend(() =>
    producer.sendAll(
      topic,
      Array.from({ length: 16 }, () => ({ key: null, value: `${sent++}`, partition: sent % partitions }))
    )
  )
  const flow = yield* Effect.forkScoped(
    Effect.whileLoop({ while: () => flows, body: () => Effect.andThen(send, Effect.sleep(20)), step: () => {} })
  )
  return {
    server,
    party,
    /** Stops, and gives how many were sent. */
    stop: Effect.suspend(() => {
      flows = false
      return Effect.map(Fiber.join(flow), () => sent)
    })
  }
})

const full = process.env.SAMSA_FULL === "1"

for (const version of versions) {
  layer(KafkaServer.layer({ version, properties: quick }), { excludeTestServices: true })(`Kafka ${version}`, (it) => {
    const isFirst = version === versions[0]
    for (const [i, foreign] of foreigners.entries()) {
      for (const theyLead of [true, false]) {
        // Each of the first two once.
        if (!full && i !== (isFirst ? 1 : 0)) continue
        if (!full && theyLead !== isFirst) continue
        it.effect(
          `${foreign.name} and ours share a group: nothing is missed, nothing twice (${theyLead ? "they" : "we"} are there first)`,
          () => connected(mixed(foreign, theyLead)).pipe(KafkaServer.diagnosed),
          180_000
        )
      }
    }

    for (const assignor of ["uniform", "range"]) {
      if (!full && !(isFirst && assignor === "uniform")) continue
      it.effect(
        `members come and go while records flow: each is handled once (${assignor})`,
        () =>
          churn({
            name: `churn-${assignor}`,
            as: () => consumer({ assignor }),
            records: 4_000,
            atOnce: 100,
            every: "100 millis"
          }).pipe(connected, KafkaServer.diagnosed),
        120_000
      )
    }

    if (full) {
      it.effect(
        "a member that gave its session up before the broker did is let in again at once (KAFKA-19233)",
        () =>
          Effect.gen(function* () {
            const { party, server, stop } = yield* flowing("early", () => consumer({ sessionTimeout: "2 seconds" }))
            const leaving = [yield* party.join("a"), yield* party.join("b")]
            yield* party.hold(partitions, "a", "b")
            const before = party.held.all.length
            const node = server.nodes[0]!
            yield* node.pause
            yield* party.held.until(
              "both have lost theirs",
              () => party.owned("a").length + party.owned("b").length === 0
            )
            yield* node.resume
            const resumed = Date.now()
            yield* party.hold(partitions, "a", "b")
            // Sooner than their sessions end at the broker, 6 s after the last heartbeat that it took: 4 s from here.
            assert.isBelow(Date.now() - resumed, 3_500)
            assert.isAbove(party.held.all.length, before)
            const sent = yield* stop
            yield* party.handled.until("none is missed", (all) => new Set(all.map(({ value }) => value)).size === sent)
            yield* Effect.forEach(leaving, (leave) => leave, { discard: true })
          }).pipe(connected, KafkaServer.diagnosed),
        120_000
      )
    }

    // ── members in processes of their own

    if (full || !isFirst) {
      for (const [name, beside, as] of [
        ["killed", "", consumer],
        ["killed-beside-classic", " beside a classic one", classic]
      ] as const) {
        it.effect(
          `one is killed${beside}: the other has its partitions after its session, and only what it did not commit comes again`,
          () =>
            Effect.gen(function* () {
              const { party, server, stop } = yield* flowing(name, as)
              const one = yield* inProcess(server.bootstrap, name, {})
              yield* one.until("it has all", () => doneBy(one).length > 100)
              const leave = yield* party.join("ours")
              yield* party.hold(partitions / 2, "ours")
              const mark = doneBy(one).length
              yield* one.until("both read", () => doneBy(one).length > mark + 100)
              yield* one.signal("SIGKILL")
              yield* one.end
              yield* party.hold(partitions, "ours")
              const sent = yield* stop
              const theirs = doneBy(one)
              const ours = () => party.handled.all.map(({ value }) => value)
              yield* party.handled.until("none is missed", () => new Set([...ours(), ...theirs]).size === sent)
              assert.deepStrictEqual(twice(ours()), [], "handled twice by ours")
              // It commits every 200 ms: what it had done long before was not handled again.
              const said = one.events.flatMap((each) => (each.event === "done" ? [each] : []))
              const end = said.at(-1)!.at
              const old = new Set(said.flatMap(({ at, value }) => (at < end - 5_000 ? value : [])))
              assert.deepStrictEqual(
                ours().filter((value) => old.has(value)),
                [],
                "handled again"
              )
              yield* leave
            }).pipe(connected, KafkaServer.diagnosed),
          120_000
        )
      }

      it.effect(
        "the broker is bounced: members go on, none is missed, nothing is in two hands",
        () =>
          Effect.gen(function* () {
            const { party, server, stop } = yield* flowing("bounced")
            const leaving = [yield* party.join("a"), yield* party.join("b")]
            yield* party.hold(partitions, "a", "b")
            for (const end of full ? [server.nodes[0]!.stop, server.nodes[0]!.kill] : [server.nodes[0]!.kill]) {
              yield* end
              yield* server.nodes[0]!.start
              const mark = party.handled.all.length
              yield* party.handled.until("they go on", (all) => all.length > mark + 200)
            }
            const sent = yield* stop
            yield* party.handled.until("none is missed", (all) => new Set(all.map(({ value }) => value)).size === sent)
            assert.deepStrictEqual(Party.overlaps(party.held.all), [], "in two hands at a time")
            // What was done and not committed when a session ended comes again; nothing else does.
            if (party.lost() === 0) assert.deepStrictEqual(twice(party.handled.all.map(({ value }) => value)), [])
            yield* Effect.forEach(leaving, (leave) => leave, { discard: true })
          }).pipe(connected, KafkaServer.diagnosed),
        180_000
      )
    }

    if (full) {
      it.effect(
        "one is frozen beyond its session: it has lost everything when it goes on, and takes part again",
        () =>
          Effect.gen(function* () {
            const { party, server, stop } = yield* flowing("frozen")
            const one = yield* inProcess(server.bootstrap, "frozen", {})
            yield* one.until("it has all", () => doneBy(one).length > 100)
            yield* one.signal("SIGSTOP")
            const leave = yield* party.join("ours")
            yield* party.hold(partitions, "ours")
            const mark = party.handled.all.length
            yield* party.handled.until("ours reads all", (all) => all.length > mark + 200)
            const before = one.events.length
            yield* one.signal("SIGCONT")
            const later = () => one.events.slice(before)
            yield* one.until("it has its share again", () => {
              const lost = later().findIndex((said) => said.event === "Lost")
              return (
                lost >= 0 &&
                later()
                  .slice(lost)
                  .some((said) => said.event === "done")
              )
            })
            // What it is in the middle of when it is stopped it may still do; nothing more of what it has lost.
            const woken = later().findIndex((said) => said.event === "Lost")
            assert.isAtMost(
              later()
                .slice(0, woken)
                .filter((said) => said.event === "done").length,
              1
            )
            const sent = yield* stop
            const all = () => [...party.handled.all.map(({ value }) => value), ...doneBy(one)]
            yield* Effect.raceFirst(
              party.handled.until("none is missed", () => new Set(all()).size === sent),
              one.until("none is missed", () => new Set(all()).size === sent)
            )
            const again = later()
              .slice(woken)
              .flatMap((said) => (said.event === "done" ? said.value : []))
            if (party.lost() === 0)
              assert.deepStrictEqual(twice([...party.handled.all.map(({ value }) => value), ...again]), [])
            yield* leave
          }).pipe(connected, KafkaServer.diagnosed),
        120_000
      )

      it.effect(
        "a static one is killed, and started again: it waits for its session, the other keeps what it has",
        () =>
          Effect.gen(function* () {
            const { party, server, stop } = yield* flowing("static", () => consumer({ instanceId: "ours" }))
            const leave = yield* party.join("ours")
            const one = yield* inProcess(server.bootstrap, "static", { instanceId: "theirs" })
            yield* one.until("it has its share", () => doneBy(one).length > 20)
            yield* one.signal("SIGKILL")
            yield* one.end
            const again = yield* inProcess(server.bootstrap, "static", { instanceId: "theirs" })
            yield* again.until("it has its share again", () => doneBy(again).length > 20)
            yield* again.signal("SIGTERM")
            yield* again.end
            const sent = yield* stop
            // It has left for a while: its partitions wait for it, for a session.
            const all = () => [...party.handled.all.map(({ value }) => value), ...doneBy(one), ...doneBy(again)]
            yield* party.handled.until("none is missed", () => new Set(all()).size === sent)
            yield* leave
          }).pipe(connected, KafkaServer.diagnosed),
        120_000
      )
    }
  })
}
