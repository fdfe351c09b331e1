/**
 * ApiVersions, v0–v5. Lists what the profile of the broker lists; a version that it does not know is answered before
 * this is reached. v5 with another cluster's id, or another broker's, is answered with REBOOTSTRAP_REQUIRED.
 */
import * as Api from "../../protocol/messages/ApiVersions.ts"
import { profileOf } from "./ClusterState.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

const legal = /^[a-zA-Z0-9](?:[a-zA-Z0-9\-.]*[a-zA-Z0-9])?$/

export const apiVersions = handler("ApiVersions", Api, (call) => {
  const { cluster, node, request, version } = call
  // What it can do is its own, what is finalized the cluster's.
  const profile = profileOf(node, cluster.settings)
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected })
  // KIP-511: letters, digits, dots and dashes, the latter not at the ends
  if (version >= 3 && !(legal.test(request.clientSoftwareName) && legal.test(request.clientSoftwareVersion)))
    return call.answer({ errorCode: Code.invalidRequest })
  const elsewhere =
    (request.clusterId !== null && request.clusterId !== cluster.id) ||
    (request.nodeId !== -1 && request.nodeId !== node.id)
  // both are given, or neither
  if (version >= 5 && (request.clusterId === null) !== (request.nodeId === -1))
    return call.answer({ errorCode: Code.invalidRequest })
  if (version >= 5 && elsewhere) return call.answer({ errorCode: Code.rebootstrapRequired })
  const { groupVersion, transactionVersion } = cluster.settings
  const supported = [...profile.supportedFeatures]
  const finalized = [...cluster.settings.profile.finalizedFeatures]
  const feature = (name: string, highest: number, level: number) => {
    if (highest > 0) supported.push({ name, minVersion: 0, maxVersion: highest })
    if (level > 0) finalized.push({ name, level })
  }
  feature("group.version", profile.groupVersion, groupVersion)
  feature("transaction.version", profile.transactionVersion, transactionVersion)
  call.answer({
    apiKeys: profile.listed,
    // before v4 a feature that starts at 0 would be refused by Java's client, so brokers leave it out
    supportedFeatures: version >= 4 ? supported : supported.filter((f) => f.minVersion > 0),
    finalizedFeaturesEpoch: finalized.length > 0 ? 1 : -1,
    finalizedFeatures: finalized.map(({ level, name }) => ({
      name,
      maxVersionLevel: level,
      minVersionLevel: level
    }))
  })
})
