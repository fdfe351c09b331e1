/**
 * CreateTopics, v0–v7: by number of partitions and replicas (-1: the broker's defaults, from v4 on, and by releases that
 * know v4 before it too), or by assignment. Only the controller creates. v1 can validate only; v5 tells the settings.
 */
import * as Api from "../../protocol/messages/CreateTopics.ts"
import * as Code from "./Code.ts"
import { maxPartitions, type Refusal } from "./Cluster.ts"
import * as Config from "./Config.ts"
import { zeroId } from "./Runtime.ts"
import { handler } from "./Handler.ts"

const refusals: { readonly [R in Refusal]: readonly [code: number, message: string] } = {
  exists: [Code.topicAlreadyExists, "the topic exists"],
  name: [
    Code.invalidTopic,
    "names are 1 to 249 of a-z, A-Z, 0-9, dot, dash and underscore, and collide where dots and underscores alone differ"
  ],
  partitions: [Code.invalidPartitions, "the number of partitions must be larger than 0, and at most 10000"],
  replication: [
    Code.invalidReplicationFactor,
    "the replication factor must be above 0, and no more than the brokers that live"
  ],
  assignment: [Code.invalidReplicaAssignment, "the assignment must name brokers that are known, each once a partition"]
}

export const createTopics = handler("CreateTopics", Api, (call) => {
  const { cluster, node, request, version } = call
  const names = request.topics.map((topic) => topic.name)
  // a name that comes twice is refused once, but by 2.x for each
  const { profile } = cluster.settings
  const firsts =
    profile.since("3.9") || !profile.since("2.8")
      ? request.topics.filter((topic, i) => names.indexOf(topic.name) === i)
      : request.topics
  const count = ({ assignments, numPartitions }: (typeof firsts)[number]) =>
    assignments.length > 0
      ? assignments.length
      : numPartitions === -1
        ? cluster.settings.defaultPartitions
        : numPartitions
  const isTooLarge = profile.since("3.9") && firsts.reduce((sum, one) => sum + count(one), 0) > maxPartitions
  call.answer({
    topics: firsts.map((asked) => {
      const { name } = asked
      const fail = (errorCode: number, errorMessage: string | null = null) => ({ name, errorCode, errorMessage })
      const injected = call.injected(name)
      if (injected !== Code.none) return fail(injected)
      if (!cluster.mayChange(node)) return fail(Code.notController)
      if (isTooLarge) return fail(Code.policyViolation, "Excessively large number of partitions per request.")
      if (names.indexOf(name) !== names.lastIndexOf(name)) return fail(Code.invalidRequest, "the topic is named twice")
      const defaults = asked.numPartitions === -1 || asked.replicationFactor === -1
      if (version < 4 && !profile.since("2.8") && defaults && asked.assignments.length === 0)
        return fail(asked.numPartitions === -1 ? Code.invalidPartitions : Code.invalidReplicationFactor)
      const manual = asked.assignments.length > 0
      if (manual && (asked.numPartitions !== -1 || asked.replicationFactor !== -1))
        return fail(Code.invalidRequest, "numbers and an assignment exclude each other")
      const wrong = asked.configs
        .map((each) => Config.check(cluster, Config.resource.topic, each.name, each.value))
        .find((mistake) => mistake !== undefined)
      if (wrong !== undefined)
        return fail(
          wrong.startsWith("Invalid value") && !cluster.settings.profile.since("2.8")
            ? Code.unknownServerError
            : Code.invalidConfig,
          wrong
        )
      const ordered = Array.from(asked.assignments).sort((a, b) => a.partitionIndex - b.partitionIndex)
      const replicas = ordered[0]?.brokerIds.length
      if (ordered.some((each, i) => each.partitionIndex !== i || each.brokerIds.length !== replicas))
        return fail(...refusals.assignment)
      const config = asked.configs
        .filter((each) => each.value !== null)
        .map((each) => [each.name, each.value!] as const)
      const topic = cluster.createTopic(name, {
        partitions: asked.numPartitions === -1 ? undefined : asked.numPartitions,
        replicationFactor: asked.replicationFactor === -1 ? undefined : asked.replicationFactor,
        assignments: manual ? ordered.map((each) => each.brokerIds) : undefined,
        config
      })
      if (typeof topic === "string") return fail(...refusals[topic])
      if (request.validateOnly) cluster.deleteTopic(name)
      return {
        name,
        topicId: request.validateOnly ? zeroId : topic.id,
        errorCode: Code.none,
        errorMessage: null,
        numPartitions: topic.partitions.length,
        replicationFactor: topic.partitions[0]!.replicas.length,
        configs: Config.describeTopic(cluster, topic.config).map(({ name, source, value }) => ({
          name,
          value,
          readOnly: false,
          configSource: source,
          isSensitive: false
        }))
      }
    })
  })
})
