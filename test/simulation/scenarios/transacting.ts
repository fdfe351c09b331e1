/** Scenarios 43 to 51: transactions, and what connections and clients as a whole meet. */
import { each, join, member, producer, type Scenario, script, send, three, upTo } from "./Scenario.ts"

const reader = [member("m1", "c2"), ...join("m1")]

const transact = (at: number, more = ""): string =>
  `${at} transact transactor=w1 topics=[t0] times=10 count=4 how=sendAll keys=0 bytes=12 end=commit pace=100ms ${more}`

export const transacting: ReadonlyArray<Scenario> = [
  {
    number: 43,
    words: "the answer to EndTxn is lost, or the request comes late: no later transaction is ended by it",
    scripts: each([0, 2], (version) =>
      script(
        three(`transactionVersion=${version}`),
        producer(),
        "transactor w1 client=c1 transactionalId=x1 requestTimeout=1s",
        reader,
        transact(1, "offsets=true"),
        "1.2 fault api=EndTxn action=loseResponse times=2 for=3s",
        "5 fault api=EndTxn action=delay millis=3s times=2 for=5s",
        transact(5),
        "12 fault api=EndTxn action=withhold times=2 for=5s",
        transact(12)
      )
    ),
    elsewhere: [
      { file: "test/transact/TransactionMachine.test.ts", title: "stays in doubt while the coordinator is away" }
    ]
  },
  {
    number: 44,
    words: "concurrent transactions, a coordinator that moves, a time-out amid one, one that can only be aborted",
    scripts: each([0, 2], (version) =>
      script(
        three(`transactionVersion=${version}`),
        "transactor w1 client=c1 transactionalId=x1 transactionTimeout=6s",
        "transactor w2 client=c3 transactionalId=x2 transactionTimeout=6s deliveryTimeout=2s",
        reader,
        transact(1, "times=30"),
        "1 fault api=EndTxn action=error code=51 times=3 for=4s",
        "2 fault api=InitProducerId action=error code=51 times=2 for=20s",
        each(upTo(5), (i) => `${1.5 + i * 0.8} moveTransactions transactionalId=x1`),
        "7 fault api=Produce action=error code=120 client=c1 times=2 for=9s",
        transact(7, "times=30"),
        "2 transact transactor=w2 topics=[t0] times=1 count=3 how=send keys=0 bytes=12 end=late",
        "10 transact transactor=w2 topics=[t0] times=3 count=3 how=offer keys=0 bytes=12 end=commit",
        "10 fault api=Produce action=error code=19 client=c3 for=3s"
      )
    ),
    elsewhere: [
      {
        file: "test/Transaction.test.ts",
        title: "commits nothing where a record has failed, also one that nobody has looked at"
      }
    ]
  },
  {
    number: 45,
    words: "a chain whose partitions are revoked at every step, and a zombie that wakes: its commit is refused",
    scripts: each(["classic", "consumer"], (protocol) =>
      script(
        three(`release=4.4`),
        "topic o1 partitions=1 replicas=3",
        producer(),
        each(upTo(3), (i) =>
          member(
            `k${i + 1}`,
            `c${i + 2}`,
            `protocol=${protocol} way=process to=o1 batch=3 handles=20ms transactionTimeout=8s`
          )
        ),
        join("k1"),
        send(1, 200, "pace=100ms"),
        each(upTo(8), (i) => `${3 + i * 1.3} ${i % 2 === 0 ? "join" : "leave"} member=k2`),
        "4 join member=k3",
        "7 freeze client=c4 for=14s timersFirst=true",
        "16 freeze client=c2 for=12s"
      )
    )
  },
  {
    number: 46,
    words: "metadata that is empty, old, or has no leader: nothing goes back, and all that is away is found again",
    scripts: [
      script(
        three(),
        producer(),
        reader,
        send(1, 200, "pace=200ms"),
        "1.5 fault api=Metadata action=staleMetadata broker=2 for=30s",
        each(upTo(3), (i) => `${2 + i} moveLeader topic=t0 partition=${i}`),
        "8 fault api=Metadata action=error code=5 times=3 for=20s",
        each([1, 2, 3], (broker) => `10 down broker=${broker} for=8s`)
      )
    ],
    elsewhere: [
      { file: "test/metadata/MetadataState.test.ts", title: "to an older leader epoch of the same topic never wins" },
      { file: "test/metadata/MetadataState.test.ts", title: "changes nothing of those that are known" },
      { file: "test/metadata/MetadataState.test.ts", title: "are believed where the cluster is another" },
      {
        file: "test/metadata/questions.test.ts",
        title: "take a topic without partitions for one that is not there yet"
      }
    ]
  },
  {
    number: 47,
    words: "authentication again amid pipelined requests, and one that fails: what waits is sent once",
    scripts: [
      script(
        three("sessionLifetime=2s"),
        producer("linger=0ms"),
        reader,
        "1 link client=c1 how=delay amount=20 for=9s",
        send(1, 600, "how=offer pace=20ms"),
        "4 fault api=SaslAuthenticate action=loseResponse times=2 for=5s",
        "7 fault api=SaslHandshake action=loseRequest times=2 for=5s",
        "9 fault api=SaslAuthenticate action=delay millis=1500ms times=2 for=5s"
      )
    ],
    elsewhere: [
      {
        file: "test/connection/bounds.test.ts",
        title: "with a token that never comes holds nothing up as long as the session lasts"
      },
      { file: "test/connection/Authentication.test.ts", title: "comes a second after the end of the last" }
    ]
  },
  {
    number: 48,
    words: "ApiVersions is refused, lost, or not known at all: the ladder has an end",
    scripts: [
      ...each(["0.8.2", "0.9", "0.10.2"], (release) =>
        script(
          three(`release=${release}`),
          producer("idempotent=false maxInFlight=1"),
          "member a1 client=c2 topics=[t0] enter=assign from=earliest way=run drainTimeout=3s",
          "0 join member=a1",
          send(1, 60, "pace=50ms")
        )
      ),
      script(
        three(),
        "0 fault api=ApiVersions action=loseResponse times=1 for=9s",
        "0 fault api=ApiVersions action=withhold times=1 for=9s",
        producer(),
        reader,
        send(1, 60, "pace=50ms")
      )
    ],
    elsewhere: [
      { file: "test/Broker.test.ts", title: "says for ever that it knows another version: the ladder ends" },
      { file: "test/Broker.test.ts", title: "closes at once: Unreachable, after a few connections and no more" }
    ]
  },
  {
    number: 49,
    words: "closing in every state: within its time, and nothing is left",
    scripts: [
      script(
        three(),
        producer("closeTimeout=3s"),
        "transactor w1 client=c3 transactionalId=x1 closeTimeout=3s",
        member("m1", "c2", "closeTimeout=3s handles=20ms"),
        "0 link how=delay amount=7 for=60s",
        each(upTo(12), (i) => `${i * 2} join member=m1`),
        each(
          upTo(12),
          (i) => `${(i * 2 + 0.004 * i * i + 0.005).toFixed(3)} ${i % 2 === 0 ? "leave" : "interrupt"} member=m1 for=0s`
        ),
        each(upTo(12), (i) => send(i * 2, 20, "how=parallel")),
        each(upTo(12), (i) => `${(i * 2 + 0.006 * i).toFixed(3)} closeProducer producer=p1`),
        each(upTo(6), (i) => transact(i * 4, "times=3 open=20ms")),
        each(upTo(6), (i) => `${(i * 4 + 0.03 * i).toFixed(3)} closeTransactor transactor=w1`),
        "25 crash client=c3 how=power"
      )
    ],
    elsewhere: [
      {
        file: "test/hostile/closing.test.ts",
        title: "takes a consumer with marks and work in flight less than half a minute"
      }
    ]
  },
  {
    number: 51,
    words: "a random walk of what clients do and what befalls them, made shorter where it fails",
    scripts: [],
    elsewhere: [
      {
        file: "test/simulation/simulation.test.ts",
        title: "whatever happens to them, producers and consumers keep what they promise"
      },
      { file: "test/testing/simulation/Verdict.test.ts", title: "leaves what the problem needs, and nothing else" }
    ]
  }
]
