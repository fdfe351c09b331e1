/**
 * A classic group, as the broker's coordinator keeps it: who is a member, of which generation, and who waits for whom.
 *
 * The states are Kafka's: Empty, PreparingRebalance (members join), CompletingRebalance (the leader assigns), Stable,
 * Dead. Time comes from `Runtime`; answers go out through the callbacks that the requests left behind. One file because each
 * step reads and moves the same state.
 */
import {
  Code,
  type Identity,
  joinFailure,
  type JoinRequest,
  type JoinResult,
  type Member,
  newMemberTimeout,
  nothing,
  sameProtocols,
  type Settings,
  type State,
  syncFailure,
  type SyncRequest,
  type SyncResult
} from "./GroupData.ts"
import type { Runtime, Timer } from "./Runtime.ts"
import { uuid } from "./Runtime.ts"

export * from "./GroupData.ts"

export class Group {
  readonly kind = "classic"
  readonly id: string
  state: State = "Empty"
  generation = 0
  protocolType: string | null = null
  protocolName: string | null = null
  leader: string | null = null
  readonly members = new Map<string, Member>()
  /** Ids that were given out (MEMBER_ID_REQUIRED) and have not joined yet. */
  readonly pending = new Map<string, Timer>()
  readonly instances = new Map<string, string>()
  /** Called at every change, for those who wait for a state. */
  onChange: () => void = () => {}
  private readonly env: Runtime
  private readonly settings: Settings
  private joinTimer: Timer | undefined
  private syncTimer: Timer | undefined
  /** Members that joined the generation and have not synced yet. */
  private readonly pendingSync = new Set<string>()
  /** While the first rebalance of an empty group is held back for more members. */
  private initialDelay: { remaining: number; added: boolean } | undefined
  /** What a coordinator that takes over would find: the last generation that was complete, those who have left since included. */
  private persisted: {
    readonly generation: number
    readonly protocolName: string | null
    readonly leader: string | null
    readonly members: ReadonlyArray<Member>
  } = { generation: 0, protocolName: null, leader: null, members: [] }

  constructor(id: string, env: Runtime, settings: Settings) {
    this.id = id
    this.env = env
    this.settings = settings
  }

  // ── joining

  join(request: JoinRequest, answer: (result: JoinResult) => void): void {
    const { instanceId, memberId } = request
    if (this.state === "Dead") return answer(joinFailure(memberId, Code.coordinatorNotAvailable))
    if (!this.accepts(request)) return answer(joinFailure(memberId, Code.inconsistentProtocol))
    if (memberId === "") return this.joinNew(request, answer)

    const waiting = this.pending.get(memberId)
    if (waiting !== undefined && instanceId === null) {
      waiting.cancel()
      this.pending.delete(memberId)
      return this.add(memberId, request, answer)
    }
    const refused = this.refusal(memberId, instanceId)
    if (refused !== Code.none) return answer(joinFailure(memberId, refused))
    const member = this.members.get(memberId)!
    switch (this.state) {
      case "PreparingRebalance":
        return this.rejoin(member, request, answer)
      case "CompletingRebalance":
        // the answer to its join was lost: the same again, unless it wants something else now
        return sameProtocols(member.protocols, request.protocols)
          ? answer(this.joined(member))
          : this.rejoin(member, request, answer)
      case "Stable":
        return memberId === this.leader || !sameProtocols(member.protocols, request.protocols)
          ? this.rejoin(member, request, answer)
          : answer(this.joined(member))
      default:
        return answer(joinFailure(memberId, Code.unknownMember))
    }
  }

  private accepts(request: JoinRequest): boolean {
    if (request.protocolType === "" || request.protocols.length === 0) return this.members.has(request.memberId)
    if (this.members.size === 0) return true
    if (request.protocolType !== this.protocolType) return false
    // as Kafka counts them, the member's own former protocols included
    const members = Array.from(this.members.values())
    return request.protocols.some((p) => members.every((m) => m.protocols.some((q) => q.name === p.name)))
  }

  private joinNew(request: JoinRequest, answer: (result: JoinResult) => void): void {
    const id = `${request.instanceId ?? request.clientId}-${this.memberUuid()}`
    if (request.instanceId !== null) {
      const former = this.instances.get(request.instanceId)
      return former === undefined ? this.add(id, request, answer) : this.replace(former, id, request, answer)
    }
    if (this.members.size + this.pending.size >= this.settings.maxSize)
      return answer(joinFailure("", Code.groupMaxSizeReached))
    if (!request.idRequired) return this.add(id, request, answer)
    this.pending.set(
      id,
      this.env.after(request.sessionTimeout, () => {
        this.pending.delete(id)
        this.tryCompleteJoin()
      })
    )
    answer(joinFailure(id, Code.memberIdRequired))
  }

