/** Scenarios 17 to 27: what consumers meet in what they fetch. */
import { each, has, join, member, producer, type Scenario, script, send, three } from "./Scenario.ts"

const reader = [member("m1", "c2"), ...join("m1")]

export const fetching: ReadonlyArray<Scenario> = [
  {
    number: 17,
    words: "a broker asks for silence, whatever it is asked: the session is kept all the same",
    scripts: [
      script(three(), producer(), reader, send(1, 30, "pace=1s"), "2 fault api=* action=throttle millis=1500ms for=25s")
    ],
    elsewhere: [{ file: "test/Broker.test.ts", title: "is left alone for as long as it says" }],
    shows: (history) => !has("Lost")(history)
  },
  {
    number: 18,
    words: "a batch with a wrong checksum: Corrupt with its place, and none of its bytes are delivered",
    scripts: [
      script(
        three(),
        producer(),
        reader,
        send(1, 60, "pace=100ms"),
        "2 fault api=Fetch action=corruptCrc times=1 for=3s",
        "6 fault api=Fetch action=corruptCrc for=3s"
      )
    ],
    elsewhere: [{ file: "test/fetch/Fetcher.test.ts", title: "damaged batches are passed over by policy" }]
  },
  {
    number: 19,
    words: "a batch is cut off at the end of the answer, or larger than the answer may be: it goes on all the same",
    scripts: [
      script(
        three(),
        producer(),
        member("m1", "c2", "maxBytes=1 maxPartitionBytes=1 bufferBytes=2000"),
        member("m2", "c3", "group=g2 maxBytes=500"),
        join("m1", "m2"),
        send(1, 20, "how=sendAll bytes=30000"),
        send(1, 40, "how=sendAll bytes=300"),
        "2 fault api=Fetch action=truncate probability=0.5 seed=3 for=10s"
      )
    ]
  },
  {
    number: 20,
    words: "a position amid a batch: nothing before it is delivered",
    scripts: [
      script(
        three(),
        producer("compression=gzip linger=50ms"),
        member("m1", "c2", "commitEvery=1"),
        join("m1"),
        send(1, 90, "how=sendAll partitions=[0]"),
        "5 seek member=m1 topic=t0 partition=0 back=7",
        "8 commit member=m1 topic=t0 partition=0 back=11",
        "8.5 leave member=m1",
        "9 join member=m1"
      )
    ],
    shows: has("Seek")
  },
  {
    number: 21,
    words: "gaps of compaction, batches of which nothing is left, control batches at the end: read to its end",
    scripts: [
      script(
        "cluster brokers=3",
        "topic t0 partitions=1 replicas=3 compacted=true",
        three().slice(2),
        producer(),
        "transactor w1 client=c3 transactionalId=x1",
        member("m1", "c2"),
        member("m2", "c4", "group=g2 maxBytes=200"),
        join("m1"),
        send(1, 60, "keys=3 pace=20ms"),
        "2 transact transactor=w1 topics=[t0] times=6 count=3 how=sendAll keys=3 bytes=12 end=commit",
        "4 compact topic=t0",
        "5 transact transactor=w1 topics=[t0] times=3 count=3 how=sendAll keys=3 bytes=12 end=fail",
        "6 compact topic=t0",
        "7 join member=m2"
      )
    ]
  },
  {
    number: 22,
    words: "transactions of several producers interleave, aborted ones among them, one of them open",
    scripts: [
      script(
        three(),
        producer(),
        "transactor w1 client=c1 transactionalId=x1",
        "transactor w2 client=c3 transactionalId=x2",
        "transactor w3 client=c4 transactionalId=x3 transactionTimeout=8s",
        reader,
        each(
          ["fail", "commit", "interrupt"],
          (end, i) =>
            `${1 + i * 0.01} transact transactor=w${(i % 2) + 1} topics=[t0] times=8 count=5 how=send keys=0 bytes=12 open=30ms end=${end}`
        ),
        "3 transact transactor=w3 topics=[t0] times=1 count=3 how=send keys=0 bytes=12 end=late",
        send(3, 30, "pace=50ms")
      )
    ],
    elsewhere: [
      {
        file: "test/fetch/Isolation.test.ts",
        title: "behind the end of an aborted transaction its producer is shown again"
      }
    ]
  },
  {
    number: 23,
    words: "an offset out of range, above and below, and a log that was cut: told or found, no loop, no jump to 0",
    scripts: each(["earliest", "nearest", "fail"], (policy) =>
      script(
        three(),
        "topic t1 partitions=2 replicas=3",
        producer(),
        member("m1", "c2", `topics=[t0,t1] onOutOfRange=${policy}`),
        join("m1"),
        send(1, 60, "pace=20ms"),
        "1 send producer=p1 topic=t1 count=200 how=send keys=0 bytes=12 pace=20ms partitions=[0,1]",
        "2 unclean topic=t1 partition=0 for=1500ms",
        "6 freeze client=c2 for=15s",
        send(8, 30, "pace=20ms"),
        "10 trim topic=t0 partition=0 keep=0",
        "10 trim topic=t0 partition=1 keep=1",
        send(12, 30, "pace=20ms")
      )
    ),
    elsewhere: [{ file: "test/Consumer.test.ts", title: "fails with DataLoss unless something else was chosen" }]
  },
  {
    number: 24,
    words:
      "offsets that are not to be had yet, commits that are not stable, epochs that are fenced or unknown: tried again",
    scripts: [
      script(
        three(),
        producer(),
        "1 fault api=OffsetFetch action=error code=88 times=3 for=10s",
        each([78, 74, 75], (code, i) => `${2 + i} fault api=Fetch action=error code=${code} times=2 for=2s`),
        "0.9 fault api=ListOffsets action=error code=78 times=2 for=20s",
        member("m1", "c2"),
        "1 join member=m1",
        send(1, 60, "pace=100ms")
      )
    ]
  },
  {
    number: 25,
    words: "fetch sessions are forgotten, or do not agree; partitions leave them, and brokers start again",
    scripts: [
      script(
        three(),
        producer(),
        member("m1", "c2"),
        member("m2", "c3"),
        join("m1"),
        send(1, 100, "pace=100ms"),
        "2 fault api=Fetch action=error code=70 times=2 for=3s",
        "3 fault api=Fetch action=error code=71 times=2 for=3s",
        "4 join member=m2",
        "6 down broker=2 for=2s",
        "9 leave member=m2"
      )
    ],
    elsewhere: [
      { file: "test/fetch/FetchSession.test.ts", title: "has the broker fetch exactly what is wanted" },
      {
        file: "test/fetch/Fetcher.test.ts",
        title: "a broker that starts again and has forgotten its sessions is fetched from as before"
      }
    ]
  },
  {
    number: 26,
    words:
      "the replica in our rack is read, until it lags behind, is away, or has not what we want: back to the leader",
    scripts: [
      script(
        three("racks=3"),
        producer(),
        member("m1", "c2", "rack=r1"),
        member("m2", "c3", "rack=r2"),
        join("m1", "m2"),
        send(1, 200, "pace=100ms"),
        "3 lag topic=t0 partition=0 for=4s",
        "4 lag topic=t0 partition=1 shrink=true for=4s",
        "8 down broker=2 for=3s",
        "14 stand broker=3 for=5s"
      )
    ],
    elsewhere: [
      {
        file: "test/fetch/replicas.test.ts",
        title: "is left for the leader when it has not copied what was read: no log was truncated"
      }
    ]
  },
  {
    number: 27,
    words:
      "a hostile broker: bombs, lengths and counts that are none, what is twice or left out: typed, in bounded memory",
    scripts: [],
    elsewhere: [
      { file: "test/hostile/assigned.test.ts", title: "takes each partition once, and none that cannot be" },
      {
        file: "test/hostile/addresses.test.ts",
        title: "more than any cluster has are Corrupt, and are not gone through"
      },
      {
        file: "test/connection/bounds.test.ts",
        title: "of a stranger is a mebibyte at most, whatever maxResponseBytes is"
      },
      { file: "test/produce/answers.test.ts", title: "a partition that an answer leaves out is not known to be there" }
    ]
  }
]
