/**
 * A group of the consumer protocol (KIP-848) in its cluster: `ConsumerGroupMachine` decides, this gives it the time and the
 * topics, sets the one timer that its next deadline needs, and looks patterns up a tick after they came.
 */
import * as Code from "./Code.ts"
import type { HeartbeatAnswer, HeartbeatRequest, Member, View } from "./ConsumerGroupData.ts"
import { attempt, GroupRefusal } from "./ConsumerGroupData.ts"
import * as Classic from "./ConsumerGroupClassic.ts"
import * as Ends from "./ConsumerGroupEnds.ts"
import type { Group } from "./Group.ts"
import * as Machine from "./ConsumerGroupMachine.ts"
import { isSubscribed, preferredAssignor, type State } from "./ConsumerGroupState.ts"
import {
  type Identity,
  joinFailure,
  type JoinRequest,
  type JoinResult,
  syncFailure,
  type SyncRequest,
  type SyncResult
} from "./GroupData.ts"
import type { Runtime, Timer } from "./Runtime.ts"

/** A group of either protocol. */
export type AnyGroup = Group | ConsumerGroup

/** The topics, as whoever asks may see them. */
export type Topics = Omit<View, "now">

export class ConsumerGroup {
  readonly kind = "consumer"
  readonly id: string
  readonly machine: State
  /** Called at every change, for those who wait for a state. */
  onChange: () => void = () => {}
  /** Called when all who are left speak the classic protocol: the group is to become a classic one. */
  onDowngrade: (options: { readonly rebalance: boolean }) => void = () => {}
  private readonly env: Runtime
  private readonly topics: Topics
  private dead = false
  private timer: Timer | undefined
  private timerAt = Infinity

  constructor(machine: State, env: Runtime, topics: Topics) {
    this.id = machine.id
    this.env = env
    this.topics = topics
    this.machine = machine
  }

  get state() {
    return this.dead ? "Dead" : this.machine.state
  }

  get members(): ReadonlyMap<string, Member> {
    return this.machine.members
  }

  get generation(): number {
    return this.machine.epoch
  }

  readonly protocolType = "consumer"
  readonly leader = null

  get protocolName(): string {
    return preferredAssignor(this.machine)
  }

  /** Serves ConsumerGroupHeartbeat; `topics` are those that who asks may see. */
  beat(request: HeartbeatRequest, topics: Topics): HeartbeatAnswer | GroupRefusal {
    const answer = this.ask(() => Machine.heartbeat(this.machine, request, this.view(topics)))
    if (answer instanceof GroupRefusal) return answer
    if (answer.resolve) this.resolveSoon(topics)
    if (answer.downgrade) this.onDowngrade({ rebalance: true })
    else this.changed()
    return answer
  }

  /** Whether a commit may be stored, and, where it may, what each partition is answered. */
  commits(
    memberId: string,
    instanceId: string | null,
    epoch: number,
    options: { readonly version: number; readonly transactional?: boolean } = { version: 9 }
  ): number | ((topicId: string, partition: number) => number) {
    if (this.dead) return Code.coordinatorNotAvailable
    const { transactional = false, version } = options
    const answer = attempt(() => Ends.commits(this.machine, memberId, instanceId, epoch, version, transactional))
    return answer instanceof GroupRefusal ? answer.code : answer
  }

  /** Whether commits may be read, by a member or by anybody. */
  reads(memberId: string | null, epoch: number): number {
    const answer = attempt(() => Ends.reads(this.machine, memberId, epoch))
    return answer instanceof GroupRefusal ? answer.code : Code.none
  }

  // ── members that speak the classic protocol

  join(request: JoinRequest, answer: (result: JoinResult) => void): void {
    const joined = this.ask(() => Classic.join(this.machine, request, this.view()))
    if (joined instanceof GroupRefusal) return answer(joinFailure(request.memberId, joined.code))
    if ("idRequired" in joined) return answer(joinFailure(joined.idRequired, Code.memberIdRequired))
    if (joined.resolve) this.resolveSoon(this.topics)
    const { epoch, memberId, protocolName } = joined
    const { protocolType } = this
    answer({ ...joinFailure(memberId, Code.none), generation: epoch, protocolType, protocolName })
    if (joined.downgrade) this.onDowngrade({ rebalance: false })
    else this.changed()
  }

  sync(request: SyncRequest, answer: (result: SyncResult) => void): void {
    const assignment = this.ask(() => Classic.sync(this.machine, request, this.view()))
    this.watch()
    if (assignment instanceof GroupRefusal) return answer(syncFailure(assignment.code))
    const { protocolName, protocolType } = request
    answer({ error: Code.none, protocolType, protocolName, assignment })
  }

  heartbeat(memberId: string, instanceId: string | null, generation: number): number {
    const code = this.ask(() => Classic.heartbeat(this.machine, memberId, instanceId, generation, this.view()))
    this.watch()
    return code instanceof GroupRefusal ? code.code : code
  }

  /** An error code for each of those that are to leave. */
  leave(identities: ReadonlyArray<Identity>): ReadonlyArray<number> {
    const left = this.ask(() => Classic.leave(this.machine, identities, this.view()))
    if (left instanceof GroupRefusal) return identities.map(() => left.code)
    if (left.downgrade) this.onDowngrade({ rebalance: true })
    else this.changed()
    return left.codes
  }

  /** The members as those of a classic group. */
  asClassic() {
    return Classic.downgrade(this.machine, this.view())
  }

  private ask<A>(run: () => A): A | GroupRefusal {
    return this.dead ? new GroupRefusal(Code.coordinatorNotAvailable, "") : attempt(run)
  }

  private resolveSoon(topics: Topics): void {
    this.env.soon(() => {
      if (this.dead) return
      Machine.resolve(this.machine, this.view(topics))
      this.changed()
    })
  }

  isSubscribed(topic: string): boolean {
    return isSubscribed(this.machine, topic)
  }

  private view(topics: Topics = this.topics): View {
    return { ...topics, now: this.env.now() }
  }

  private changed(): void {
    this.watch()
    this.onChange()
  }

  /** One timer, for what is due next. Sessions are put off by every heartbeat, so a timer that is too early only looks. */
  private watch(): void {
    const due = Ends.nextDeadline(this.machine)
    if (due >= this.timerAt) return
    this.timer?.cancel()
    this.timerAt = due
    this.timer = this.env.after(Math.max(due - this.env.now(), 0), () => {
      this.timer = undefined
      this.timerAt = Infinity
      if (this.dead) return
      const before = this.machine.members.size
      if (Ends.expire(this.machine, this.view())) return this.onDowngrade({ rebalance: true })
      if (this.machine.members.size !== before) this.onChange()
      this.watch()
    })
  }

  // ── the coordinator

  /** Another broker takes the group over: all is as it was, and sessions begin anew. */
  handOver(): void {
    const now = this.env.now()
    this.machine.resolving = false
    for (const [memberId, deadlines] of this.machine.deadlines) {
      const member = this.machine.members.get(memberId)!
      deadlines.session = now + (member.classic?.sessionTimeout ?? this.machine.settings.sessionTimeout)
      deadlines.rebalance =
        member.classic === undefined && member.progress === "unrevoked" ? now + member.rebalanceTimeout : undefined
      deadlines.join = undefined
      deadlines.sync = undefined
    }
    this.changed()
  }

  /** Ends the group: DeleteGroups. */
  end(): void {
    this.dead = true
    this.timer?.cancel()
    this.onChange()
  }
}
