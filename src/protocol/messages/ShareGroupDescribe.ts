/**
 * ShareGroupDescribe (key 77): members and state of share groups (KIP-932).
 *
 * v0 early access in 4.0, removed in 4.1 · v1 the first stable version
 */
import { assignment } from "../GroupAssignment.ts"
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "ShareGroupDescribeRequest",
  { key: 77, versions: "0-1", stable: "1", flexible: "0+" },
  () => ({
    groupIds: Wire.array(Wire.string),
    includeAuthorizedOperations: Wire.bool
  })
)

export const Response = Wire.message(
  "ShareGroupDescribeResponse",
  { key: 77, versions: "0-1", stable: "1", flexible: "0+" },
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
            rackId: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
            memberEpoch: Wire.int32,
            clientId: Wire.string,
            clientHost: Wire.string,
            subscribedTopicNames: Wire.array(Wire.string),
            assignment: assignment()
          })
        ),
        authorizedOperations: Wire.int32.pipe(Wire.byDefault(-2147483648))
      })
    )
  })
)
