/**
 * One group of members of ours and of others on a real broker: they come and go, each record is handled once, each
 * partition is in one hand at a time.
 */
import { assert } from "@effect/vitest"
import { Effect, type Scope } from "effect"
import { type Membership, Producer, Topic } from "samsa"
import * as Schema from "effect/Schema"
import * as Cache from "../interop/Cache.ts"
import type { Member } from "../interop/Client.ts"
import * as Java from "../interop/Java.ts"
import * as Worker from "../interop/Worker.ts"
import { twice } from "./Client.ts"
import * as KafkaServer from "./KafkaServer.ts"
import * as Party from "./Party.ts"
import type { ProcessError } from "./Processes.ts"

type Join = (
  topic: string,
  group: string
) => Effect.Effect<Member & { readonly held?: ReadonlyArray<Java.Held> }, ProcessError, Scope.Scope>

/** The others of a group, and how ours join it. */
export interface Foreign {
  readonly name: string
  /** How ours are members. */
  readonly membership: () => Membership.Membership
  /** Records come also while members come and go. PyKafka commits nothing that it reads while it joins. */
  readonly flows: boolean
  /** Commits are refused while it joins, and it goes on reading: what it read then comes again from its next owner. */
  readonly repeats?: true
  readonly join: (bootstrap: ReadonlyArray<string>) => Effect.Effect<Join, ProcessError>
}

/** Java's VerifiableConsumer: an assignor of the classic protocol, or the consumer protocol. */
export const java = (assignor?: string) => (bootstrap: ReadonlyArray<string>) =>
  Effect.map(Cache.javaTools, (classPath) => Java.member(classPath, bootstrap, assignor))

/** A client in Python. */
export const python = (name: string, program: string, settings: object) => (bootstrap: ReadonlyArray<string>) =>
  Effect.map(
    Cache.python(name),
    (command) =>
      Worker.make({
        command: [command, Cache.file("python", program)],
        bootstrap,
        can: { empty: true, binary: true, timestamps: false },
        settings: { ...settings }
      }).member
  )

const partitions = 6

/** They and ours share a group; `theyLead`: they are there first. */
export const mixed = ({ flows, join, membership, name, repeats }: Foreign, theyLead: boolean) =>
  Effect.gen(function* () {
    const server = yield* KafkaServer.KafkaServer
    const topicName = `${name}-${theyLead ? "they" : "we"}-lead`
    yield* server.createTopic(topicName, { partitions })
    const topic = Topic.make(topicName, { key: Schema.NullOr(Schema.String), value: Schema.String })
    const party = Party.make({ group: topicName, topic, as: membership })
    const foreign = yield* join(server.bootstrap)
    const producer = yield* Producer.Producer
    let sent = 0
    const send = (count: number) =>
      Effect.suspend(() =>
        producer.sendAll(
          topic,
          Array.from({ length: count }, (_, i) => ({ key: null, value: `v${sent++}`, partition: i % partitions }))
        )
      )
    let theirs: (Member & { readonly held?: ReadonlyArray<Java.Held> }) | undefined
    const values = () => [
      ...party.handled.all.map((one) => one.value),
      ...(theirs?.records ?? []).map((record) => record.value!)
    ]
    const complete = (what: string) => {
      const done = () => new Set(values()).size === sent
      const waits = theirs === undefined ? [] : [theirs.until(what, done)]
      return Effect.raceAll([party.handled.until(what, done), ...waits])
    }
    /** Records come while members come and go; or else between, and all are handled before and after. */
    let flowing = flows
    if (flows) {
      yield* Effect.whileLoop({
        while: () => flowing,
        body: () => Effect.andThen(send(12), Effect.sleep("10 millis")),
        step: () => {}
      }).pipe(Effect.forkScoped)
    }
    /** Until records of now are handled, and each of these members of ours has handled some. */
    const between = (what: string, ...members: ReadonlyArray<string>) => {
      const has = (member: string) => party.handled.all.some((one) => one.member === member)
      const all = party.handled.until(`${members.join()} handle some ${what}`, () => members.every(has))
      return Effect.andThen(flows ? Effect.sleep("500 millis") : Effect.andThen(send(60), complete(what)), all)
    }

    const start = Effect.gen(function* () {
      theirs = yield* foreign(topicName, topicName)
      if (theyLead) yield* theirs.until("they hold all", () => theirs!.assigned().length === partitions)
    })
    /** Their share and ours are all. */
    const share = (ours: ReadonlyArray<string>, count: number) =>
      Effect.andThen(
        theirs!.until(`they hold ${count}`, () => theirs!.assigned().length === count),
        party.hold(partitions - count, ...ours)
      )
    if (theyLead) yield* start
    const leaveA = yield* party.join("a")
    if (!theyLead) {
      yield* party.hold(partitions, "a")
      yield* between("before they join", "a")
      yield* start
    }
    yield* share(["a"], 3)
    yield* between("with one of ours", "a")
    const leaveB = yield* party.join("b")
    yield* share(["a", "b"], 2)
    yield* between("with two of ours", "a", "b")
    yield* leaveB
    yield* share(["a"], 3)
    yield* between("after one of ours has left", "a")
    flowing = false
    if (flows) yield* Effect.sleep("200 millis")
    yield* complete("before they leave")
    yield* theirs!.leave
    yield* party.hold(partitions, "a")
    yield* send(60)
    yield* complete("after they have left")
    yield* leaveA
    const ours = party.handled.all.map((one) => one.value)
    const read = new Set(theirs!.records.map((record) => record.value))
    assert.deepStrictEqual(twice(ours), [], "handled twice by ours")
    const both = ours.filter((value) => read.has(value))
    if (repeats === undefined) assert.deepStrictEqual(both, [], "handled by them and by ours")
    // As many as came while they joined, however long that took: not the topic from its beginning.
    else assert.isBelow(both.length, sent / 2, "handled by them and by ours")
    assert.strictEqual(new Set(values()).size, sent, "all are handled")
    assert.isAbove(theirs!.records.length, 0)
    assert.isAbove(new Set(party.handled.all.map((one) => one.member)).size, 1)
    const held = [...party.held.all, ...(theirs!.held ?? []).map((one) => ({ ...one, member: "theirs" }))]
    assert.deepStrictEqual(Party.overlaps(held), [], "in two hands at a time")
  })
