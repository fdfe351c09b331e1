/**
 * A random walk of the pure state machine: members of one group, and a coordinator (the embedded broker's, as pure),
 * joined by a network that delays, loses and cuts, on a clock of numbers. Members come and go, stand still, drain for a
 * while; the coordinator moves. Judged: no partition is in two hands, each that is given is taken back once, nobody asks
 * without a pause, and in the end all partitions have an owner.
 */
import * as Assignor from "../../src/Assignor.ts"
import * as Backoff from "../../src/Backoff.ts"
import * as ClassicMember from "../../src/group/ClassicMember.ts"
import * as ConsumerProtocol from "../../src/group/ConsumerProtocol.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import { Group, type JoinResult, type SyncResult } from "../../src/testing/embedded/Group.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"
import * as TopicPartition from "../../src/TopicPartition.ts"

const partitions = 6
const session = 10_000
const rebalanceTimeout = 60_000
const settings = {
  group: "g",
  heartbeatInterval: 3_000,
  sessionTimeout: session,
  rebalanceTimeout,
  static: false,
  livesWhileRebalancing: true,
  heartbeatDelay: Backoff.delay,
  rejoinDelay: Backoff.delay
}
const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })

/** Times and what happens then, in order. */
class Agenda {
  now = 0
  private readonly due: Array<{ readonly at: number; readonly order: number; run: (() => void) | undefined }> = []
  private order = 0
  after(millis: number, run: () => void): { readonly cancel: () => void } {
    const entry: (typeof this.due)[number] = { at: this.now + millis, order: this.order++, run }
    this.due.push(entry)
    return { cancel: () => (entry.run = undefined) }
  }
  /** Runs what is due until then. */
  until(end: number): void {
    for (;;) {
      let next = -1
      for (let i = 0; i < this.due.length; i++) {
        const each = this.due[i]!
        if (each.at > end) continue
        const best = this.due[next]
        if (best === undefined || each.at < best.at || (each.at === best.at && each.order < best.order)) next = i
      }
      if (next < 0) break
      const [entry] = this.due.splice(next, 1)
      this.now = Math.max(this.now, entry!.at)
      entry!.run?.()
    }
    this.now = end
  }
}

export interface Walk {
  readonly assignor: Assignor.Assignor
  /** Members that stop for good, stand still or are cut off; the coordinator that moves. */
  readonly rough: boolean
}

class Member {
  state = ClassicMember.initial
  /** What its owner holds: given, and neither released nor lost. */
  readonly hands = new Set<string>()
  readonly joins: Array<number> = []
  assignedAt = -1
  cut = false
  frozen = false
  gone = false
  given: Assignor.Given | undefined
  private readonly inbox: Array<ClassicMember.Event> = []
  private timer: { readonly cancel: () => void } | undefined
  readonly name: string
  private readonly world: World

  constructor(name: string, world: World) {
    this.name = name
    this.world = world
  }

  get machine(): ClassicMember.Settings {
    return { ...settings, cooperative: this.world.walk.assignor.cooperative }
  }

  tell(event: ClassicMember.Event): void {
    if (this.gone) return
    if (this.frozen) return void this.inbox.push(event)
    const { agenda, random } = this.world
    const [next, commands] = ClassicMember.step(this.machine, this.state, event, agenda.now, random())
    this.state = next
    this.world.trace?.(
      `${agenda.now} ${this.name} ${JSON.stringify(event)} → ${next.phase} g${next.generation} ${commands.map((c) => c._tag).join()} [${[...this.hands].join(" ")}] group ${this.world.group.state} g${this.world.group.generation}`
    )
    for (const command of commands) this.carryOut(command)
    this.schedule()
    this.world.judge()
  }

  private schedule(): void {
    this.timer?.cancel()
    const at = ClassicMember.deadline(this.machine, this.state)
    if (at === undefined || this.state.phase === "ended") return
    const wait = Math.max(0, at - this.world.agenda.now)
    this.timer = this.world.agenda.after(wait, () => {
      if (!this.frozen) this.tell({ _tag: "Tick" })
    })
  }

  /** Wakes as a process does: what came meanwhile and what was due, in any order. */
  wake(): void {
    this.frozen = false
    const events: Array<ClassicMember.Event> = [...this.inbox.splice(0), { _tag: "Tick" }]
    if (this.world.random() < 0.5) events.reverse()
    for (const event of events) this.tell(event)
  }

