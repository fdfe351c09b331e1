/**
 * DescribeCluster (key 60): brokers and authorized operations of the cluster (KIP-700).
 *
 * v0 flexible · v1 endpoint type: brokers (1) or controllers (2) (KIP-919) · v2 fenced brokers (KIP-1073)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeClusterRequest", { key: 60, versions: "0-2", flexible: "0+" }, () => ({
  includeClusterAuthorizedOperations: Wire.bool,
  /** 1 brokers, 2 controllers. */
  endpointType: Wire.int8.pipe(Wire.at("1+", { default: 1 })),
  includeFencedBrokers: Wire.bool.pipe(Wire.at("2+"))
}))

export const Response = Wire.message("DescribeClusterResponse", { key: 60, versions: "0-2", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
  endpointType: Wire.int8.pipe(Wire.at("1+", { default: 1 })),
  clusterId: Wire.string,
  /** A broker of a KRaft cluster gives any live broker. */
  controllerId: Wire.int32.pipe(Wire.byDefault(-1)),
  brokers: Wire.array(
    Wire.struct({
      brokerId: Wire.int32,
      host: Wire.string,
      port: Wire.int32,
      rack: Wire.string.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
      isFenced: Wire.bool.pipe(Wire.at("2+"))
    })
  ),
  /** Bits, by the numbers of ACL operations; the smallest int32 where they were not asked for. */
  clusterAuthorizedOperations: Wire.int32.pipe(Wire.byDefault(-2147483648))
}))
