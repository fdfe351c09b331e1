/** DescribeCluster. */
import { Effect } from "effect"
import * as DescribeCluster from "../../../src/protocol/messages/DescribeCluster.ts"
import type { Ask, Case } from "../Lab.ts"

const describe = (
  ask: Ask,
  version: number,
  options: { readonly operations?: boolean; readonly endpointType?: number } = {}
) =>
  Effect.gen(function* () {
    const client = yield* ask.broker()
    const response = yield* client.send(DescribeCluster, version, {
      includeClusterAuthorizedOperations: options.operations ?? false,
      ...(version >= 1 ? { endpointType: options.endpointType ?? 1 } : {})
    })
    return {
      ...response,
      controllerId: response.controllerId > 0 ? "a broker" : response.controllerId,
      brokers: Array.from(response.brokers).sort((a, b) => a.brokerId - b.brokerId)
    }
  })

export const cases: ReadonlyArray<Case> = [
  {
    api: "DescribeCluster",
    behaviour: "names the brokers, at each version",
    ask: (ask) => ask.atEach(DescribeCluster, (version) => describe(ask, version))
  },
  {
    api: "DescribeCluster",
    behaviour: "tells the operations that are allowed, where they are asked for",
    ask: (ask) =>
      ask.atEach(DescribeCluster, (version) =>
        Effect.map(describe(ask, version, { operations: true }), (response) => response.clusterAuthorizedOperations)
      )
  },
  {
    api: "DescribeCluster",
    behaviour: "of controllers, and of another kind of endpoints",
    ask: (ask) =>
      ask.atEach(
        DescribeCluster,
        (version) =>
          Effect.gen(function* () {
            return {
              controllers: yield* describe(ask, version, { endpointType: 2 }),
              other: yield* describe(ask, version, { endpointType: 7 })
            }
          }),
        (version) => version >= 1
      )
  }
]