  private memberUuid(): string {
    const hex = Buffer.from(uuid(this.env.random), "base64url").toString("hex")
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
  }

  private add(id: string, request: JoinRequest, answer: (result: JoinResult) => void): void {
    const member: Member = {
      memberId: id,
      instanceId: request.instanceId,
      clientId: request.clientId,
      clientHost: request.clientHost,
      sessionTimeout: request.sessionTimeout,
      rebalanceTimeout: request.rebalanceTimeout,
      protocols: request.protocols,
      assignment: nothing,
      onJoin: answer,
      onSync: undefined,
      isNew: true,
      deadline: 0,
      timer: undefined
    }
    if (this.members.size === 0) this.protocolType = request.protocolType
    this.members.set(id, member)
    if (request.instanceId !== null) this.instances.set(request.instanceId, id)
    if (this.leader === null) this.leader = id
    if (this.initialDelay !== undefined) this.initialDelay.added = true
    this.beat(member)
    this.prepareRebalance()
  }

  /** A static member came back under a new id: it takes the place of the former one, if it can without a rebalance. */
  private replace(former: string, id: string, request: JoinRequest, answer: (result: JoinResult) => void): void {
    const member = this.members.get(former)!
    this.members.delete(former)
    member.onJoin?.(joinFailure(former, Code.fencedInstance))
    member.onSync?.(syncFailure(Code.fencedInstance))
    member.onJoin = undefined
    member.onSync = undefined
    member.timer?.cancel()
    member.timer = undefined
    const before = this.protocolName
    member.memberId = id
    member.sessionTimeout = request.sessionTimeout
    member.rebalanceTimeout = request.rebalanceTimeout
    member.clientId = request.clientId
    member.clientHost = request.clientHost
    const wasLeader = this.leader === former
    this.members.set(id, member)
    this.instances.set(member.instanceId!, id)
    this.pendingSync.delete(former)
    if (wasLeader) this.leader = id
    member.protocols = request.protocols
    this.beat(member)
    if (this.state === "Stable") {
      // its metadata may be others: it has the same place as long as the same protocol is chosen
      if (this.electProtocol() === before) {
        if (this.persisted.members.some((each) => each.memberId === former)) this.persist()
        // an old client that is its own leader would assign anew; it is told of the former leader instead
        const leads = wasLeader && request.canSkipAssignment
        return answer({
          ...this.joined(member),
          leader: wasLeader && !request.canSkipAssignment ? former : this.leader!,
          skipAssignment: leads,
          members: leads ? this.memberList() : []
        })
      }
    }
    member.onJoin = answer
    this.prepareRebalance()
  }

  private rejoin(member: Member, request: JoinRequest, answer: (result: JoinResult) => void): void {
    member.protocols = request.protocols
    member.sessionTimeout = request.sessionTimeout
    member.rebalanceTimeout = request.rebalanceTimeout
    // an earlier join of the same member is answered, so that nobody waits for ever
    member.onJoin?.(joinFailure(member.memberId, Code.unknownMember))
    member.onJoin = answer
    this.beat(member)
    this.prepareRebalance()
  }

  private prepareRebalance(): void {
    if (this.state === "PreparingRebalance") return this.tryCompleteJoin()
    if (this.state === "CompletingRebalance") this.answerSyncs(Code.rebalanceInProgress)
    this.syncTimer?.cancel()
    this.pendingSync.clear()
    const first = this.state === "Empty"
    this.to("PreparingRebalance")
    if (first) {
      const delay = this.settings.initialRebalanceDelay
      this.initialDelay = { remaining: Math.max(this.rebalanceTimeout() - delay, 0), added: false }
      if (delay <= 0) this.env.soon(() => this.initialDelayOver())
      else this.joinTimer = this.env.after(delay, () => this.initialDelayOver())
    } else {
      this.joinTimer = this.env.after(this.rebalanceTimeout(), () => this.completeJoin())
      this.tryCompleteJoin()
    }
  }

  private initialDelayOver(): void {
    const state = this.initialDelay
    if (state === undefined || this.state !== "PreparingRebalance") return
    const delay = Math.min(this.settings.initialRebalanceDelay, state.remaining)
    if (state.added && delay > 0) {
      state.added = false
      state.remaining -= delay
      this.joinTimer = this.env.after(delay, () => this.initialDelayOver())
      return
    }
    this.initialDelay = undefined
    this.completeJoin()
  }