  private carryOut(command: ClassicMember.Command): void {
    const { agenda, random, walk } = this.world
    switch (command._tag) {
      case "Join": {
        this.joins.push(agenda.now)
        const { round } = command
        const sentAt = agenda.now
        const metadata = ConsumerProtocol.encodeSubscription({
          topics: ["t"],
          owned: command.owned,
          generation: walk.assignor.cooperative ? command.generation : undefined,
          userData: walk.assignor.userData?.(this.given) ?? null
        })
        return this.world.ask<JoinResult>(
          this,
          (answer) =>
            this.world.group.join(
              {
                memberId: command.memberId,
                instanceId: null,
                clientId: this.name,
                clientHost: "",
                sessionTimeout: session,
                rebalanceTimeout,
                protocolType: "consumer",
                protocols: [{ name: walk.assignor.name, metadata }],
                idRequired: true,
                canSkipAssignment: true
              },
              answer
            ),
          (result) =>
            result.error === 0
              ? {
                  _tag: "Joined",
                  round,
                  sentAt,
                  memberId: result.memberId,
                  generation: result.generation,
                  protocol: walk.assignor.name,
                  members:
                    result.leader === result.memberId
                      ? result.members.map((m) => ({ ...m, instanceId: m.groupInstanceId }))
                      : undefined
                }
              : { _tag: "JoinRefused", round, code: result.error, memberId: result.memberId },
          () => ({ _tag: "RoundFailed", round, error: unreachable }),
          command.owned.length > 0 ? rebalanceTimeout / 2 : rebalanceTimeout + 5_000
        )
      }
      case "Distribute": {
        const members = command.members.map(ConsumerProtocol.decodeSubscription)
        const shares = walk.assignor.assign(members, new Map([["t", partitions]]))
        const assignments = [...shares].map(([memberId, share]) => ({ memberId, partitions: share, userData: null }))
        const { protocol, round } = command
        return void agenda.after(1, () => this.tell({ _tag: "Distributed", round, protocol, assignments }))
      }
      case "Sync": {
        const { generation, memberId, round } = command
        const sentAt = agenda.now
        return this.world.ask<SyncResult>(
          this,
          (answer) =>
            this.world.group.sync(
              {
                memberId,
                instanceId: null,
                generation,
                protocolType: null,
                protocolName: null,
                assignments: command.assignments.map((share) => ({
                  memberId: share.memberId,
                  assignment: ConsumerProtocol.encodeAssignment(share)
                }))
              },
              answer
            ),
          (result) => {
            if (result.error !== 0) return { _tag: "SyncRefused", round, code: result.error }
            const share = ConsumerProtocol.decodeAssignment(result.assignment)
            this.given = { ...share, generation }
            return { _tag: "Synced", round, sentAt, partitions: share.partitions }
          },
          () => ({ _tag: "RoundFailed", round, error: unreachable }),
          rebalanceTimeout + 5_000
        )
      }
      case "Heartbeat": {
        const { generation, memberId } = command
        return this.world.ask<number>(
          this,
          (answer) => answer(this.world.group.heartbeat(memberId, null, generation)),
          (code) => ({ _tag: "HeartbeatAnswered", memberId, generation, code }),
          () => ({ _tag: "HeartbeatFailed", memberId, generation, error: unreachable }),
          session / 3
        )
      }
      case "Leave":
        return this.world.ask(
          this,
          (answer) => answer(this.world.group.leave([{ memberId: command.memberId, instanceId: null }])[0]!),
          () => ({ _tag: "Left" }),
          () => ({ _tag: "Left" }),
          5_000
        )
      case "Give":
        this.assignedAt = agenda.now
        for (const partition of command.partitions) {
          const key = TopicPartition.key(partition)
          if (this.hands.has(key)) this.world.fault(`${this.name} is given ${key} that it holds`)
          this.hands.add(key)
        }
        return
      case "Revoke": {
        const drain = random() < 0.7 ? 1 : Math.floor(random() * 15_000)
        const release = (): void => {
          // whoever stands still drains nothing
          if (this.frozen) return void agenda.after(100, release)
          // Lost in the meantime: it was told so, and hands nothing over.
          if (this.state.round === command.round && this.state.phase === "releasing")
            for (const p of command.partitions) this.drop(TopicPartition.key(p))
          this.tell({ _tag: "Released", round: command.round })
        }
        return void agenda.after(drain, release)
      }
      case "Lose":
        this.given = undefined
        this.hands.clear()
        return void agenda.after(1, () => this.tell({ _tag: "Released", round: command.round }))
      case "Fail":
        return this.world.fault(`${this.name} fails: ${command.error.message}`)
      case "ForgetCoordinator":
        return
    }
  }

  private drop(key: string): void {
    if (!this.hands.delete(key)) this.world.fault(`${this.name} gives ${key} back, which it does not hold`)
  }
}

class World {
  readonly agenda = new Agenda()
  readonly random: () => number
  readonly group: Group
  readonly members: Array<Member> = []
  readonly faults: Array<string> = []
  /** For looking at a seed by hand. */
  trace: ((line: string) => void) | undefined
  readonly walk: Walk

