/**
 * ConsumerGroupDescribe (key 69): members and state of groups of the consumer protocol (KIP-848).
 *
 * v0 flexible · v1 member type (KIP-1099)
 */
import { assignment } from "../GroupAssignment.ts"
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ConsumerGroupDescribeRequest",
  { key: 69, versions: "0-1", flexible: "0+" },
  () => ({
    groupIds: Wire.array(Wire.string),
    includeAuthorizedOperations: Wire.bool
  })
)

export const Response = Wire.message(
  "ConsumerGroupDescribeResponse",
  { key: 69, versions: "0-1", flexible: "0+" },
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
        assignorName: Wire.string,
        members: Wire.array(
          Wire.struct({
            memberId: Wire.string,
            instanceId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            memberEpoch: Wire.int32,
            clientId: Wire.string,
            clientHost: Wire.string,
            subscribedTopicNames: Wire.array(Wire.string),
            subscribedTopicRegex: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            assignment: assignment(),
            targetAssignment: assignment(),
            /** -1 unknown, 0 classic, 1 consumer. */
            memberType: Wire.int8.pipe(Wire.at("1+", { default: -1, ignorable: true }))
          })
        ),
        /** Bits, by the numbers of ACL operations; the smallest int32 where they were not asked for. */
        authorizedOperations: Wire.int32.pipe(Wire.byDefault(-2147483648))
      })
    )
  })
)
