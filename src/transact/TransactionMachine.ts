/**
 * Pure. The life of a transactional id: what has happened goes in, the requests that are due come out. It reads no clock
 * and sends nothing; each command leads to exactly one event that answers it. Its rules:
 *
 * - Nothing is committed of a transaction in which anything has failed, and nothing is added to one that is ending.
 * - What may still arrive late arrives under an old epoch: after a request without an answer, and after sequences that
 *   were given up, the epoch is raised (InitProducerId) before the next transaction begins. With transaction version 2
 *   every transaction has an epoch of its own (KIP-890).
 * - It is InitProducerId, too, that aborts where something may still arrive late (from 2.5 on): the markers are of the
 *   raised epoch then, and leaders refuse what comes after them. After those of EndTxn it would be taken, and be
 *   committed with the next transaction.
 * - A commit without an answer leaves the transaction in doubt. It is told as that, never as aborted; and before anything
 *   else is sent the coordinator is asked to abort what is open, if it is, and to raise the epoch. So a late copy of the
 *   commit commits nothing of what comes after it.
 * - Who is fenced sends nothing any more. A refusal may also be the coordinator's own doing, which raises the epoch of a
 *   transaction that it aborts since it was open for too long: so InitProducerId is asked, which tells the two apart.
 *   One amid the transaction proves nothing: a broker that was away answers as the coordinator that it was, and takes the
 *   epoch of who has gone on elsewhere for an old one. So the transaction is aborted, and the answer to that counts.
 *
 * One file because the rules hold of all of it: each step rests on what the others leave behind.
 */
import * as ErrorCode from "../ErrorCode.ts"
import { before, nothing } from "../engine/Steps.ts"
import type * as Steps from "../engine/Steps.ts"
import type { ProducerId } from "../engine/TransactionGate.ts"
import * as KafkaError from "../KafkaError.ts"
import type { Command, Contested, Event, Phase, Settings, State } from "./TransactionState.ts"

type Step = Steps.Step<State, Command>

const none: ReadonlySet<string> = new Set()
const { codes } = ErrorCode

const tell = (what: Extract<Command, { _tag: "Tell" }>["what"], error?: KafkaError.KafkaError): Command => ({
  _tag: "Tell",
  what,
  error
})

/** Of no transaction. */
const closed = {
  added: none,
  adding: none,
  waiting: none,
  groups: none,
  isRegistered: false,
  failure: undefined,
  commits: false,
  isEnding: false
} as const

const init = (state: State): Step => [
  { ...state, phase: "initializing" },
  [
    {
      _tag: "Init",
      expected: state.producer,
      isContested: state.contested !== undefined,
      mayBeRaised: state.contested?.mayBeRaised === true
    }
  ]
]

const end = (state: State, commits: boolean, phase: Phase): Step => [
  { ...state, phase, commits },
  [{ _tag: "EndTxn", producer: state.producer!, commits, isImplicit: state.isImplicit }]
]

/** Ends the open one. Where something of it may still arrive, and the coordinator has it open for sure, by raising the epoch. */
const close = (state: State, commits: boolean): Step =>
  commits || !state.isStale || state.isImplicit || state.added.size + state.groups.size === 0
    ? end(state, commits, "ending")
    : init({ ...state, commits, contested: { error: state.failure, aborts: true, tells: true, mayBeRaised: true } })

/** Whether a code says that somebody else is the producer now. */
export const isFenced = (code: number): boolean =>
  code === codes.PRODUCER_FENCED || code === codes.INVALID_PRODUCER_EPOCH

/**
 * Whether InitProducerId is answered as to who may have the id no more. A coordinator that has raised the epoch to the last
 * that there is says UNKNOWN_SERVER_ERROR to the one before, be it ours, whose first answer was lost, or somebody else's by
 * now: whoever asked for the id as at the beginning would take it from him. `mayBeRaised`: from one before that, where the
 * coordinator has raised it as well.
 */
