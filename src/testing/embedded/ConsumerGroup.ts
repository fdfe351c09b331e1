/**
 * A group of the consumer protocol (KIP-848) in its cluster: `ConsumerGroupMachine` decides, this gives it the time and the
 * topics, sets the one timer that its next deadline needs, and looks patterns up a tick after they came.
 */
import * as Code from "./Code.ts"
import type { HeartbeatAnswer, HeartbeatRequest, Member, Settings, View } from "./ConsumerGroupData.ts"
import { attempt, GroupRefusal } from "./ConsumerGroupData.ts"
import * as Ends from "./ConsumerGroupEnds.ts"
import type { Group } from "./Group.ts"
import * as Machine from "./ConsumerGroupMachine.ts"
import { isSubscribed, preferredAssignor, State } from "./ConsumerGroupState.ts"
import {
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
  private readonly env: Runtime
  private readonly topics: Topics
  private dead = false
  private timer: Timer | undefined
  private timerAt = Infinity

  constructor(id: string, env: Runtime, settings: Settings, topics: Topics) {
    this.id = id
    this.env = env
    this.topics = topics
    this.machine = new State(id, settings)
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
    if (this.dead) return new GroupRefusal(Code.coordinatorNotAvailable, "")
    const answer = attempt(() => Machine.heartbeat(this.machine, request, this.view(topics)))
    if (answer instanceof GroupRefusal) return answer
    if (answer.resolve)
      this.env.soon(() => {
        if (this.dead) return
        Machine.resolve(this.machine, this.view(topics))
        this.changed()
      })
    this.changed()
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

  /** Who speaks the classic protocol is no member here. */
  join(request: JoinRequest, answer: (result: JoinResult) => void): void {
    answer(joinFailure(request.memberId, Code.inconsistentGroupProtocol))
  }

  sync(_request: SyncRequest, answer: (result: SyncResult) => void): void {
    answer(syncFailure(Code.unknownMemberId))
  }

  heartbeat(_memberId: string, _instanceId: string | null, _generation: number): number {
    return Code.unknownMemberId
  }

  leave(_memberId: string, _instanceId: string | null): number {
    return Code.unknownMemberId
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
      Ends.expire(this.machine, this.view())
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