  private rebalanceTimeout(): number {
    let most = 0
    for (const member of this.members.values()) most = Math.max(most, member.rebalanceTimeout)
    return most
  }

  private tryCompleteJoin(): void {
    if (this.state !== "PreparingRebalance" || this.initialDelay !== undefined) return
    if (this.pending.size > 0) return
    for (const member of this.members.values()) if (member.onJoin === undefined) return
    this.completeJoin()
  }

  private completeJoin(): void {
    if (this.state !== "PreparingRebalance") return
    this.joinTimer?.cancel()
    for (const member of Array.from(this.members.values())) {
      // a static member may be away for its session timeout without losing its place
      if (member.onJoin === undefined && member.instanceId === null) this.forget(member)
    }
    const present = Array.from(this.members.values()).filter((m) => m.onJoin !== undefined)
    if (this.members.size > 0 && present.length === 0) {
      this.joinTimer = this.env.after(this.rebalanceTimeout(), () => this.completeJoin())
      return
    }
    if (present.length > 0 && !present.some((m) => m.memberId === this.leader)) this.leader = present[0]!.memberId
    this.generation++
    if (this.members.size === 0) {
      this.protocolName = null
      this.leader = null
      this.persist()
      this.to("Empty")
      return
    }
    this.protocolName = this.electProtocol()
    this.to("CompletingRebalance")
    for (const member of Array.from(this.members.values())) {
      member.isNew = false
      this.pendingSync.add(member.memberId)
      const answer = member.onJoin
      member.onJoin = undefined
      this.beat(member)
      answer?.(this.joined(member))
    }
    this.syncTimer = this.env.after(this.rebalanceTimeout(), () => this.syncOver())
  }

  private syncOver(): void {
    if (this.state !== "CompletingRebalance" && this.state !== "Stable") return
    const late = Array.from(this.pendingSync, (id) => this.members.get(id)).filter((m) => m !== undefined)
    this.pendingSync.clear()
    if (late.length === 0) return
    for (const member of late) this.forget(member)
    this.prepareRebalance()
  }

  /** The protocol that every member knows and most members prefer. */
  private electProtocol(): string {
    const members = Array.from(this.members.values())
    const common = new Set(
      members[0]!.protocols
        .map((p) => p.name)
        .filter((name) => members.every((m) => m.protocols.some((p) => p.name === name)))
    )
    const votes = new Map<string, number>()
    for (const member of members) {
      const vote = member.protocols.find((p) => common.has(p.name))
      if (vote !== undefined) votes.set(vote.name, (votes.get(vote.name) ?? 0) + 1)
    }
    let elected = ""
    let most = 0
    for (const [name, count] of votes) if (count > most) [elected, most] = [name, count]
    return elected
  }

  private memberList(): JoinResult["members"] {
    return Array.from(this.members.values(), (m) => ({
      memberId: m.memberId,
      groupInstanceId: m.instanceId,
      metadata: m.protocols.find((p) => p.name === this.protocolName)?.metadata ?? nothing
    }))
  }

  private joined(member: Member): JoinResult {
    return {
      error: Code.none,
      generation: this.generation,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      leader: this.leader ?? "",
      skipAssignment: false,
      memberId: member.memberId,
      members: member.memberId === this.leader ? this.memberList() : []
    }
  }

  // ── assigning

  sync(request: SyncRequest, answer: (result: SyncResult) => void): void {
    if (this.state === "Dead") return answer(syncFailure(Code.coordinatorNotAvailable))
    const refused = this.refusal(request.memberId, request.instanceId)
    if (refused !== Code.none) return answer(syncFailure(refused))
    if (request.generation !== this.generation) return answer(syncFailure(Code.illegalGeneration))
    if (
      (request.protocolType !== null && request.protocolType !== this.protocolType) ||
      (request.protocolName !== null && request.protocolName !== this.protocolName)
    )
      return answer(syncFailure(Code.inconsistentProtocol))
    const member = this.members.get(request.memberId)!
    switch (this.state) {
      case "PreparingRebalance":
        return answer(syncFailure(Code.rebalanceInProgress))
      case "Stable":
        this.pendingSync.delete(member.memberId)
        this.beat(member)
        return answer(this.synced(member))
      case "CompletingRebalance": {
        this.pendingSync.delete(member.memberId)
        member.onSync = answer
        if (member.memberId !== this.leader) return
        const given = new Map(request.assignments.map((a) => [a.memberId, a.assignment]))
        for (const each of this.members.values()) each.assignment = Uint8Array.from(given.get(each.memberId) ?? nothing)
        this.persist()
        this.to("Stable")
        return this.answerSyncs(Code.none)
      }
      default:
        return answer(syncFailure(Code.unknownMember))
    }
  }

