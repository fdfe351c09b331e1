import { assert, describe, it } from "@effect/vitest"
import * as ErrorCode from "../../src/ErrorCode.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as TransactionMachine from "../../src/transact/TransactionMachine.ts"
import * as TransactionState from "../../src/transact/TransactionState.ts"

const { codes } = ErrorCode
const settings: TransactionState.Settings = { transactionalId: "id", transactionTimeout: 60_000 }
const unreachable = KafkaError.make({ _tag: "Unreachable", attempts: [] })

/** A machine under way: what it asks for is kept, and what it is told moves it. */
class Driven {
  state = TransactionState.initial
  asked: ReadonlyArray<TransactionState.Command> = []
  tell(event: TransactionState.Event): this {
    const [state, commands] = TransactionMachine.step(settings, this.state, event)
    this.state = state
    this.asked = commands
    return this
  }
  get tags() {
    return this.asked.map((command) => command._tag)
  }
  /** What whoever waits was told: the tag of the error, or "ok". */
  get told() {
    return this.asked.flatMap((command) =>
      command._tag === "Tell" ? [`${command.what}: ${command.error?.reason._tag ?? "ok"}`] : []
    )
  }
  initialized(isImplicit = false, epoch = 0): this {
    return this.tell({ _tag: "Initialized", producer: { id: 1, epoch }, isImplicit })
  }
  open(isImplicit = false): this {
    return this.tell({ _tag: "Begin" }).initialized(isImplicit)
  }
  added(isLost = false): this {
    return this.tell({ _tag: "Wanted", partitions: ["t-0"] }).tell({ _tag: "PartitionsAnswered", code: 0, isLost })
  }
  end(commits = true, hasGap = false): this {
    return this.tell({ _tag: "End", commits, hasGap })
  }
  answered(code: number, isLost = false, epoch?: number): this {
    const producer = epoch === undefined ? undefined : { id: 1, epoch }
    return this.tell({ _tag: "EndAnswered", code, isLost, producer })
  }
  unanswered(isLost = true): this {
    return this.tell({ _tag: "EndUnanswered", error: unreachable, isLost })
  }
}
const driven = () => new Driven()
/** In a transaction with a partition, about to be committed. */
const committing = (isImplicit = false) => driven().open(isImplicit).added().end()

