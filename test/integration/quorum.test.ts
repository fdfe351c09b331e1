/** Voters of a KRaft quorum by `Admin`: each step as Java's `kafka-metadata-quorum.sh describe` tells it. */
import { assert, layer } from "@effect/vitest"
import { Effect } from "effect"
import { Admin, ErrorCode } from "samsa"
import { eventually, newTool, withAdmin } from "./Admins.ts"
import * as KafkaServer from "./KafkaServer.ts"
import type { Version } from "./KafkaVersion.ts"

const { codes } = ErrorCode

const versions: ReadonlyArray<Version> = process.env.SAMSA_FULL === "1" ? ["3.9.2", "4.4.0"] : ["4.4.0"]

/** Who votes and who observes, as Java's tool tells it: the id, its directory and what it is. */
const javaSays = Effect.map(newTool("MetadataQuorumCommand", "describe", "--replication"), (text) =>
  text
    .trim()
    .split("\n")
    .slice(1)
    .map((line) => line.split("\t").map((cell) => cell.trim()))
    .map(([id, directory, , , , , role]) => [id, directory, role].join(" "))
    .sort()
)

/** The same, as Admin tells it. */
const admin = Effect.flatMap(Admin.Admin, (admin) => admin.describeQuorum())
const said = ({ leader, observers, voters }: Admin.QuorumDescription) => {
  const rowOf = (role: string) => (one: Admin.QuorumReplica) => [one.id, one.directoryId, role].join(" ")
  return [
    ...voters.map((one) => rowOf(one.id === leader ? "Leader" : "Follower")(one)),
    ...observers.map(rowOf("Observer"))
  ].sort()
}

for (const version of versions) {
  // The second is formatted with --no-initial-controllers.
  const cluster = KafkaServer.layer({ version, brokers: 2, quorum: "dynamic", voters: 1 })
  layer(cluster, { excludeTestServices: true })(`the quorum by Admin on Kafka ${version}`, (it) => {
    it.effect("a controller that has joined is added, votes, and leads once the one before it is removed", () =>
      withAdmin(
        Effect.gen(function* () {
          const { addVoter, removeVoter } = yield* Admin.Admin
          const { nodes } = yield* KafkaServer.KafkaServer
          const voterOf = ({ directoryId, id }: Admin.QuorumReplica): Admin.NewVoter => ({
            id,
            directoryId: directoryId!,
            listeners: [{ name: "CONTROLLER", host: "127.0.0.1", port: nodes[id - 1]!.controllerPort }]
          })
          /** Once ids vote and others observe, Java's tool says the same. */
          const are = (voting: string, observing: string) =>
            Effect.gen(function* () {
              const idsOf = (all: ReadonlyArray<Admin.QuorumReplica>) =>
                all
                  .map(({ id }) => id)
                  .sort()
                  .join()
              const quorum = yield* eventually(
                admin,
                ({ observers, voters }) => idsOf(voters) === voting && idsOf(observers) === observing
              )
              assert.deepStrictEqual(yield* javaSays, said(yield* admin))
              return quorum
            })

          const before = yield* are("1", "2")
          const [first, second] = [voterOf(before.voters[0]!), voterOf(before.observers[0]!)]
          yield* addVoter(second)
          yield* are("1,2", "")
          const again = yield* Effect.flip(addVoter(second))
          assert.deepInclude(again.reason, { _tag: "Server", code: codes.DUPLICATE_VOTER })

          yield* removeVoter(first)
          const alone = yield* are("2", "1")
          assert.strictEqual(alone.leader, 2)
          const gone = yield* Effect.flip(removeVoter(first))
          assert.deepInclude(gone.reason, { _tag: "Server", code: codes.VOTER_NOT_FOUND })

          yield* addVoter(first)
          yield* are("1,2", "")
        })
      )
    )
  })
}
