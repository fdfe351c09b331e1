/** Groups that are not of consumers, on 4.4.0: what Admin tells of them, and what it refuses by what they are. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Admin, Cluster } from "samsa"
import * as ShareGroupHeartbeat from "samsa/protocol/messages/ShareGroupHeartbeat"
import * as StreamsGroupHeartbeat from "samsa/protocol/messages/StreamsGroupHeartbeat"
import { samsa } from "../cli/Samsa.ts"
import { eventually, failure, value, withAdmin } from "./Admins.ts"
import * as KafkaServer from "./KafkaServer.ts"

const memberId = "AAAAAAAAAAAAAAAAAAAAAQ"

const subtopology = {
  subtopologyId: "0",
  sourceTopics: ["orders"],
  sourceTopicRegex: [],
  stateChangelogTopics: [],
  repartitionSinkTopics: [],
  repartitionSourceTopics: [],
  copartitionGroups: []
}

/** A member joins the share group `shared`, another the streams group `streams`. */
const join = Effect.gen(function* () {
  const cluster = yield* Cluster.Cluster
  const sharing = Effect.flatMap(cluster.coordinator("group", "shared"), (broker) =>
    broker.send(ShareGroupHeartbeat, () => ({
      groupId: "shared",
      memberId,
      memberEpoch: 0,
      rackId: null,
      subscribedTopicNames: ["orders"]
    }))
  )
  const streaming = Effect.flatMap(cluster.coordinator("group", "streams"), (broker) =>
    broker.send(StreamsGroupHeartbeat, () => ({
      groupId: "streams",
      memberId,
      memberEpoch: 0,
      endpointInformationEpoch: 0,
      rebalanceTimeoutMs: 1000,
      processId: "p",
      topology: { epoch: 0, subtopologies: [subtopology] },
      activeTasks: [],
      standbyTasks: [],
      warmupTasks: [],
      shutdownApplication: false
    }))
  )
  yield* eventually(sharing, ({ errorCode }) => errorCode === 0)
  yield* eventually(streaming, ({ errorCode }) => errorCode === 0)
})

layer(KafkaServer.layer({ version: "4.4.0", mode: "kraft" }), { excludeTestServices: true })(
  "groups on 4.4.0",
  (it) => {
    it.effect("of shares and streams are told as what they are (a share group's lag was 0)", () =>
      withAdmin(
        Effect.gen(function* () {
          const admin = yield* Admin.Admin
          const place = { topic: "orders", partition: 0 }
          yield* admin.createTopics([{ name: "orders", partitions: 2, replicationFactor: 1 }]).pipe(Admin.orFail)
          yield* join
          const types = (yield* admin.listGroups()).map(({ group, type }) => [group, type])
          assert.deepStrictEqual(types, [
            ["shared", "share"],
            ["streams", "streams"]
          ])
          for (const answer of yield* admin.deleteGroups(["shared", "streams"]))
            assert.include(failure(answer).message, memberId)
          for (const group of ["shared", "streams"]) {
            const [removed, other] = yield* admin.removeMembers(group, [{ memberId }, { memberId: "other" }])
            assert.include(failure(removed).message, "taken out by none but itself")
            assert.notProperty(failure(other).reason, "groupType")
          }
          const [shared, streams] = yield* admin.groupLag(["shared", "streams"])
          assert.deepInclude(value(streams), { type: "streams", partitions: [], total: 0 })
          const refused = [
            failure(shared),
            failure((yield* admin.groupOffsets([{ group: "shared" }]))[0]),
            failure((yield* admin.groupOffsets([{ group: "shared", partitions: [place] }]))[0]),
            failure((yield* admin.alterGroupOffsets("shared", [{ ...place, offset: 0 }]))[0]),
            failure((yield* admin.deleteGroupOffsets("shared", [place]))[0]),
            yield* Effect.flip(admin.resetGroupOffsets("shared", { to: "latest" }))
          ]
          for (const error of refused)
            assert.deepInclude(error.reason, { _tag: "GroupRefused", groupType: "share" }, error.message)
          const { bootstrap } = yield* KafkaServer.KafkaServer
          const all = yield* samsa(["lag", "--json", "-b", bootstrap.join(",")])
          assert.deepStrictEqual([all.code, JSON.parse(all.out).group], [0, "streams"], all.error)
          assert.match(all.error, /^left out, as share groups commit no offsets: shared$/m)
        })
      )
    )
  }
)
