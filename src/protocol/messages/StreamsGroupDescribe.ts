/**
 * StreamsGroupDescribe (key 89): members, topology and state of streams groups (KIP-1071).
 *
 * v0 flexible · v1 topology description (KIP-1331), assignor (KIP-1357)
 */
import { endpoint, keyValue, taskIds, taskOffset, topicInfo, topologyDescription } from "../StreamsGroup.ts"
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "StreamsGroupDescribeRequest",
  { key: 89, versions: "0-1", flexible: "0+" },
  () => ({
    groupIds: Wire.array(Wire.string),
    includeAuthorizedOperations: Wire.bool,
    includeTopologyDescription: Wire.bool.pipe(Wire.at("1+"))
  })
)

const assignment = () =>
  Wire.struct({
    activeTasks: Wire.array(taskIds()),
    standbyTasks: Wire.array(taskIds()),
    warmupTasks: Wire.array(taskIds())
  })

export const Response = Wire.message(
  "StreamsGroupDescribeResponse",
  { key: 89, versions: "0-1", flexible: "0+" },
  () => ({
    throttleTimeMs: Wire.int32,
    groups: Wire.array(
      Wire.struct({
        errorCode: Wire.int16,
        errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
        groupId: Wire.string,
        groupState: Wire.string,
        groupEpoch: Wire.int32,
        assignmentEpoch: Wire.int32,
        /** Null until a member has brought it. */
        topology: Wire.struct({
          epoch: Wire.int32,
          subtopologies: Wire.array(
            Wire.struct({
              subtopologyId: Wire.string,
              sourceTopics: Wire.array(Wire.string),
              repartitionSinkTopics: Wire.array(Wire.string),
              stateChangelogTopics: Wire.array(topicInfo()),
              repartitionSourceTopics: Wire.array(topicInfo())
            })
          ).pipe(Wire.nullable("0+"), Wire.byDefault(null))
        }).pipe(Wire.nullable("0+"), Wire.byDefault(null)),
        members: Wire.array(
          Wire.struct({
            memberId: Wire.string,
            memberEpoch: Wire.int32,
            instanceId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            clientId: Wire.string,
            clientHost: Wire.string,
            topologyEpoch: Wire.int32,
            processId: Wire.string,
            userEndpoint: endpoint().pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            clientTags: Wire.array(keyValue()),
            taskOffsets: Wire.array(taskOffset()),
            taskEndOffsets: Wire.array(taskOffset()),
            assignment: assignment(),
            targetAssignment: assignment(),
            isClassic: Wire.bool
          })
        ),
        authorizedOperations: Wire.int32.pipe(Wire.byDefault(-2147483648)),
        /** Null unless the status is 3, available. */
        topologyDescription: topologyDescription("1+").pipe(Wire.nullable("1+"), Wire.at("1+", { default: null })),
        topologyDescriptionStatus: Wire.int8.pipe(Wire.at("1+")),
        assignorName: Wire.string.pipe(Wire.nullable("1+"), Wire.at("1+", { default: null, ignorable: true }))
      })
    )
  })
)
