/**
 * JoinGroup (key 11): joins a classic group. The leader's response lists the members.
 *
 * v1 rebalance timeout · v2 throttle time
 * v4 the first join is refused with MEMBER_ID_REQUIRED and an id to join with (KIP-394)
 * v5 group instance id (KIP-345) · v6 flexible · v7 protocol type (KIP-559) · v8 reason (KIP-800)
 * v9 skipAssignment (KIP-814)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("JoinGroupRequest", { key: 11, versions: "0-9", flexible: "6+" }, () => ({
  groupId: Wire.string,
  /** Without a heartbeat for so long, the member is taken out. */
  sessionTimeoutMs: Wire.int32,
  /** How long the coordinator waits for members to join again; below v1 that is the session timeout. */
  rebalanceTimeoutMs: Wire.int32.pipe(Wire.at("1+", { default: -1, ignorable: true })),
  /** Empty at first. */
  memberId: Wire.string,
  /** Null without static membership. */
  groupInstanceId: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null })),
  /** `consumer` for consumers. */
  protocolType: Wire.string,
  /** The assignors that the member knows, in the order of its preference. */
  protocols: Wire.array(
    Wire.struct({
      name: Wire.string,
      /** For consumers: a subscription of `ConsumerProtocol`, behind its version. */
      metadata: Wire.bytes
    })
  ),
  /** For the broker's log. */
  reason: Wire.string.pipe(Wire.nullable("8+"), Wire.at("8+", { default: null, ignorable: true }))
}))

export const Response = Wire.message("JoinGroupResponse", { key: 11, versions: "0-9", flexible: "6+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("2+", { ignorable: true })),
  errorCode: Wire.int16,
  generationId: Wire.int32.pipe(Wire.byDefault(-1)),
  protocolType: Wire.string.pipe(Wire.nullable("7+"), Wire.at("7+", { default: null, ignorable: true })),
  /** The assignor that all members know. */
  protocolName: Wire.string.pipe(Wire.nullable("7+")),
  /** The member that has to assign. */
  leader: Wire.string,
  /** The leader keeps the assignment that there is (KIP-814). */
  skipAssignment: Wire.bool.pipe(Wire.at("9+")),
  memberId: Wire.string,
  /** Empty for all but the leader. */
  members: Wire.array(
    Wire.struct({
      memberId: Wire.string,
      groupInstanceId: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
      metadata: Wire.bytes
    })
  )
}))
