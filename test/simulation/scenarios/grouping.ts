/** Scenarios 28 to 42: what groups and their handlers meet. */
import { each, has, hasNo, join, member, producer, type Scenario, script, send, three, upTo } from "./Scenario.ts"

/** Members of three groups, one for each way in which partitions are handed over. */
const ways = ["protocol=classic assignor=range", "protocol=classic assignor=cooperativeSticky", "protocol=consumer"]

/** Times at which members of a pool come and go. */
const storm = (members: number, count: number): ReadonlyArray<string> =>
  each(upTo(count), (i) => `${2 + i * 0.4} ${(i * 7) % 3 === 0 ? "leave" : "join"} member=m${1 + ((i * 5) % members)}`)

/** What says that a member is none, or not as it was: by API, in the classic protocol. */
const refusals = ["Heartbeat", "OffsetCommit", "JoinGroup", "SyncGroup", "LeaveGroup"].flatMap((api) =>
  [22, 25].map((code) => ({ api, code }))
)

/** Members m1 and m2 make room for m3 and m4, one by one, and m3 for another. */
const inTurn = (last: string): ReadonlyArray<string> => [
  "5 leave member=m1",
  "5 join member=m3",
  "10 leave member=m2",
  "10 join member=m4",
  "18 leave member=m3",
  `18 join member=${last}`
]

