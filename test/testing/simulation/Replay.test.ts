import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import { Simulation } from "samsa/testing"

/** Short ones, of which the first has faults, a leader away, members that come and go; the second topics that vanish. */
const scripts = [
  `simulation seed=5 turns=5
cluster brokers=3
topic t0 partitions=6 replicas=3
client c1 requestTimeout=1s
client c2
client c3
producer p1 client=c1 compression=gzip linger=5ms deliveryTimeout=20s
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=run sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
member m2 client=c3 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=stream sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s handles=20ms
  0.000 join member=m1
  1.000 send producer=p1 topic=t0 count=50 how=send keys=7 bytes=100 pace=100ms
  2.000 fault api=Produce action=loseResponse probability=0.5 seed=3 for=5s
  3.000 join member=m2
  4.000 down broker=2 for=8s
  5.000 link client=c3 how=slow amount=5000 for=10s
  9.000 send producer=p1 topic=t0 count=200 how=sendAll keys=0 bytes=40
 14.000 freeze client=c2 for=12s
 20.000 crash client=c3 how=power`,
  `simulation seed=6
cluster brokers=2 release=4.4
topic t0 partitions=3 replicas=1
topic t1 partitions=2 replicas=2
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0,t1] enter=subscribe from=earliest protocol=consumer way=eachPartition sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
  0.000 join member=m1
  1.000 send producer=p1 topic=t1 count=30 how=offer keys=0 bytes=12 pace=200ms
  2.000 deleteTopic topic=t1 for=3s
  3.000 send producer=p1 topic=t0 count=30 how=parallel keys=3 bytes=12
  8.000 recreateTopic topic=t1
 10.000 unclean topic=t1 partition=0 for=2s`
]

// Of a busy machine.
const timeout = 240_000

