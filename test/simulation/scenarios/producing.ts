/** Scenarios 1 to 16: what producers meet. */
import { each, has, hasNo, join, member, producer, type Scenario, script, send, three, upTo } from "./Scenario.ts"

const reader = [member("m1", "c2"), ...join("m1")]

export const producing: ReadonlyArray<Scenario> = [
  {
    number: 1,
    words: "a produce response is lost after the append: it is sent again, and is there once",
    scripts: [
      script(
        three(),
        producer(),
        reader,
        send(1, 60, "how=offer pace=20ms"),
        "1.1 fault api=Produce action=loseResponse times=3 for=5s"
      )
    ],
    shows: hasNo("Failed")
  },
  {
    number: 2,
    words: "a produce request is lost before the append: it is sent again, without a gap",
    scripts: [
      script(
        three(),
        producer(),
        reader,
        send(1, 60, "how=offer pace=20ms"),
        "1.1 fault api=Produce action=loseRequest times=3 for=5s"
      )
    ],
    shows: hasNo("Failed")
  },
  {
    number: 3,
    words: "a response comes after the request's time-out: nobody waits for it any more",
    scripts: [
      script(
        three(),
        producer("requestTimeout=1s"),
        reader,
        send(1, 40, "how=parallel"),
        "1 fault api=Produce action=delay millis=1500ms times=2 for=5s",
        "1 fault api=Fetch action=delay millis=9s times=1 for=5s"
      )
    ],
    shows: hasNo("Failed")
  },
  {
    number: 4,
    words: "a leader that has moved, told with the new one (KIP-951) or without, one to five batches in flight",
    scripts: each(["4.4", "2.8"], (release) =>
      script(
        three(`release=${release}`),
        producer("linger=0ms batchBytes=200 maxInFlight=5"),
        reader,
        "1 link client=c1 how=delay amount=30 for=5s",
        send(1, 150, "how=offer pace=10ms"),
        each(upTo(8), (i) => `${1.2 + i * 0.2} moveLeader topic=t0 partition=${i % 3}`)
      )
    ),
    elsewhere: [
      { file: "test/Producer.faults.test.ts", title: "a refusal that names the new leader costs no round for metadata" }
    ],
    shows: hasNo("Failed")
  },
  {
    number: 5,
    words: "the leader moves while five batches are in flight, of which the second fails: order and sequences are kept",
    scripts: [
      script(
        three(),
        producer("linger=0ms batchBytes=200 maxInFlight=5"),
        reader,
        "1 link client=c1 how=delay amount=50 for=5s",
        send(1, 80, "how=offer partitions=[0]"),
        "1 fault api=Produce action=error code=7 nth=2 for=5s",
        "1.1 moveLeader topic=t0 partition=0",
        send(2, 80, "how=offer partitions=[0]"),
        "2 fault api=Produce action=error code=6 nth=2 for=5s"
      )
    ],
    shows: hasNo("Failed")
  },
  {
    number: 6,
    words:
      "sequences out of order at the head and behind it, an unknown producer, a refused epoch: never a silent loss",
    scripts: each([45, 59, 47], (code) =>
      script(
        three(),
        producer("linger=0ms batchBytes=200 maxInFlight=5"),
        reader,
        "1 link client=c1 how=delay amount=30 for=9s",
        each([1, 3, 5], (nth, i) => `${1 + i * 2} fault api=Produce action=error code=${code} nth=${nth} for=2s`),
        each([1, 3, 5], (_, i) => send(1 + i * 2, 60, "how=offer partitions=[0,1]"))
      )
    ),
    elsewhere: [
      {
        file: "test/produce/Accumulator.test.ts",
        title: "takes the first out of order for a gap, not the last, which was only too early"
      }
    ]
  },
  {
    number: 7,
    words: "sequences wrap at 2^31 - 1, and epochs are used up: another producer id",
    scripts: [],
    elsewhere: [
      { file: "test/produce/Accumulator.test.ts", title: "wraps sequences after 2147483647" },
      {
        file: "test/produce/Accumulator.test.ts",
        title: "asks for another producer id when a partition has used up its epochs"
      }
    ]
  },
  {
    number: 8,
    words: "deliveryTimeout is spent in flight: possibly persisted, and the bytes of the next batch are its own",
    scripts: [
      script(
        three(),
        producer("requestTimeout=1s deliveryTimeout=3s linger=0ms compression=lz4"),
        reader,
        send(1, 40, "how=parallel bytes=300"),
        "1 fault api=Produce action=withhold for=4s",
        send(3, 40, "how=parallel bytes=300"),
        send(6, 40, "how=parallel bytes=300")
      )
    ],
    shows: (history) => history.some((event) => event._tag === "Failed" && event.persistence === "possibly")
  },
  {
    number: 9,
    words: "a batch is too large for the broker: it is split, only the record that is itself too large fails",
    scripts: [
      script(
        "cluster brokers=3",
        "topic t0 partitions=2 replicas=3 maxMessageBytes=900",
        three().slice(2),
        producer("linger=50ms"),
        reader,
        send(1, 100, "how=sendAll bytes=100"),
        send(1, 1, "bytes=3000"),
        send(1, 100, "how=sendAll bytes=100")
      )
    ],
    shows: (history) =>
      history.filter(({ _tag }) => _tag === "Failed").length === 1 &&
      history.some((event) => event._tag === "Failed" && event.persistence === "not")
  },
  {
    number: 10,
    words: "too few replicas, before the append and after it: tried until the budget is spent",
    scripts: [
      script(
        "cluster brokers=3",
        "topic t0 partitions=2 replicas=3 minInSync=3",
        three().slice(2),
        producer("deliveryTimeout=5s"),
        reader,
        "1 lag topic=t0 partition=0 shrink=true for=9s",
        send(2, 40, "how=offer pace=50ms partitions=[0,1]"),
        "12 fault api=Produce action=errorAfter code=20 times=4 for=5s",
        send(12, 40, "how=offer pace=50ms partitions=[0,1]")
      )
    ],
    shows: has("Failed")
  },
  {
    number: 11,
    words: "a topic is not there for a while, comes, goes and comes again: nothing is lost within the budget",
    scripts: [
      script(
        three(),
        "topic t1 partitions=1 replicas=3",
        producer("deliveryTimeout=60s"),
        member("m1", "c2", "topics=[t0,t1]"),
        join("m1"),
        send(1, 20, "pace=100ms"),
        "1 send producer=p1 topic=t1 count=60 how=send keys=0 bytes=12 pace=500ms",
        "2 deleteTopic topic=t1 for=4s",
        "9 deleteTopic topic=t1 for=5s"
      )
    ]
  },
  {
    number: 12,
    words: "a topic is deleted and made again while it is produced to and consumed: nothing crosses over",
    scripts: [
      script(
        three("release=4.4"),
        "topic t1 partitions=3 replicas=3",
        producer(),
        member("m1", "c2", "topics=[t0,t1]"),
        join("m1"),
        send(1, 100, "pace=50ms"),
        "1 send producer=p1 topic=t1 count=200 how=offer keys=7 bytes=40 pace=20ms",
        "2 recreateTopic topic=t1",
        "3.5 recreateTopic topic=t1"
      ),
      script(
        three("release=1.1"),
        "topic t1 partitions=3 replicas=3",
        producer(),
        member("m1", "c2", "topics=[t0,t1]"),
        join("m1"),
        "1 send producer=p1 topic=t1 count=200 how=offer keys=7 bytes=40 pace=20ms",
        "2 deleteTopic topic=t1 for=500ms"
      )
    ]
  },
  {
    number: 13,
    words: "partitions are added while some brokers do not know of them: no record fails, and none is missed",
    scripts: [
      script(
        three(),
        producer(),
        reader,
        "0.9 fault api=Metadata action=staleMetadata broker=2 for=40s",
        "1 addPartitions topic=t0 total=5",
        send(1, 300, "how=offer pace=100ms"),
        "10 addPartitions topic=t0 total=8"
      )
    ],
    shows: hasNo("Failed")
  },
  {
    number: 14,
    words: "acks 0, and the broker closes at an error: the client connects again, and nothing hangs",
    scripts: [
      script(
        three(),
        producer("acks=0 idempotent=false maxInFlight=1"),
        reader,
        send(1, 100, "pace=20ms"),
        each(upTo(5), (i) => `${1.2 + i * 0.3} moveLeader topic=t0 partition=${i % 3}`),
        "2 fault api=Produce action=close times=2 for=2s"
      )
    ]
  },
  {
    number: 15,
    words: "the buffer is full: who waits, is refused or is interrupted leaves room, and no fiber stays",
    scripts: each(["block", "fail"], (whenFull) =>
      script(
        three(),
        producer(`bufferRecords=4 whenFull=${whenFull} deliveryTimeout=8s`),
        reader,
        "1 stand broker=1 for=6s",
        "1 stand broker=2 for=6s",
        "1 stand broker=3 for=6s",
        send(1, 60, "how=parallel"),
        send(1, 60, "how=parallel interrupt=500ms"),
        send(1, 60, "how=offer interrupt=2s"),
        send(9, 60, "how=parallel")
      )
    )
  },
  {
    number: 16,
    words: "a send is interrupted, at any moment: it was not sent, or it is there once",
    scripts: [
      script(
        "cluster brokers=3",
        "topic t0 partitions=3 replicas=3",
        three().slice(2),
        producer("linger=5ms"),
        reader,
        "1 link client=c1 how=delay amount=3 for=20s",
        each(upTo(24), (i) => send(1 + i * 0.2, 5, `how=${["send", "parallel", "sendAll"][i % 3]} interrupt=${i}ms`)),
        send(8, 5)
      )
    ]
  }
]