describe("TransactionMachine", () => {
  it("asks for an id once, and goes on with it from one transaction to the next", () => {
    const one = driven().tell({ _tag: "Begin" })
    assert.deepStrictEqual(one.tags, ["Init"])
    assert.deepStrictEqual(one.initialized().told, ["begin: ok"])
    assert.deepStrictEqual(one.added().end().tags, ["EndTxn"])
    assert.deepStrictEqual(one.answered(codes.NONE).told, ["end: ok"])
    assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: ok"])
    assert.deepStrictEqual(one.tags, ["Tell"])
  })

  it("aborts what was to be committed where a partition that it waited for is refused", () => {
    const ending = () =>
      driven()
        .open()
        .tell({ _tag: "Wanted", partitions: ["t-0"] })
        .end()
    const refusals = [
      { _tag: "PartitionsAnswered", code: codes.TOPIC_AUTHORIZATION_FAILED, isLost: false },
      { _tag: "PartitionsUnanswered", error: unreachable, isLost: false }
    ] as const
    for (const refused of refusals) {
      const one = ending().tell(refused)
      assert.deepStrictEqual(one.tags, ["FailRecords", "EndTxn"])
      assert.isFalse(one.state.commits)
      assert.notInclude(one.answered(codes.NONE).told, "end: ok")
    }
    assert.isTrue(ending().tell({ _tag: "PartitionsAnswered", code: 0, isLost: false }).state.commits)
  })

  it("asks the coordinator nothing for a transaction in which nothing was sent", () => {
    const one = driven().open().end()
    assert.deepStrictEqual(one.told, ["end: ok"])
    assert.deepStrictEqual(one.tags, ["Tell"])
  })

  it("adds partitions one request at a time, those that come meanwhile with the next", () => {
    const one = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0", "t-1"] })
    assert.deepStrictEqual(one.tags, ["AddPartitions"])
    assert.deepStrictEqual(one.tell({ _tag: "Wanted", partitions: ["t-1", "t-2"] }).tags, [])
    assert.deepStrictEqual(one.tell({ _tag: "PartitionsAnswered", code: 0, isLost: false }).tags, [
      "Admit",
      "AddPartitions"
    ])
    assert.deepStrictEqual([...one.state.added], ["t-0", "t-1"])
    assert.deepStrictEqual([...one.state.adding], ["t-2"])
  })

  it("adds nothing by itself with transaction version 2, and goes on with the epoch that the end gave", () => {
    const one = driven()
      .open(true)
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
    assert.deepStrictEqual(one.tags, ["Admit"])
    assert.deepStrictEqual(one.tell({ _tag: "GroupWanted", group: "g" }).told, ["group: ok"])
    one.end().answered(codes.NONE, false, 1)
    assert.deepStrictEqual(one.told, ["end: ok"])
    assert.strictEqual(one.tell({ _tag: "Begin" }).state.producer?.epoch, 1)
    assert.deepStrictEqual(one.tags, ["Tell"])
  })

  it("waits with the end for partitions that are being added: they would open another transaction", () => {
    const one = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
      .end(false)
    assert.deepStrictEqual(one.tags, [])
    assert.deepStrictEqual(one.tell({ _tag: "PartitionsAnswered", code: 0, isLost: false }).tags, ["EndTxn"])
  })

  it("adds nothing that waits behind partitions that are being added, once it is to end (it was added beside the end)", () => {
    const one = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
      .tell({ _tag: "Wanted", partitions: ["t-1"] })
      .end()
    assert.deepStrictEqual(one.tell({ _tag: "PartitionsAnswered", code: 0, isLost: false }).tags, ["EndTxn"])
  })

  it("adds nothing to what is to end", () => {
    const one = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
      .end()
    assert.deepStrictEqual(one.tell({ _tag: "Wanted", partitions: ["t-1"] }).tags, [])
    assert.deepStrictEqual(one.tell({ _tag: "PartitionsAnswered", code: 0, isLost: false }).tags, ["EndTxn"])
  })

  it("aborts where a record has failed, whatever it is asked for, and says why", () => {
    const one = driven().open().added()
    assert.deepStrictEqual(one.tell({ _tag: "Failed", error: unreachable }).tags, ["FailRecords"])
    one.end(true)
    assert.deepStrictEqual(one.asked, [
      { _tag: "EndTxn", producer: { id: 1, epoch: 0 }, commits: false, isImplicit: false }
    ])
    assert.deepStrictEqual(one.answered(codes.NONE).told, ["end: Unreachable"])
  })

  describe("aborting where something may still arrive late", () => {
    const aborting = () => driven().open().added().end(false, true)
    it("is raising the epoch: leaders refuse what comes after markers of the raised one", () => {
      const one = aborting()
      assert.deepInclude(one.asked[0], { _tag: "Init", expected: { id: 1, epoch: 0 }, mayBeRaised: true })
      assert.deepStrictEqual(one.initialized(false, 2).told, ["end: ok"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: ok"])
    })

    it("does not wait for markers, but the next one does", () => {
      const one = aborting().tell({ _tag: "Aborting" })
      assert.deepStrictEqual(one.told, ["end: ok"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).asked, [])
      assert.deepStrictEqual(one.initialized(false, 2).told, ["begin: ok"])
    })

    it("says what the transaction has failed with, or by whom it is fenced", () => {
      const failed = () => driven().open().added().tell({ _tag: "Failed", error: unreachable }).end(true, true)
      assert.deepStrictEqual(failed().initialized(false, 2).told, ["end: Unreachable"])
      const one = failed().tell({ _tag: "InitRefused", code: codes.PRODUCER_FENCED, isLost: false })
      assert.deepStrictEqual(one.told, ["end: Fenced"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: Fenced"])
    })

    it("goes on later where the coordinator is away", () => {
      const one = aborting().tell({ _tag: "InitUnanswered", error: unreachable, isLost: true })
      assert.deepStrictEqual(one.told, ["end: Unreachable"])
      assert.deepInclude(one.tell({ _tag: "Begin" }).asked[0], { _tag: "Init", isContested: true, mayBeRaised: true })
      assert.deepStrictEqual(one.initialized(false, 2).told, ["begin: ok"])
    })

    it("is as ever where the epoch cannot be raised: before 2.5, of what nobody knows to be open, by version 2", () => {
      const unsupported = KafkaError.make({ _tag: "Unsupported", needed: "", ours: "", theirs: "" })
      const old = aborting().tell({ _tag: "InitUnanswered", error: unsupported, isLost: false })
      assert.deepStrictEqual(old.tags, ["EndTxn"])
      assert.deepStrictEqual(old.answered(codes.NONE).told, ["end: ok"])
      const [init] = old.tell({ _tag: "Begin" }).asked
      assert.deepInclude(init, { _tag: "Init", expected: { id: 1, epoch: 0 }, isContested: false })
      const unknown = driven()
        .open()
        .tell({ _tag: "Wanted", partitions: ["t-0"] })
      unknown.tell({ _tag: "PartitionsUnanswered", error: unreachable, isLost: true })
      assert.deepStrictEqual(unknown.end(false).tags, ["EndTxn"])
      assert.deepStrictEqual(driven().open(true).added().end(false, true).tags, ["EndTxn"])
    })
  })

  it.each(["PartitionsAnswered", "GroupAnswered", "OffsetsAnswered"] as const)(
    "raises the epoch before the next one, where a copy of a request may still arrive: %s",
    (_tag) => {
      const one = driven().open().added().tell({ _tag, group: "g", code: 0, isLost: true })
      one.end().answered(codes.NONE)
      assert.deepStrictEqual(one.told, ["end: ok"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).tags, ["Init"])
    }
  )

  it.each(["PartitionsUnanswered", "GroupUnanswered", "OffsetsUnanswered"] as const)(
    "raises the epoch to abort, where a request without an answer may still arrive: %s",
    (_tag) => {
      const one = driven().open().added().tell({ _tag, error: unreachable, isLost: true })
      assert.deepStrictEqual(one.end().tags, ["Init"])
    }
  )

  describe("a commit whose answer was lost", () => {
    it("is committed where another try says so; and its copy commits nothing of the next one", () => {
      const one = committing().answered(codes.NONE, true)
      assert.deepStrictEqual(one.told, ["end: ok"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).tags, ["Init"])
    })

    it("is in doubt where none does; what is open is aborted and the epoch raised before anything else", () => {
      const one = committing().unanswered()
      assert.deepStrictEqual(one.told, ["end: InDoubt"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).asked, [
        { _tag: "EndTxn", producer: { id: 1, epoch: 0 }, commits: false, isImplicit: false }
      ])
      // It was committed after all: there is nothing to abort.
      assert.deepStrictEqual(one.answered(codes.INVALID_TXN_STATE).tags, ["Init"])
      assert.deepStrictEqual(one.initialized(false, 1).told, ["begin: ok"])
    })

    it("is in doubt where the next try is refused as that of a producer that was fenced meanwhile", () => {
      const one = committing().answered(codes.PRODUCER_FENCED, true)
      assert.deepStrictEqual(one.tags, ["Init"])
      one.tell({ _tag: "InitRefused", code: codes.PRODUCER_FENCED, isLost: false })
      assert.deepStrictEqual(one.told, ["end: InDoubt"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: Fenced"])
    })

    it("stays in doubt while the coordinator is away", () => {
      const one = committing().unanswered().tell({ _tag: "Begin" }).unanswered()
      assert.deepStrictEqual(one.told, ["begin: Unreachable"])
      assert.deepStrictEqual(one.tell({ _tag: "Begin" }).tags, ["EndTxn"])
    })
  })

  it("is not in doubt where no commit was ever sent", () => {
    assert.deepStrictEqual(committing().unanswered(false).told, ["end: Unreachable"])
  })

  it("is over where somebody else has the id: nothing is asked any more", () => {
    const one = committing().answered(codes.INVALID_PRODUCER_EPOCH)
    assert.deepInclude(one.asked[0], { _tag: "Init", isContested: true, mayBeRaised: true })
    one.tell({ _tag: "InitRefused", code: codes.PRODUCER_FENCED, isLost: false })
    assert.deepStrictEqual(one.told, ["end: Fenced"])
    for (const event of [{ _tag: "Begin" }, { _tag: "Initialize" }] as const)
      assert.deepStrictEqual(one.tell(event).told, ["begin: Fenced"])
  })

  it("is fenced amid a transaction only where the end of it says so: a coordinator of old says it, too", () => {
    const refused = (code: number) => {
      const one = driven().open(true).tell({ _tag: "GroupWanted", group: "g" })
      one.tell({ _tag: "OffsetsAnswered", group: "g", code, isLost: false })
      assert.deepStrictEqual(one.told, ["offsets: Server"])
      assert.deepInclude(one.end().asked[0], { _tag: "EndTxn", commits: false })
      return one
    }
    const goesOn = refused(codes.INVALID_PRODUCER_EPOCH).answered(codes.NONE, false, 1)
    assert.deepStrictEqual(goesOn.told, ["end: Server"])
    assert.deepStrictEqual(goesOn.tell({ _tag: "Begin" }).told, ["begin: ok"])
    const isOver = refused(codes.PRODUCER_FENCED).answered(codes.PRODUCER_FENCED)
    isOver.tell({ _tag: "InitRefused", code: codes.PRODUCER_FENCED, isLost: false })
    assert.deepStrictEqual(isOver.told, ["end: Fenced"])
  })

  it("goes on where it was the coordinator that has aborted: the transaction was open for too long", () => {
    const one = committing().answered(codes.PRODUCER_FENCED)
    assert.deepStrictEqual(one.initialized(false, 2).told, ["end: TimedOut"])
    assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: ok"])
  })

  describe("one whose end was refused as that of an old producer", () => {
    const tooLarge = KafkaError.fromCode(codes.MESSAGE_TOO_LARGE, { api: "Produce" })
    const aborted = () =>
      driven().open(true).added().tell({ _tag: "Failed", error: tooLarge }).end().answered(codes.PRODUCER_FENCED)
    const unauthorized = codes.TRANSACTIONAL_ID_AUTHORIZATION_FAILED

    it("is not fenced where nobody says so (it was, and process ended)", () => {
      const unanswered = { _tag: "InitUnanswered", error: unreachable, isLost: true } as const
      const commit = committing(true).answered(codes.PRODUCER_FENCED).tell(unanswered)
      assert.deepStrictEqual(commit.told, ["end: Unreachable"])
      assert.deepStrictEqual(commit.tell({ _tag: "Begin" }).tags, ["Init"])
      assert.deepStrictEqual(commit.initialized(true, 2).told, ["begin: ok"])
      const refused = committing(true).answered(codes.PRODUCER_FENCED)
      refused.tell({ _tag: "InitRefused", code: unauthorized, isLost: false })
      assert.deepStrictEqual(refused.told, ["end: Unauthorized"])
    })

    it("fails with what it was aborted for (it was the coordinator that had aborted it)", () => {
      const failure = tooLarge.reason._tag
      assert.deepStrictEqual(aborted().initialized(true, 1).told, [`end: ${failure}`])
      const unanswered = aborted().tell({ _tag: "InitUnanswered", error: unreachable, isLost: true })
      assert.deepStrictEqual(unanswered.told, [`end: ${failure}`])
      const refused = aborted().tell({ _tag: "InitRefused", code: unauthorized, isLost: false })
      assert.deepStrictEqual(refused.told, [`end: ${failure}`])
    })
  })

  it("takes nobody's place by the epoch of its own abort: not where nothing was open, or a commit was lost", () => {
    const nothingAdded = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
    nothingAdded.tell({ _tag: "PartitionsAnswered", code: codes.PRODUCER_FENCED, isLost: false }).end()
    assert.deepInclude(nothingAdded.answered(codes.PRODUCER_FENCED).asked[0], { mayBeRaised: false })
    assert.deepInclude(committing().answered(codes.PRODUCER_FENCED, true).asked[0], { mayBeRaised: false })
    assert.deepInclude(committing(true).answered(codes.PRODUCER_FENCED).asked[0], { mayBeRaised: false })
  })

  it("aborts where the coordinator asks for it (TRANSACTION_ABORTABLE)", () => {
    const one = committing().answered(codes.TRANSACTION_ABORTABLE)
    assert.deepInclude(one.asked[0], { _tag: "EndTxn", commits: false })
    assert.deepStrictEqual(one.answered(codes.NONE).told, ["end: Server"])
  })

  it("has nothing to abort where the coordinator has forgotten the id, and asks for one", () => {
    const one = driven()
      .open()
      .tell({ _tag: "Wanted", partitions: ["t-0"] })
    one.tell({ _tag: "PartitionsAnswered", code: codes.INVALID_PRODUCER_ID_MAPPING, isLost: false }).end()
    assert.deepStrictEqual(one.answered(codes.INVALID_PRODUCER_ID_MAPPING).told, ["end: Server"])
    assert.deepStrictEqual(one.tell({ _tag: "Begin" }).tags, ["Init"])
  })

  it("fails with what the group's coordinator has refused, and is aborted", () => {
    const one = driven().open().added()
    one.tell({ _tag: "OffsetsAnswered", group: "g", code: codes.ILLEGAL_GENERATION, isLost: false })
    assert.deepStrictEqual(one.told, ["offsets: Server"])
    assert.deepInclude(one.end().asked[0], { _tag: "EndTxn", commits: false })
  })

  it("begins when what ends has ended, though nobody waits for that", () => {
    const one = committing().tell({ _tag: "Begin" })
    assert.deepStrictEqual(one.tags, [])
    assert.deepStrictEqual(one.answered(codes.NONE).told, ["end: ok", "begin: ok"])
  })

  it("opens nothing for somebody who is gone", () => {
    const one = driven().tell({ _tag: "Begin" }).tell({ _tag: "Cancel" }).initialized()
    assert.strictEqual(one.state.phase, "ready")
    assert.deepStrictEqual(one.told, [])
    assert.deepStrictEqual(one.tell({ _tag: "Begin" }).told, ["begin: ok"])
    assert.deepStrictEqual(one.tell({ _tag: "Cancel" }).end(false).told, ["end: ok"])
    assert.strictEqual(one.state.phase, "ready")
  })

  it("tells what InitProducerId was refused with, and tries again the next time", () => {
    const one = driven().tell({ _tag: "Initialize" })
    one.tell({ _tag: "InitRefused", code: codes.INVALID_TRANSACTION_TIMEOUT, isLost: false })
    assert.deepStrictEqual(one.told, ["begin: Server"])
    assert.deepStrictEqual(one.tell({ _tag: "Begin" }).tags, ["Init"])
    one.tell({ _tag: "InitUnanswered", error: unreachable, isLost: true })
    assert.deepStrictEqual(one.told, ["begin: Unreachable"])
  })

  // It asked for the id as at the beginning, and took it from whoever had been given that epoch.
  it("leaves the id where a coordinator does not tell whose the last epoch is", () => {
    const unknown = { _tag: "InitRefused", code: codes.UNKNOWN_SERVER_ERROR, isLost: false } as const
    const initOf = (one: Driven) => one.asked.find((command) => command._tag === "Init")
    const refused = (epoch: number) => {
      const one = driven().tell({ _tag: "Begin" }).initialized(false, epoch).added().end().unanswered()
      one.tell({ _tag: "Begin" }).answered(codes.INVALID_TXN_STATE)
      assert.deepInclude(initOf(one), { expected: { id: 1, epoch } })
      assert.deepStrictEqual(one.tell(unknown).told, [epoch < 32765 ? "begin: Server" : "begin: Fenced"])
      return one.tell({ _tag: "Begin" })
    }
    assert.deepInclude(initOf(refused(32764)), { expected: { id: 1, epoch: 32764 } })
    assert.deepStrictEqual(refused(32765).told, ["begin: Fenced"])
    // The coordinator has raised it, and whoever asked for one more had no answer: each transaction failed with that.
    const raised = (epoch: number) =>
      driven().tell({ _tag: "Begin" }).initialized(false, epoch).added().end().answered(codes.PRODUCER_FENCED)
    assert.deepInclude(initOf(raised(32764)), { mayBeRaised: true })
    assert.deepStrictEqual(raised(32764).tell(unknown).tell({ _tag: "Begin" }).told, ["begin: Fenced"])
    assert.deepInclude(initOf(raised(32763).tell(unknown).tell({ _tag: "Begin" })), {
      expected: { id: 1, epoch: 32763 }
    })
  })
})
