/** DescribeCluster, v0–v2: the brokers that live. Controllers (endpoint type 2) have no endpoint here. */
import * as Api from "../../protocol/messages/DescribeCluster.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

/** Create, alter, describe, cluster action, describe configs, alter configs, idempotent write, create and describe tokens. */
const allClusterOperations = 0b1_1111_1010_0000
const brokers = 1
const controllers = 2

export const describeCluster = handler("DescribeCluster", Api, (call) => {
  const { cluster, request } = call
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected })
  if (request.endpointType !== brokers)
    return call.answer({
      errorCode: request.endpointType === controllers ? Code.mismatchedEndpointType : Code.unsupportedEndpointType,
      errorMessage: "only brokers have endpoints here"
    })
  call.answer({
    clusterId: cluster.id,
    controllerId: cluster.controller,
    brokers: cluster.alive.map(({ host, id, port, rack }) => ({ brokerId: id, host, port, rack })),
    ...(request.includeClusterAuthorizedOperations ? { clusterAuthorizedOperations: allClusterOperations } : undefined)
  })
})
