/**
 * FindCoordinator (key 10): the broker that coordinates a group (key type 0), a transactional id (1) or a share
 * partition (2, as "group:topicId:partition").
 *
 * v1 key type, throttle time, error message · v3 flexible · v4 several keys (KIP-699) · v5 TRANSACTION_ABORTABLE
 * v6 share groups (KIP-932)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("FindCoordinatorRequest", { key: 10, versions: "0-6", flexible: "3+" }, () => ({
  /** Below v4: the one key. */
  key: Wire.string.pipe(Wire.at("0-3")),
  /** 0 group, 1 transactional id, 2 share partition. */
  keyType: Wire.int8.pipe(Wire.at("1+")),
  /** From v4 on: all keys. */
  coordinatorKeys: Wire.array(Wire.string).pipe(Wire.at("4+"))
}))

export const Response = Wire.message("FindCoordinatorResponse", { key: 10, versions: "0-6", flexible: "3+" }, () => ({
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  errorCode: Wire.int16.pipe(Wire.at("0-3")),
  errorMessage: Wire.string.pipe(Wire.nullable("1-3"), Wire.at("1-3", { ignorable: true })),
  /** Below v4: the coordinator of the one key. */
  nodeId: Wire.int32.pipe(Wire.at("0-3")),
  host: Wire.string.pipe(Wire.at("0-3")),
  port: Wire.int32.pipe(Wire.at("0-3")),
  /** From v4 on: one for each key. */
  coordinators: Wire.array(
    Wire.struct({
      key: Wire.string,
      nodeId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("4+"))
    })
  ).pipe(Wire.at("4+"))
}))