export const grouping: ReadonlyArray<Scenario> = [
  {
    number: 28,
    words: "a rebalance with work in flight, in each way to hand over: no gap and nothing twice",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} handles=20ms`),
        member("m2", "c3", `${way} handles=20ms`),
        member("m3", "c4", `${way} handles=20ms`),
        join("m1"),
        send(1, 300, "pace=40ms"),
        "3 join member=m2",
        "5 join member=m3",
        "8 leave member=m1",
        "10 leave member=m3"
      )
    ),
    shows: hasNo("RevokeTimedOut")
  },
  {
    number: 29,
    words: "a drain takes longer than its time: handlers are interrupted, their ends are through, and it is told",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} handles=8s drainTimeout=1s`),
        member("m2", "c3", `${way}`),
        join("m1"),
        send(1, 30, "pace=40ms"),
        "4 join member=m2"
      )
    ),
    shows: has("RevokeTimedOut")
  },
  {
    number: 30,
    words: "assigned and revoked at once, before anything was delivered: given back without a wait",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", way),
        member("m2", "c3", way),
        join("m1", "m2"),
        "0 leave member=m1",
        "1 join member=m1",
        "1.001 leave member=m2",
        "1.002 join member=m2",
        send(3, 20)
      )
    )
  },
  {
    number: 31,
    words:
      "a partition is taken and given back to the same member: its old stream ends, the new one goes on from the commit",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} way=eachPartition`),
        member("m2", "c3", `${way} way=partitions`),
        join("m1"),
        send(1, 300, "pace=20ms"),
        each(upTo(6), (i) => `${2 + i * 0.5} ${i % 2 === 0 ? "join" : "leave"} member=m2`),
        "4 resubscribe member=m1 topic=t0 for=10ms"
      )
    )
  },
  {
    number: 32,
    words: "fifty joins and leaves: the group comes to rest, its stops are bounded, and commits are not starved",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        each(upTo(5), (i) => member(`m${i + 1}`, `c${2 + (i % 3)}`, `${way} handles=5ms commitInterval=1s`)),
        join("m1"),
        send(1, 300, "pace=70ms"),
        storm(5, 50)
      )
    ),
    shows: has("Committed")
  },
  {
    number: 33,
    words:
      "the session ends while records are handled: the partition is lost, nothing of it is committed, it joins again",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} handles=4s`),
        member("m2", "c3", way),
        join("m1", "m2"),
        send(1, 60, "pace=200ms"),
        "5 link client=c2 how=cut for=25s"
      )
    ),
    shows: has("Lost")
  },
  {
    number: 34,
    words: "a member that is none, of another generation or fenced, at every request: each time the right next step",
    scripts: [
      script(
        three(),
        producer(),
        member("m1", "c2", "protocol=classic commitInterval=200ms"),
        member("m2", "c3", "protocol=classic commitInterval=200ms"),
        join("m1"),
        send(1, 400, "pace=200ms"),
        each(refusals, ({ api, code }, i) => `${3 + i * 6} fault api=${api} action=error code=${code} times=1 for=5s`),
        // So that each of them is asked.
        each(refusals, (_, i) => `${3.1 + i * 6} join member=m2`),
        each(refusals, (_, i) => `${6 + i * 6} leave member=m2`)
      ),
      script(
        three(),
        producer(),
        member("m1", "c2", "protocol=consumer commitInterval=200ms"),
        member("m2", "c3", "protocol=consumer"),
        join("m1", "m2"),
        send(1, 200, "pace=200ms"),
        each(
          [
            ["ConsumerGroupHeartbeat", 25],
            ["ConsumerGroupHeartbeat", 110],
            ["OffsetCommit", 113],
            ["OffsetCommit", 25]
          ] as const,
          ([api, code], i) => `${3 + i * 8} fault api=${api} action=error code=${code} times=1 for=7s`
        ),
        "34 fault api=OffsetFetch action=error code=113 times=2 for=9s",
        "35 leave member=m1",
        "36 join member=m1"
      )
    ],
    elsewhere: [{ file: "test/consume/revocation.test.ts", title: "is told where stopWhen reaches none" }]
  },
  {
    number: 35,
    words: "the coordinator moves at every step, loads, or is none: it goes on, without a ghost in the group",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        "transactor w1 client=c4 transactionalId=x1",
        member("m1", "c2", `${way} commitInterval=100ms`),
        member("m2", "c3", `${way} commitInterval=100ms`),
        join("m1"),
        send(1, 200, "pace=50ms"),
        "1 transact transactor=w1 topics=[t0] times=30 count=3 how=sendAll keys=0 bytes=12 end=commit offsets=true pace=200ms",
        each(upTo(12), (i) => `${1 + i * 0.7} moveCoordinator group=g1`),
        each(upTo(6), (i) => `${1 + i * 1.1} moveTransactions transactionalId=x1`),
        "3 join member=m2",
        "3 fault api=OffsetCommit action=error code=14 times=3 for=5s",
        "4 fault api=FindCoordinator action=error code=15 times=3 for=9s",
        "7 leave member=m2"
      )
    )
  },
  {
    number: 36,
    words: "the answer to a commit is lost, one comes after its partition was revoked, several overlap: none goes back",
    scripts: each(ways, (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} commitEvery=1`),
        member("m2", "c3", `${way} commitEvery=1`),
        join("m1"),
        send(1, 200, "pace=40ms"),
        "2 fault api=OffsetCommit action=loseResponse times=3 for=2s",
        "4 fault api=OffsetCommit action=delay millis=2500ms times=2 for=3s",
        "4.1 join member=m2",
        "8 fault api=OffsetCommit action=loseRequest times=2 for=2s",
        "8.5 leave member=m2"
      )
    )
  },
  {
    number: 37,
    words:
      "a static member starts again within its session: nobody else loses anything; a second one of its name is fenced",
    scripts: each(["protocol=classic", "protocol=consumer"], (way) =>
      script(
        three(),
        producer(),
        member("m1", "c2", `${way} instanceId=i1`),
        member("m2", "c3", `${way} instanceId=i2`),
        join("m1", "m2"),
        send(1, 200, "pace=100ms"),
        "8 crash client=c2 how=kill",
        "10 join member=m1",
        "14 leave member=m2",
        "15 join member=m2"
      )
    ),
    elsewhere: [{ file: "test/group/ClassicDriver.test.ts", title: "instance" }]
  },
  {
    number: 38,
    words: "eager to cooperative, classic to consumer and back, member by member: never two owners",
    scripts: [
      script(
        three(),
        producer(),
        member("m1", "c2", "protocol=classic assignors=[range]"),
        member("m2", "c3", "protocol=classic assignors=[range]"),
        member("m3", "c2", "protocol=classic assignors=[cooperativeSticky,range]"),
        member("m4", "c3", "protocol=classic assignors=[cooperativeSticky,range]"),
        member("m5", "c2", "protocol=classic assignors=[cooperativeSticky]"),
        join("m1", "m2"),
        send(1, 300, "pace=100ms"),
        inTurn("m5")
      ),
      script(
        three("release=4.4"),
        producer(),
        member("m1", "c2", "protocol=classic"),
        member("m2", "c3", "protocol=classic"),
        member("m3", "c2", "protocol=consumer"),
        member("m4", "c3", "protocol=consumer"),
        join("m1", "m2"),
        send(1, 300, "pace=100ms"),
        inTurn("m1")
      ),
      // as brokers go from 2.8 to 4.4, and then the protocol
      script(
        three("release=2.8"),
        producer(),
        member("m1", "c2", "protocol=classic"),
        member("m2", "c3", "protocol=classic"),
        join("m1", "m2"),
        send(1, 400, "pace=100ms"),
        each([1, 2, 3], (broker, i) => `${3 + i * 6} down broker=${broker} for=3s release=4.4`),
        "22 raise release=4.4",
        "24 leave member=m1",
        "25 join member=m1 protocol=consumer",
        "26 fault api=ConsumerGroupHeartbeat action=delay millis=1ms times=1 for=5s",
        "30 leave member=m2",
        "31 join member=m2 protocol=consumer"
      )
    ]
  },
  {
    number: 39,
    words: "consumer protocol: a heartbeat's answer is lost, one comes late, a topic of the pattern is made later",
    scripts: [
      script(
        three(),
        "topic t1 partitions=2 replicas=3",
        producer(),
        member("m1", "c2", "protocol=consumer enter=pattern topics=[t0,t1]"),
        member("m2", "c3", "protocol=consumer enter=pattern topics=[t0,t1]"),
        "0 deleteTopic topic=t1 for=12s",
        "1 join member=m1",
        send(1, 100, "pace=200ms"),
        "2 fault api=ConsumerGroupHeartbeat action=loseResponse times=2 for=5s",
        "3 join member=m2",
        "7 fault api=ConsumerGroupHeartbeat action=delay millis=4s times=2 for=5s",
        "15 send producer=p1 topic=t1 count=20 how=send keys=0 bytes=12"
      )
    ]
  },
  {
    number: 40,
    words: "a poisonous record in each policy; a dead letter that cannot be sent holds the commit",
    scripts: [
      script(
        three(),
        "topic d1 partitions=1 replicas=3",
        producer(),
        member("m1", "c2", "failsEvery=7 failsTimes=9 retries=1 deadLetter=d1"),
        member("m2", "c3", "group=g2 way=keys failsEvery=5 failsTimes=3 retries=0 deadLetter=d1"),
        member("m3", "c4", "group=g3 failsEvery=9 failsTimes=2"),
        join("m1", "m2", "m3"),
        send(1, 80, "pace=50ms"),
        "2 fault api=Produce action=error code=19 topic=d1 for=6s",
        "10 fault api=Produce action=loseResponse topic=d1 times=2 for=20s",
        send(11, 40, "pace=50ms")
      )
    ],
    elsewhere: [
      { file: "test/Consumer.run.test.ts", title: "does not mark a record whose dead letter was not acknowledged" },
      { file: "test/Consumer.partitions.test.ts", title: "fails the stream of the partition that is broken" }
    ]
  },
  {
    number: 41,
    words: "records end out of order behind one that is stuck: the commit waits, memory is bounded, the others flow",
    scripts: [
      script(
        three(),
        producer(),
        member("m1", "c2", "way=none concurrency=4 bufferBytes=5000 maxRecords=20"),
        join("m1"),
        send(1, 1, "partitions=[0]"),
        "0.5 slow topic=t0 partition=0 takes=20s for=2s",
        send(3, 600, "how=sendAll bytes=300"),
        send(6, 60, "pace=100ms partitions=[1,2]")
      )
    ]
  },
  {
    number: 42,
    words: "wall clocks are set by an hour, forwards and back: time-outs do not follow them",
    scripts: [
      script(
        three(),
        producer("linger=50ms"),
        member("m1", "c2", "handles=10ms"),
        join("m1"),
        send(1, 300, "pace=50ms"),
        each([3_600_000, -3_600_000, -7_200_000, 7_200_000], (by, i) => `${2 + i * 3} setClock client=c1 by=${by}`),
        each([-3_600_000, 3_600_000], (by, i) => `${3 + i * 5} setClock client=c2 by=${by}`)
      )
    ],
    shows: hasNo("Failed")
  }
]
