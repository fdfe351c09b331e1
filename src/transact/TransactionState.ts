/**
 * Pure. The life of a transactional id as data: how it stands, what can happen to it, and what it asks for. Its steps are
 * in `TransactionMachine`.
 */
import type { ProducerId } from "../engine/TransactionGate.ts"
import type * as KafkaError from "../KafkaError.ts"

/** What the machine must know of its settings. */
export interface Settings {
  readonly transactionalId: string
  /** In milliseconds, for the error. */
  readonly transactionTimeout: number
}

/**
 * - `new`: there is no producer id yet, or its epoch has to be raised
 * - `initializing`: InitProducerId is under way
 * - `ready`: between two transactions
 * - `open`: in a transaction
 * - `ending`: EndTxn is under way
 * - `doubt`: an EndTxn has no answer: whether it was open still is asked first
 * - `resolving`: that is under way
 * - `over`: fenced
 */
export type Phase = "new" | "initializing" | "ready" | "open" | "ending" | "doubt" | "resolving" | "over"

export interface State {
  readonly phase: Phase
  readonly producer: ProducerId | undefined
  /** Produce and TxnOffsetCommit add to the transaction by themselves (transaction version 2). */
  readonly isImplicit: boolean
  /** What somebody waits for: a transaction to be opened, or an id alone. */
  readonly asks: "begin" | "initialize" | undefined
  /** The epoch has to be raised before the next transaction. */
  readonly isStale: boolean
  /** Partitions by key: those that the coordinator has, those it is asked for now, and those that wait for that. */
  readonly added: ReadonlySet<string>
  readonly adding: ReadonlySet<string>
  readonly waiting: ReadonlySet<string>
  /** Groups whose offsets the transaction takes. */
  readonly groups: ReadonlySet<string>
  /** The coordinator may know of the open transaction. */
  readonly isRegistered: boolean
  /** Why the open transaction can only be aborted. */
  readonly failure: KafkaError.KafkaError | undefined
  /** How the ending one is to end. */
  readonly commits: boolean
  /** It is to end when the partitions that it is asked for now are answered: what is added later would open another. */
  readonly isEnding: boolean
  /** The id was refused as that of an old producer, or is raised to abort: what the answer means for the transaction. */
  readonly contested: Contested | undefined
  /** Why nothing is possible any more. */
  readonly error: KafkaError.KafkaError | undefined
}

export interface Contested {
  /** What the transaction fails with, where somebody else has the id; and why it is aborted, if for anything. */
  readonly error: KafkaError.KafkaError | undefined
  /** Nothing was refused: it is asked for so that what is open is aborted. */
  readonly aborts: boolean
  /** Somebody waits for the end of the transaction. */
  readonly tells: boolean
  /**
   * The coordinator had the transaction open, for sure: by aborting it, it may have raised the epoch by one. Whoever had
   * begun meanwhile would have raised it by two, once to abort it and once for itself.
   */
  readonly mayBeRaised: boolean
}

export const initial: State = {
  phase: "new",
  producer: undefined,
  isImplicit: false,
  asks: undefined,
  isStale: false,
  added: new Set(),
  adding: new Set(),
  waiting: new Set(),
  groups: new Set(),
  isRegistered: false,
  failure: undefined,
  commits: false,
  isEnding: false,
  contested: undefined,
  error: undefined
}

/** An answer: `code` is Kafka's. `isLost`: an earlier try got none, and may still arrive. */
interface Answer {
  readonly code: number
  readonly isLost: boolean
}

/** There was no answer, within the time for it. `isLost`: something was sent, and may arrive. */
interface NoAnswer {
  readonly error: KafkaError.KafkaError
  readonly isLost: boolean
}

export type Event =
  /** Asks for an id, which fences whoever had it before. */
  | { readonly _tag: "Initialize" }
  | { readonly _tag: "Begin" }
  /** Whoever has asked for something is gone; what was opened for him is aborted by himself. */
  | { readonly _tag: "Cancel" }
  | { readonly _tag: "Initialized"; readonly producer: ProducerId; readonly isImplicit: boolean }
  /** The coordinator aborts what is open, before it answers. */
  | { readonly _tag: "Aborting" }
  | ({ readonly _tag: "InitRefused" } & Answer)
  | ({ readonly _tag: "InitUnanswered" } & NoAnswer)
  /** Records wait for these partitions. */
  | { readonly _tag: "Wanted"; readonly partitions: ReadonlyArray<string> }
  | ({ readonly _tag: "PartitionsAnswered" } & Answer)
  | ({ readonly _tag: "PartitionsUnanswered" } & NoAnswer)
  /** Offsets of a group are to be part of it. */
  | { readonly _tag: "GroupWanted"; readonly group: string }
  | ({ readonly _tag: "GroupAnswered"; readonly group: string } & Answer)
  | ({ readonly _tag: "GroupUnanswered" } & NoAnswer)
  /** The answer to offsets that were committed within it. */
  | ({ readonly _tag: "OffsetsAnswered"; readonly group: string } & Answer)
  | ({ readonly _tag: "OffsetsUnanswered" } & NoAnswer)
  /** Something of it has failed otherwise: a record. */
  | { readonly _tag: "Failed"; readonly error: KafkaError.KafkaError }
  /** `hasGap`: sequences were given up. */
  | { readonly _tag: "End"; readonly commits: boolean; readonly hasGap: boolean }
  /** `producer`: whom the next transaction is of, where the answer says so. */
  | ({ readonly _tag: "EndAnswered"; readonly producer?: ProducerId | undefined } & Answer)
  | ({ readonly _tag: "EndUnanswered" } & NoAnswer)

export type Command =
  /**
   * `expected`: whose epoch is to be raised, so that nobody's place is taken who came later (KIP-360). `isContested`: only
   * if that can be told. `mayBeRaised`: the coordinator may have raised it by one, of a transaction that it has aborted.
   */
  | {
      readonly _tag: "Init"
      readonly expected: ProducerId | undefined
      readonly isContested: boolean
      readonly mayBeRaised: boolean
    }
  | { readonly _tag: "AddPartitions"; readonly producer: ProducerId; readonly partitions: ReadonlySet<string> }
  | { readonly _tag: "AddGroup"; readonly producer: ProducerId; readonly group: string }
  | { readonly _tag: "EndTxn"; readonly producer: ProducerId; readonly commits: boolean; readonly isImplicit: boolean }
  /** The engine may look again: more is admitted. */
  | { readonly _tag: "Admit" }
  /** Whatever has no outcome yet fails. */
  | { readonly _tag: "FailRecords"; readonly error: KafkaError.KafkaError }
  /** Whoever waits for `what` goes on, or hears why not. */
  | {
      readonly _tag: "Tell"
      readonly what: "begin" | "group" | "offsets" | "end"
      readonly error: KafkaError.KafkaError | undefined
    }