export const isTaken = (code: number, producer: ProducerId | undefined, mayBeRaised: boolean): boolean =>
  isFenced(code) ||
  (code === codes.UNKNOWN_SERVER_ERROR &&
    producer !== undefined &&
    producer.epoch + (mayBeRaised ? 1 : 0) >= lastEpoch - 1)

/** The last epoch that a coordinator gives a producer id. */
const lastEpoch = 32766

/** Whether the coordinator has forgotten the id: there is nothing open. */
const isForgotten = (code: number): boolean =>
  code === codes.INVALID_PRODUCER_ID_MAPPING || code === codes.UNKNOWN_PRODUCER_ID

/** A step of the machine of one transactional id. */
export const step = (settings: Settings, state: State, event: Event): Step =>
  proceed(transition(settings, state, event))

/** Goes on with what somebody waits for, where nothing is under way that comes first. */
const proceed = (step: Step): Step => {
  const [state, commands] = step
  if (state.asks === undefined) return step
  const done = { ...state, asks: undefined }
  switch (state.phase) {
    case "over":
      return [done, [...commands, tell("begin", state.error)]]
    case "open":
      // What was in doubt is known: else it would not be open.
      return [
        done,
        [...commands, tell("begin", state.asks === "begin" ? misuse("a transaction is open already") : undefined)]
      ]
    case "ready":
      if (!state.isStale)
        return [state.asks === "begin" ? { ...done, ...closed, phase: "open" } : done, [...commands, tell("begin")]]
      return before(commands, init(state))
    case "new":
      return before(commands, init(state))
    case "doubt":
      return before(commands, end(state, false, "resolving"))
    default:
      return step
  }
}

/** Whoever waits to begin hears why not. */
const refuse = (state: State, phase: Phase, error: KafkaError.KafkaError): Step =>
  state.asks === undefined ? [{ ...state, phase }, []] : [{ ...state, phase, asks: undefined }, [tell("begin", error)]]

