/** Transactions in simulations: what scripts make of them, and that what breaks them is found. */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { type Oracle, Simulation } from "samsa/testing"

const head = `simulation seed=2
cluster brokers=3
topic t0 partitions=2 replicas=3
topic o1 partitions=1 replicas=3
client c1
client c2
client c3
client c4`

const run = (lines: string) => Effect.flatMap(Simulation.parse(`${head}\n${lines}`), Simulation.run)

const outcomes = (history: ReadonlyArray<Oracle.Event>) =>
  history.flatMap((event) => (event._tag === "TransactionEnded" ? [event.outcome] : []))

/** A chain, beside it somebody who reads what it copies, and a reader of what is not committed. */
const chain = `producer p1 client=c1
transactor w1 client=c1 transactionalId=x1 transactionTimeout=5s apiTimeout=2s
member k1 client=c2 group=chain topics=[t0] enter=subscribe from=earliest protocol=classic way=process to=o1 batch=5 sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s failsEvery=7 failsTimes=1
member k2 client=c3 group=chain topics=[t0] enter=subscribe from=earliest protocol=classic way=process to=o1 batch=5 sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
member m1 client=c4 group=g1 topics=[o1] enter=subscribe from=earliest protocol=classic way=run sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
member a1 client=c4 topics=[t0,o1] enter=assign from=earliest way=run isolation=uncommitted drainTimeout=3s
  0.000 join member=k1
  0.000 join member=m1
  0.000 join member=a1
  1.000 send producer=p1 topic=t0 count=60 how=send keys=0 bytes=12 pace=100ms
  1.500 transact transactor=w1 topics=[t0] times=6 count=3 how=sendAll keys=0 bytes=12 end=fail open=300ms
  2.000 transact transactor=w1 topics=[t0] times=3 count=3 how=sendAll keys=0 bytes=12 end=commit offsets=true
  3.000 join member=k2
  4.000 fault api=EndTxn action=loseResponse probability=0.5 seed=3 for=5s
  6.000 crash client=c2 how=power
  8.000 moveTransactions transactionalId=k2`

describe("transactions in a simulation", { timeout: 120_000 }, () => {
  it.live("run the same way each time, and nothing is wrong with them", () =>
    Effect.gen(function* () {
      const once = yield* run(chain)
      const again = yield* run(chain)
      assert.deepStrictEqual(once.problems, [])
      assert.strictEqual(again.trace, once.trace)
      assert.deepStrictEqual(again.history, once.history)
      const processed = once.history.flatMap((event) => (event._tag === "Processed" ? event.offsets : []))
      assert.isAbove(processed.length, 69)
      assert.include(outcomes(once.history), "aborted")
      assert.include(outcomes(once.history), "committed")
    })
  )

  it.live("end as they are told: some fail, are interrupted, or are too late", () =>
    Effect.gen(function* () {
      const { history, problems } = yield* run(`transactor w1 client=c1 transactionalId=x1 transactionTimeout=5s
  0.000 transact transactor=w1 topics=[t0,o1] times=2 count=4 how=parallel keys=0 bytes=12 end=commit
  5.000 transact transactor=w1 topics=[t0] times=2 count=1 how=offer keys=0 bytes=12 end=fail
 10.000 transact transactor=w1 topics=[t0] times=1 count=1 how=send keys=0 bytes=12 end=interrupt open=1s
 15.000 transact transactor=w1 topics=[t0] times=1 count=1 how=send keys=0 bytes=12 end=late`)
      assert.deepStrictEqual(problems, [])
      const [a, b, c, d, interrupted, late] = outcomes(history)
      assert.deepStrictEqual([a, b, c, d, late], ["committed", "committed", "aborted", "aborted", "aborted"])
      assert.strictEqual(interrupted, "unknown")
    })
  )

  it.live("copy a record twice that is there twice (a chain was blamed for what its input holds)", () =>
    Effect.gen(function* () {
      const { problems } = yield* run(`producer p1 client=c1 idempotent=false
member k1 client=c2 group=chain topics=[t0] enter=subscribe from=earliest way=process to=o1
  0.000 join member=k1
  0.000 fault api=Produce action=errorAfter code=20 times=1 for=5s
  1.000 send producer=p1 topic=t0 count=1 how=sendAll keys=0 bytes=12`)
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("of three that begin at once leave nothing (the second was closed by nobody, seed 81000147)", () =>
    Effect.gen(function* () {
      const transact = "transact transactor=w1 topics=[t0] times=1 count=1 how=sendAll keys=0 bytes=12"
      const { problems } = yield* run(`transactor w1 client=c1 transactionalId=x1
member m1 client=c1 group=g1 topics=[t0] enter=subscribe from=earliest way=run
  0.000 join member=m1
 60.000 freeze client=c1 for=10s timersFirst=true
 61.000 ${transact} end=commit
 62.000 ${transact} end=commit
 63.000 ${transact} end=commit`)
      assert.deepStrictEqual(problems, [])
    })
  )

  it.live("are ended by whoever begins under the same id", () =>
    Effect.gen(function* () {
      const { history, problems } = yield* run(`transactor w1 client=c1 transactionalId=x1
transactor w2 client=c2 transactionalId=x1
  0.000 transact transactor=w1 topics=[t0] times=1 count=1 how=send keys=0 bytes=12 end=commit open=20s
  5.000 transact transactor=w2 topics=[t0] times=1 count=1 how=send keys=0 bytes=12 end=commit
 40.000 transact transactor=w1 topics=[t0] times=1 count=1 how=send keys=0 bytes=12 end=commit`)
      assert.deepStrictEqual(problems, [])
      assert.deepStrictEqual(outcomes(history), ["committed", "aborted", "committed"])
    })
  )

  it.live("have handlers that fail, whose records come again (no handler of any script failed)", () =>
    Effect.gen(function* () {
      const { history, problems } = yield* run(`producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=run failsEvery=3 failsTimes=2 sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
  0.000 join member=m1
  1.000 send producer=p1 topic=t0 count=6 how=send keys=0 bytes=12
 20.000 flush producer=p1`)
      assert.deepStrictEqual(problems, [])
      // Two of the six, twice each.
      assert.lengthOf(
        history.filter(({ _tag }) => _tag === "HandlerBegan"),
        10
      )
    })
  )
})