  private synced(member: Member): SyncResult {
    return {
      error: Code.none,
      protocolType: this.protocolType,
      protocolName: this.protocolName,
      assignment: member.assignment
    }
  }

  private answerSyncs(error: number): void {
    for (const member of this.members.values()) {
      if (error !== Code.none) member.assignment = nothing
      const answer = member.onSync
      if (answer === undefined) continue
      member.onSync = undefined
      this.beat(member)
      answer(error === Code.none ? this.synced(member) : syncFailure(error))
    }
  }

  private persist(): void {
    const { generation, leader, protocolName } = this
    const members = Array.from(this.members.values(), (member) => ({
      ...member,
      onJoin: undefined,
      onSync: undefined,
      isNew: false,
      timer: undefined
    }))
    this.persisted = { generation, protocolName, leader, members }
  }

  // ── staying and leaving

  heartbeat(memberId: string, instanceId: string | null, generation: number): number {
    if (this.state === "Dead") return Code.coordinatorNotAvailable
    const refused = this.refusal(memberId, instanceId)
    if (refused !== Code.none) return refused
    if (generation !== this.generation) return Code.illegalGeneration
    if (this.state === "Empty") return Code.unknownMember
    this.beat(this.members.get(memberId)!)
    const completing = this.state === "CompletingRebalance" && !this.settings.beatsWhileCompleting
    return completing || this.state === "PreparingRebalance" ? Code.rebalanceInProgress : Code.none
  }

  /** An error code for each of those that are to leave. */
  leave(identities: ReadonlyArray<Identity>): ReadonlyArray<number> {
    return identities.map(({ instanceId, memberId }) => this.leaveOne(memberId, instanceId))
  }

  private leaveOne(memberId: string, instanceId: string | null): number {
    if (this.state === "Dead") return Code.coordinatorNotAvailable
    const waiting = this.pending.get(memberId)
    if (waiting !== undefined && instanceId === null) {
      waiting.cancel()
      this.pending.delete(memberId)
      this.tryCompleteJoin()
      return Code.none
    }
    const id = memberId === "" && instanceId !== null ? (this.instances.get(instanceId) ?? "") : memberId
    const refused = this.refusal(id, instanceId)
    if (refused !== Code.none) return refused
    this.remove(this.members.get(id)!)
    return Code.none
  }

  /** Whether a commit may be stored, and why not. */
  commits(memberId: string, instanceId: string | null, generation: number): number {
    if (this.state === "Dead") return Code.coordinatorNotAvailable
    if (generation < 0 && this.state === "Empty") return Code.none
    if (generation < 0 && memberId === "" && instanceId === null)
      return this.members.size === 0 ? Code.none : Code.unknownMember
    const refused = this.refusal(memberId, instanceId)
    if (refused !== Code.none) return refused
    if (generation !== this.generation) return Code.illegalGeneration
    if (this.state === "CompletingRebalance") return Code.rebalanceInProgress
    this.beat(this.members.get(memberId)!)
    return Code.none
  }

  /**
   * Whether a commit of a transaction may be stored, and why not. Who tells neither member nor generation is believed,
   * as clients of before KIP-447 are; nor is it a sign of life.
   */
  commitsInTransaction(memberId: string, instanceId: string | null, generation: number): number {
    if (this.state === "Dead") return Code.coordinatorNotAvailable
    if (generation < 0 && this.state === "Empty" && this.settings.checksTransactionsWhole) return Code.none
    const isMember = this.settings.checksTransactionsWhole
      ? generation >= 0 || memberId !== "" || instanceId !== null
      : memberId !== "" || (instanceId !== null && this.instances.has(instanceId))
    const refused = isMember ? this.refusal(memberId, instanceId) : Code.none
    if (refused !== Code.none) return refused
    const checks = this.settings.checksTransactionsWhole ? isMember : generation >= 0
    return checks && generation !== this.generation ? Code.illegalGeneration : Code.none
  }