const transition = (settings: Settings, state: State, event: Event): Step => {
  const { transactionalId } = settings
  const where = (api: string, group?: string): KafkaError.Where => ({
    api,
    transactionalId,
    ...(group === undefined ? {} : { group })
  })
  const refusal = (code: number, api: string, group?: string): KafkaError.KafkaError =>
    isFenced(code) ? fenced(transactionalId, state.producer, code, api) : KafkaError.fromCode(code, where(api, group))

  /** The open transaction can only be aborted. */
  const failed = (error: KafkaError.KafkaError, isStale: boolean, ...told: ReadonlyArray<Command>): Step =>
    state.phase !== "open"
      ? [state, told]
      : [
          { ...state, failure: state.failure ?? error, isStale: state.isStale || isStale, waiting: none },
          [{ _tag: "FailRecords", error: state.failure ?? error }, ...told]
        ]

  const refused = (code: number, isLost: boolean, api: string, told: ReadonlyArray<Command>, group?: string): Step => {
    // An old coordinator takes an epoch that it does not know yet for that of an old producer: the end tells.
    const error = isFenced(code) ? answered(code, false, where(api, group)) : refusal(code, api, group)
    const all = told.map((one) => (one._tag === "Tell" ? { ...one, error } : one))
    return failed(error, isLost || isForgotten(code), ...all)
  }

  switch (event._tag) {
    case "Initialize":
      return nothing({ ...state, asks: "initialize" })
    case "Begin":
      return nothing({ ...state, asks: "begin" })
    case "Cancel":
      return nothing({ ...state, asks: undefined })

    case "Initialized":
    case "Aborting":
    case "InitRefused":
    case "InitUnanswered":
      return state.phase === "initializing" ? raised(settings, state, event, refusal) : nothing(state)

    case "Wanted": {
      if (state.phase !== "open" || state.isEnding || state.failure !== undefined) return nothing(state)
      const fresh = event.partitions.filter((key) => !state.added.has(key) && !state.adding.has(key))
      if (fresh.length === 0) return nothing(state)
      if (state.isImplicit) {
        return [{ ...state, added: new Set([...state.added, ...fresh]), isRegistered: true }, [{ _tag: "Admit" }]]
      }
      return add({ ...state, waiting: new Set([...state.waiting, ...fresh]) })
    }
    case "PartitionsAnswered": {
      if (state.phase !== "open") return nothing(state)
      if (event.code !== codes.NONE) {
        return added(refused(event.code, event.isLost, "AddPartitionsToTxn", []))
      }
      const isStale = state.isStale || event.isLost
      const next: State = { ...state, added: new Set([...state.added, ...state.adding]), adding: none, isStale }
      // What waits still has no records any more: it would be added beside the end, or behind it.
      return state.isEnding ? added(nothing(next)) : before([{ _tag: "Admit" }], add(next))
    }
    case "PartitionsUnanswered":
      return added(failed(event.error, event.isLost))

    case "GroupWanted": {
      if (state.phase !== "open") return [state, [tell("group", state.error ?? misuse("no transaction is open"))]]
      if (state.failure !== undefined) return [state, [tell("group", state.failure)]]
      if (state.isImplicit || state.groups.has(event.group)) return [{ ...state, isRegistered: true }, [tell("group")]]
      const { group } = event
      return [{ ...state, isRegistered: true }, [{ _tag: "AddGroup", producer: state.producer!, group }]]
    }
    case "GroupAnswered":
      if (event.code !== codes.NONE)
        return refused(event.code, event.isLost, "AddOffsetsToTxn", [tell("group")], event.group)
      return [
        { ...state, groups: new Set([...state.groups, event.group]), isStale: state.isStale || event.isLost },
        [tell("group")]
      ]
    case "GroupUnanswered":
      return failed(event.error, event.isLost, tell("group", event.error))
    case "OffsetsAnswered":
      if (event.code !== codes.NONE)
        return refused(event.code, event.isLost, "TxnOffsetCommit", [tell("offsets")], event.group)
      return [{ ...state, isStale: state.isStale || event.isLost }, [tell("offsets")]]
    case "OffsetsUnanswered":
      return failed(event.error, event.isLost)

    case "Failed":
      return failed(event.error, false)

    case "End": {
      if (state.phase === "over") return [state, [tell("end", state.error)]]
      if (state.phase !== "open") return [state, [tell("end", misuse("no transaction is open"))]]
      const isStale = state.isStale || event.hasGap
      const { commits } = event
      if (state.adding.size > 0) return nothing({ ...state, isStale, commits, isEnding: true })
      if (state.isRegistered) return close({ ...state, isStale }, commits && state.failure === undefined)
      const { failure } = state
      return [{ ...state, ...closed, phase: "ready", isStale }, [tell("end", commits ? failure : undefined)]]
    }

    case "EndAnswered":
      if (state.phase === "resolving") return resolved(state, event, refusal)
      return state.phase === "ending" ? ended(settings, state, event, refusal) : nothing(state)
    case "EndUnanswered": {
      const { error, isLost } = event
      // That it was not to be committed is sure, whatever becomes of it.
      if (state.phase === "resolving") return refuse(state, "doubt", error)
      if (state.phase !== "ending") return nothing(state)
      const told = state.commits && isLost ? inDoubt(transactionalId, error) : (state.failure ?? error)
      return [{ ...state, ...closed, phase: "doubt", isStale: true }, [tell("end", told)]]
    }
  }
}

type Refusal = (code: number, api: string) => KafkaError.KafkaError
type EndAnswered = Extract<Event, { readonly _tag: "EndAnswered" }>
type InitAnswered = Extract<Event, { readonly _tag: "Initialized" | "Aborting" | "InitRefused" | "InitUnanswered" }>

/** What a contested transaction has failed with where nobody else has the id, or that is not known. */
const meant = ({ failure }: State, { aborts, error }: Contested): KafkaError.KafkaError | undefined =>
  aborts || error?.reason._tag === "InDoubt" ? error : failure

/** Whether something was refused as that of an old producer. */
const isOld = ({ reason }: KafkaError.KafkaError): boolean =>
  "code" in reason && reason.code !== undefined && isFenced(reason.code)