describe("a simulation", { timeout }, () => {
  it.live("runs the same way each time (I10): the same history, and the same bytes at the same time", () =>
    Effect.gen(function* () {
      for (const script of [...(yield* Effect.forEach(scripts, Simulation.parse)), Simulation.script(3)]) {
        const once = yield* Simulation.run(script)
        const again = yield* Simulation.run(script)
        assert.strictEqual(again.trace, once.trace)
        assert.deepStrictEqual(again.history, once.history)
        assert.deepStrictEqual(again.problems, once.problems)
        assert.strictEqual(again.took, once.took)
      }
    })
  )

  it.live("finds nothing wrong where nothing is", () =>
    Effect.gen(function* () {
      for (const text of scripts) {
        const { history, problems } = yield* Simulation.run(yield* Simulation.parse(text))
        assert.deepStrictEqual(problems, [])
        assert.isTrue(history.some(({ _tag }) => _tag === "Done"))
      }
    })
  )

  const ofTwoTopics = (steps: string) =>
    Effect.flatMap(
      Simulation.parse(`simulation seed=2
cluster brokers=1
topic t0 partitions=1 replicas=1
topic t1 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0,t1] enter=subscribe from=earliest protocol=classic way=run sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
 0.000 join member=m1
 1.000 send producer=p1 topic=t1 count=1 how=send keys=0 bytes=12
${steps}`),
      Simulation.run
    )

  it.live("lets a member read without a topic for a while", () =>
    Effect.gen(function* () {
      const { history, problems } = yield* ofTwoTopics(`  5.000 resubscribe member=m1 topic=t1 for=60s
 20.000 send producer=p1 topic=t1 count=1 how=send keys=0 bytes=12
 30.000 send producer=p1 topic=t0 count=1 how=send keys=0 bytes=12`)
      assert.deepStrictEqual(problems, [])
      const handled = history.flatMap((event) => (event._tag === "HandlerBegan" ? [event.topic] : []))
      assert.deepStrictEqual(handled, ["t1", "t0", "t1"])
    })
  )

  it.live("sets the wall clock of a process: a leap forwards may be a sleep, and one back is nothing", () =>
    Effect.gen(function* () {
      const isLost = (by: number) =>
        Effect.map(ofTwoTopics(`  5.000 setClock client=c2 by=${by}`), ({ history, problems }) => {
          assert.deepStrictEqual(problems, [])
          return history.some(({ _tag }) => _tag === "Lost")
        })
      assert.isTrue(yield* isLost(3_600_000))
      assert.isFalse(yield* isLost(-3_600_000))
    })
  )

  it.live("has handlers that forget to mark, beyond whose record nothing is committed, and it comes again", () =>
    Effect.gen(function* () {
      const script = yield* Simulation.parse(`simulation seed=2
cluster brokers=1
topic t0 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=stream forgets=4 sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
 0.000 join member=m1
 1.000 send producer=p1 topic=t0 count=6 how=sendAll keys=0 bytes=12
20.000 leave member=m1
40.000 join member=m1
50.000 send producer=p1 topic=t0 count=1 how=send keys=0 bytes=12`)
      const { history, problems } = yield* Simulation.run(script)
      assert.deepStrictEqual(problems, [])
      const of = (tag: "Delivered" | "Committed") =>
        history.flatMap((event) =>
          event._tag !== tag ? [] : event._tag === "Delivered" ? event.offsets : [(event as { offset: number }).offset]
        )
      assert.deepStrictEqual(of("Delivered"), [0, 1, 2, 3, 4, 5, 3, 4, 5, 6])
      assert.strictEqual(Math.max(...of("Committed")), 3)
    })
  )

  it.live("moves replicas: the leader is another one, and nobody misses anything", () =>
    Effect.gen(function* () {
      const { history, problems } = yield* Simulation.run(
        yield* Simulation.parse(`simulation seed=2
cluster brokers=3
topic t0 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=run sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
 0.000 join member=m1
 1.000 send producer=p1 topic=t0 count=40 how=send keys=0 bytes=12 pace=100ms
 2.000 reassign topic=t0 partition=0 replicas=[2]
 3.000 reassign topic=t0 partition=0 replicas=[3]
 4.000 down broker=1 for=5s`)
      )
      assert.deepStrictEqual(problems, [])
      assert.strictEqual(history.filter(({ _tag }) => _tag === "Done").length, 40)
      assert.strictEqual(history.filter(({ _tag }) => _tag === "Failed").length, 0)
    })
  )

  it.live("tells a member that fails where records are gone, and lets it go on behind them", () =>
    Effect.gen(function* () {
      const membersOf = (policy: string) =>
        Effect.gen(function* () {
          const script = yield* Simulation.parse(`simulation seed=2
cluster brokers=1
topic t0 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=run onOutOfRange=${policy} sessionTimeout=10s rebalanceTimeout=15s drainTimeout=3s
 0.000 join member=m1
 1.000 send producer=p1 topic=t0 count=3 how=sendAll keys=0 bytes=12
20.000 leave member=m1
25.000 send producer=p1 topic=t0 count=9 how=sendAll keys=0 bytes=12
30.000 retain topic=t0 keep=2 for=5s
40.000 join member=m1
60.000 send producer=p1 topic=t0 count=1 how=send keys=0 bytes=12`)
          const { history, problems } = yield* Simulation.run(script)
          assert.deepStrictEqual(problems, [])
          const done = history.flatMap((event) => (event._tag === "Done" ? [event.offset] : []))
          assert.deepStrictEqual(done, [0, 1, 2, 10, 11, 12])
          return history.filter(({ _tag }) => _tag === "Assigned").length
        })
      assert.strictEqual(yield* membersOf("nearest"), 2)
      assert.strictEqual(yield* membersOf("fail"), 3)
    })
  )

  it.live("has a member that closes as its process wakes lose what it slept through (revoked-after-sleep)", () =>
    Effect.gen(function* () {
      const script = yield* Simulation.parse(`simulation seed=80137
cluster brokers=3
topic t0 partitions=1 replicas=1
client c3
client c4
member m1 client=c3 group=g1 topics=[t0] from=earliest enter=subscribe way=run
member m2 client=c4 group=g1 topics=[t0] from=earliest enter=subscribe way=run
    16.412  join member=m2
   147.088  freeze client=c4 for=154540ms timersFirst=true
   228.910  interrupt member=m2 for=0s
   248.017  join member=m1`)
      const { history, problems } = yield* Simulation.run(script)
      assert.deepStrictEqual(problems, [])
      assert.isTrue(history.some(({ _tag }) => _tag === "Lost"))
    })
  )

  it.live("has no broker that is older than the protocol that the cluster was raised to (seed 81000205)", () =>
    Effect.gen(function* () {
      const script = yield* Simulation.parse(`simulation seed=81000205
cluster brokers=1 release=2.8
topic t0 partitions=1 replicas=1
client c1
member m1 client=c1 group=g1 topics=[t0] from=earliest enter=subscribe way=run
  0.000 down broker=1 for=1s release=3.9
  5.000 raise release=3.9
 10.000 join member=m1 protocol=consumer
 15.000 leave member=m1
 20.000 down broker=1 for=1s release=4.4
 25.000 raise release=4.4
 30.000 join member=m1 protocol=consumer
 40.000 down broker=1 for=1s release=3.9
 50.000 raise release=3.9
 60.000 leave member=m1
 65.000 join member=m1 protocol=consumer`)
      assert.deepStrictEqual((yield* Simulation.run(script)).problems, [])
    })
  )

  it.live(
    "seeks back from what is handled, not from what a run has in its hands (it was told as lost, seed 83000174)",
    () =>
      Effect.gen(function* () {
        const script = yield* Simulation.parse(`simulation seed=83000174
cluster brokers=1
topic t0 partitions=1 replicas=1
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest way=run handles=300ms
  5.000 join member=m1
 40.000 send producer=p1 topic=t0 count=100 how=sendAll keys=5 bytes=12
 55.000 seek member=m1 topic=t0 partition=0 back=8`)
        const { history, problems } = yield* Simulation.run(script)
        assert.deepStrictEqual(problems, [])
        const [sought] = history.flatMap((event) => (event._tag === "Seek" ? [event.offset] : []))
        assert.isBelow(sought!, 50)
      })
  )

  it.live("does not take the time that it is about: an hour in which little happens takes moments", () =>
    Effect.gen(function* () {
      const script = yield* Simulation.parse(`simulation seed=1
cluster brokers=3
topic t0 partitions=3 replicas=3
client c1
client c2
producer p1 client=c1
member m1 client=c2 group=g1 topics=[t0] enter=subscribe from=earliest protocol=classic way=run maxWait=10s
     0.000 join member=m1
     1.000 send producer=p1 topic=t0 count=10 how=send keys=0 bytes=12
  3600.000 send producer=p1 topic=t0 count=10 how=send keys=0 bytes=12`)
      const before = process.cpuUsage()
      const { problems, took } = yield* Simulation.run(script)
      const { system, user } = process.cpuUsage(before)
      assert.deepStrictEqual(problems, [])
      assert.isAbove(took, 3_600_000)
      // Of a processor, whoever else is at work.
      assert.isBelow((user + system) / 1e6, 6)
    })
  )
})
