/** Questions that the embedded broker answers otherwise, on purpose: why, and beside which releases. */
export const differences: {
  readonly [question: string]: { readonly why: string; readonly releases: ReadonlyArray<string> }
} = {
  "CreateTopics: with an assignment to a broker that is not there": {
    why: "with ZooKeeper the topic is created, and the answer waits in vain for a leader; here it is refused, as by KRaft",
    releases: ["0.10.2.2", "0.11.0.3", "1.1.1", "2.8.2"]
  },
  "CreateTopics: with an assignment that leaves a partition out": {
    why: "old brokers take it, and have a topic without a partition 0",
    releases: ["0.10.2.2", "0.11.0.3", "1.1.1"]
  },
  "DescribeConfigs: of a topic that is not there": {
    why: "old brokers describe it, with defaults",
    releases: ["0.11.0.3", "1.1.1"]
  },
  "JoinGroup: without protocols, and without a type": {
    why: "old brokers let such a member in, or fail",
    releases: ["0.10.2.2", "0.11.0.3"]
  }
}