/** InitProducerId was answered, or not. */
const raised = (settings: Settings, state: State, event: InitAnswered, refusal: Refusal): Step => {
  switch (event._tag) {
    case "Initialized": {
      const { isImplicit, producer } = event
      const ready: State = {
        ...state,
        ...closed,
        phase: "ready",
        producer,
        isImplicit,
        isStale: false,
        contested: undefined
      }
      if (state.contested?.tells !== true) return [ready, []]
      const error = meant(state, state.contested)
      const isAborted = error === undefined ? state.commits : isOld(error)
      return [ready, [tell("end", isAborted ? abortedByCoordinator(settings) : error)]]
    }
    case "Aborting": {
      // The coordinator has begun to: whoever aborts need not wait for its markers, which may take as long as a leader.
      if (state.contested?.aborts !== true || !state.contested.tells) return nothing(state)
      return [{ ...state, contested: { ...state.contested, tells: false } }, [tell("end", state.contested.error)]]
    }
    case "InitRefused": {
      const { contested } = state
      const isElsewhere = isTaken(event.code, state.producer, contested?.mayBeRaised === true)
      const error = isElsewhere
        ? fenced(settings.transactionalId, state.producer, event.code, "InitProducerId")
        : refusal(event.code, "InitProducerId")
      const failedWith = (contested: Contested) => {
        if (!isElsewhere) return meant(state, contested)
        return contested.aborts ? undefined : contested.error
      }
      const told = contested?.tells === true ? [tell("end", failedWith(contested) ?? error)] : []
      const next: State = { ...state, contested: contested === undefined ? undefined : { ...contested, tells: false } }
      return isElsewhere
        ? [{ ...next, ...closed, phase: "over", error }, told]
        : before(told, refuse(next, "new", error))
    }
    case "InitUnanswered": {
      const { contested } = state
      if (contested === undefined) return refuse(state, "new", event.error)
      if (event.error.reason._tag === "Unsupported") {
        // Before 2.5 nobody can tell: then it is aborted as ever, and who is refused is fenced.
        return contested.aborts
          ? end({ ...state, contested: undefined }, false, "ending")
          : raised(settings, state, { _tag: "InitRefused", code: codes.PRODUCER_FENCED, isLost: false }, refusal)
      }
      if (!contested.tells) return refuse(state, "new", event.error)
      return before(
        [tell("end", meant(state, contested) ?? event.error)],
        refuse({ ...state, contested: { ...contested, tells: false } }, "new", event.error)
      )
    }
  }
}

/** The partitions that it was asked for are answered; it ends, where it was to. */
const added = ([state, commands]: Step): Step => {
  const next: State = { ...state, adding: none }
  if (!next.isEnding || next.phase !== "open") return [next, commands]
  return before(commands, close(next, next.commits && next.failure === undefined))
}

/** Adds what waits, one request at a time. */
const add = (state: State): Step => {
  if (state.waiting.size === 0 || state.adding.size > 0) return nothing(state)
  const adding = state.waiting
  return [
    { ...state, adding, waiting: none, isRegistered: true },
    [{ _tag: "AddPartitions", producer: state.producer!, partitions: adding }]
  ]
}