  private refusal(memberId: string, instanceId: string | null): number {
    if (instanceId !== null) {
      const known = this.instances.get(instanceId)
      if (known === undefined) {
        if (this.settings.knowsInstances) return Code.unknownMember
      } else if (known !== memberId) return Code.fencedInstance
    }
    return this.members.has(memberId) ? Code.none : Code.unknownMember
  }

  /** Any sign of life puts the end of the session off. The timer is set anew only when it fires, since beats are many. */
  private beat(member: Member): void {
    const wait = member.isNew ? Math.max(newMemberTimeout, member.sessionTimeout) : member.sessionTimeout
    const due = this.env.now() + wait
    const sooner = due < member.deadline
    member.deadline = due
    if (member.timer !== undefined && !sooner) return
    member.timer?.cancel()
    this.watch(member, wait)
  }

  private watch(member: Member, wait: number): void {
    member.timer = this.env.after(wait, () => {
      member.timer = undefined
      if (this.members.get(member.memberId) !== member) return
      const left = member.deadline - this.env.now()
      if (left > 0) return this.watch(member, left)
      // who waits for an answer of ours cannot beat
      if (!member.isNew && (member.onJoin !== undefined || member.onSync !== undefined)) return this.beat(member)
      this.remove(member)
    })
  }

  private forget(member: Member): void {
    member.timer?.cancel()
    member.timer = undefined
    this.members.delete(member.memberId)
    this.pendingSync.delete(member.memberId)
    if (member.instanceId !== null) this.instances.delete(member.instanceId)
    if (this.leader === member.memberId) this.leader = this.members.keys().next().value ?? null
    member.onJoin?.(joinFailure("", Code.unknownMember))
    member.onSync?.(syncFailure(Code.unknownMember))
    member.onJoin = undefined
    member.onSync = undefined
  }

  private remove(member: Member): void {
    this.forget(member)
    if (this.state === "Stable" || this.state === "CompletingRebalance") this.prepareRebalance()
    else if (this.state === "PreparingRebalance") {
      if (this.members.size === 0 && this.initialDelay === undefined && this.pending.size === 0) this.completeJoin()
      else this.tryCompleteJoin()
    }
  }

  private to(state: State): void {
    this.state = state
    this.onChange()
  }

  // ── the coordinator

  /** Another broker takes the group over: who waits is sent away, and what was not complete is as before. */
  handOver(): void {
    this.joinTimer?.cancel()
    this.syncTimer?.cancel()
    this.initialDelay = undefined
    for (const timer of this.pending.values()) timer.cancel()
    this.pending.clear()
    this.pendingSync.clear()
    for (const member of Array.from(this.members.values())) {
      member.onJoin?.(joinFailure(member.memberId, Code.notCoordinator))
      member.onSync?.(syncFailure(Code.notCoordinator))
      member.onJoin = undefined
      member.onSync = undefined
      this.forget(member)
    }
    // Whoever left or was taken out since then is a member again, until its session ends.
    for (const snapshot of this.persisted.members) {
      const member = { ...snapshot }
      this.members.set(member.memberId, member)
      if (member.instanceId !== null) this.instances.set(member.instanceId, member.memberId)
      this.beat(member)
    }
    this.generation = this.persisted.generation
    this.protocolName = this.persisted.protocolName
    this.leader = this.persisted.leader
    this.to(this.members.size === 0 ? "Empty" : "Stable")
  }

  /** Takes the members of a group of the consumer protocol over, which has become a classic one. */
  adopt(generation: number, members: ReadonlyMap<string, Member>, rebalance: boolean): void {
    this.generation = generation
    this.protocolType = "consumer"
    for (const [id, member] of members) {
      this.members.set(id, member)
      if (member.instanceId !== null) this.instances.set(member.instanceId, id)
      if (this.leader === null) this.leader = id
      this.beat(member)
    }
    this.protocolName = this.electProtocol()
    this.persist()
    this.to("Stable")
    if (rebalance) this.prepareRebalance()
  }

  /** Becomes a group of the consumer protocol: who waits is told to join again. */
  giveUp(): void {
    for (const member of this.members.values()) {
      member.onJoin?.(joinFailure(member.memberId, Code.rebalanceInProgress))
      member.onSync?.(syncFailure(Code.rebalanceInProgress))
      member.onJoin = undefined
      member.onSync = undefined
    }
    this.end()
  }

  /** Ends the group: DeleteGroups. */
  end(): void {
    this.joinTimer?.cancel()
    this.syncTimer?.cancel()
    for (const timer of this.pending.values()) timer.cancel()
    for (const member of this.members.values()) member.timer?.cancel()
    this.to("Dead")
  }
}