  constructor(seed: number, walk: Walk) {
    this.walk = walk
    this.random = randomOf(seed)
    const { agenda } = this
    this.group = new Group(
      "g",
      {
        now: () => agenda.now,
        after: (millis, run) => agenda.after(millis, run),
        soon: (run) => agenda.after(0, run),
        random: this.random
      },
      {
        initialRebalanceDelay: 100,
        maxSize: 100,
        knowsInstances: true,
        checksTransactionsWhole: true,
        beatsWhileCompleting: true
      }
    )
  }

  fault(what: string): void {
    this.faults.push(`at ${this.agenda.now}: ${what}`)
  }

  /** A request and its answer over the network: each way takes its time, or is lost. */
  ask<A>(
    member: Member,
    request: (answer: (result: A) => void) => void,
    event: (result: A) => ClassicMember.Event,
    failed: () => ClassicMember.Event,
    timeout: number
  ): void {
    let isOver = false
    const end = (told: () => ClassicMember.Event): void => {
      if (isOver) return
      isOver = true
      expiry.cancel()
      member.tell(told())
    }
    const expiry = this.agenda.after(timeout, () => end(failed))
    const refused = () => this.agenda.after(50, () => end(failed))
    if (member.cut) return void (this.random() < 0.5 ? refused() : undefined)
    this.agenda.after(1 + Math.floor(this.random() * 20), () => {
      if (member.cut) return
      request((result) => {
        if (member.cut) return void (this.random() < 0.5 ? refused() : undefined)
        this.agenda.after(1 + Math.floor(this.random() * 20), () => end(() => event(result)))
      })
    })
  }

  /** No partition is in two hands. Hands of who stands still do nothing, and are looked at when it wakes. */
  judge(): void {
    const owners = new Map<string, string>()
    for (const { frozen, gone, hands, name } of this.members) {
      if (frozen || gone) continue
      for (const key of hands) {
        const other = owners.get(key)
        if (other !== undefined) this.fault(`${key} is in the hands of ${other} and ${name}`)
        owners.set(key, name)
      }
    }
  }
}

/** Runs the walk of a seed; gives what went wrong. */
export const run = (seed: number, walk: Walk, trace?: (line: string) => void): ReadonlyArray<string> => {
  const world = new World(seed, walk)
  world.trace = trace
  const { agenda, members, random } = world
  const below = (n: number) => Math.floor(random() * n)
  const join = () => {
    const member = new Member(`m${members.length}`, world)
    members.push(member)
    member.tell({ _tag: "Tick" })
  }
  const living = () => members.filter((member) => !member.gone && !member.state.closing)
  join()
  for (let i = 0; i < 40; i++) {
    const some = living()
    const one = some[below(some.length)]
    switch (below(walk.rough ? 8 : 3)) {
      case 0:
        if (some.length < 5) join()
        break
      case 1:
        if (one !== undefined && some.length > 1 && !one.frozen) leave(one, agenda)
        break
      case 2:
        one?.tell({ _tag: "Outdated" })
        break
      case 3:
        if (one !== undefined && !one.cut) {
          one.cut = true
          agenda.after(below(40_000), () => (one.cut = false))
        }
        break
      case 4:
        if (one !== undefined && !one.frozen) {
          one.frozen = true
          agenda.after(below(30_000), () => one.wake())
        }
        break
      case 5:
        world.group.handOver()
        break
      case 6:
        // killed
        if (one !== undefined && some.length > 1) one.gone = true
        break
      case 7:
        one?.tell({
          _tag: "CommitRefused",
          memberId: one.state.memberId,
          generation: one.state.generation,
          code: 27
        })
    }
    agenda.until(agenda.now + below(6_000))
  }
  if (living().length === 0) join()
  agenda.until(agenda.now + 400_000)
  const owned = living().flatMap((member) => [...member.hands])
  if (owned.length !== partitions) world.fault(`in the end ${owned.length} of ${partitions} partitions have an owner`)
  if (world.group.state !== "Stable") world.fault(`in the end the group is ${world.group.state}`)
  for (const member of members) {
    if (member.state.phase === "ended" && member.hands.size > 0) world.fault(`${member.name} left with its hands full`)
    // Storms are allowed a few joins at once, no more.
    for (let i = 12; i < member.joins.length; i++) {
      if (member.joins[i]! - member.joins[i - 12]! < 100) world.fault(`${member.name} joins without a pause`)
    }
  }
  return world.faults
}

/** As a consumer closes: what is held is drained and committed, then it leaves. */
const leave = (member: Member, agenda: Agenda): void => {
  member.tell({ _tag: "Closing" })
  agenda.after(2, () => {
    member.hands.clear()
    member.tell({ _tag: "Close" })
  })
}