/** A transaction has ended, or was refused to. */
const ended = (settings: Settings, state: State, event: EndAnswered, refusal: Refusal): Step => {
  const { code, isLost, producer = state.producer } = event
  const { commits, failure } = state
  const ready = (isStale: boolean): State => ({ ...state, ...closed, phase: "ready", producer, isStale })
  if (code === codes.NONE) {
    const raised = producer !== state.producer
    return [ready(!raised && (state.isStale || isLost)), [tell("end", commits ? undefined : failure)]]
  }
  const error = refusal(code, "EndTxn")
  /** An earlier try of the same commit may have been taken, whatever this one was refused with. */
  const meant = (error: KafkaError.KafkaError) => (commits && isLost ? inDoubt(settings.transactionalId, error) : error)
  if (isFenced(code)) {
    // One that has ended may be followed by another's, under the very epoch that an abort would have raised it to.
    const mayBeRaised = !isLost && !state.isImplicit && state.added.size + state.groups.size > 0
    return init({ ...state, contested: { error: meant(error), aborts: false, tells: true, mayBeRaised } })
  }
  if (!commits) {
    // There is nothing to abort (INVALID_TXN_STATE), or the coordinator cannot be asked to: nothing is committed anyway.
    const isOver = code === codes.INVALID_TXN_STATE || isForgotten(code)
    return [
      { ...ready(true), phase: isOver ? "ready" : "doubt" },
      [tell("end", failure ?? (isOver ? undefined : error))]
    ]
  }
  if (code === codes.INVALID_TXN_STATE) return [ready(true), [tell("end", meant(abortedByCoordinator(settings)))]]
  if (isForgotten(code)) return [ready(true), [tell("end", meant(error))]]
  if (ErrorCode.asks(code, "EndTxn") === "abort")
    return end({ ...state, failure: meant(error), isStale: true }, false, "ending")
  // UNKNOWN_SERVER_ERROR: what it has done before is not known either.
  const isUnknown = code === codes.UNKNOWN_SERVER_ERROR
  return [
    { ...ready(true), phase: "doubt" },
    [tell("end", isUnknown ? inDoubt(settings.transactionalId, error) : meant(error))]
  ]
}

/** What was in doubt is so no more: it was open and is aborted, or it had ended already. */
const resolved = (state: State, { code, producer }: EndAnswered, refusal: Refusal): Step => {
  const error = refusal(code, "EndTxn")
  if (isFenced(code)) return init({ ...state, contested: { error, aborts: false, tells: false, mayBeRaised: false } })
  if (code === codes.NONE || code === codes.INVALID_TXN_STATE || isForgotten(code))
    return nothing({ ...state, ...closed, phase: "new", producer: producer ?? state.producer })
  return refuse(state, "doubt", error)
}

const misuse = (message: string): KafkaError.KafkaError => KafkaError.make({ _tag: "Misuse", message })

const abortedByCoordinator = ({ transactionTimeout, transactionalId }: Settings): KafkaError.KafkaError =>
  KafkaError.make({
    _tag: "TimedOut",
    budget: "transactionTimeout",
    millis: transactionTimeout,
    waitingFor: "the end of a transaction, which the coordinator has aborted",
    api: "EndTxn",
    transactionalId
  })

/** A commit that may have been taken. */
export const inDoubt = (transactionalId: string, { message: cause }: KafkaError.KafkaError): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "InDoubt", api: "EndTxn", transactionalId, cause })

/** Where it is closed amid a commit, that may have been taken, whatever was answered since; else the error as it is. */
export const cutOff = (
  { transactionalId }: Settings,
  { commits, contested, failure, phase }: State,
  error: KafkaError.KafkaError
): KafkaError.KafkaError => {
  if (error.reason._tag !== "Closed") return error
  if (phase === "ending" && commits) return inDoubt(transactionalId, error)
  return [contested?.error, failure].find((one) => one?.reason._tag === "InDoubt") ?? error
}

/** What a broker has answered, and no more than that, whatever else the code may mean. */
export const answered = (code: number, retriable: boolean, where: KafkaError.Where): KafkaError.KafkaError => {
  const { message, name } = ErrorCode.get(code)
  return KafkaError.make({ _tag: "Server", code, name, message, retriable, ...where })
}

const fenced = (
  transactionalId: string,
  producer: ProducerId | undefined,
  code: number,
  api: string
): KafkaError.KafkaError => {
  const { name } = ErrorCode.get(code)
  const ours = producer === undefined ? "" : ` (this one is id ${producer.id}, epoch ${producer.epoch})`
  const orElse = isFenced(code)
    ? ", without transaction version 2 (Kafka 4.0), the coordinator has aborted a transaction without an end"
    : " the coordinator has raised the epoch to the last one, and this one was not told"
  const by = `${name}: another producer of this transactional id has begun since, or${orElse}${ours}`
  return KafkaError.make({ _tag: "Fenced", what: "producer", by, api, transactionalId })
}
