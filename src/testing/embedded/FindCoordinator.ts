/** FindCoordinator, v0–v6: groups (0) and transactional ids (1); several keys at once from v4. */
import * as Api from "../../protocol/messages/FindCoordinator.ts"
import { offsetsTopic, transactionsTopic } from "./ClusterState.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const findCoordinator = handler("FindCoordinator", Api, (call) => {
  const { cluster, request, version } = call
  const find = (key: string) => {
    const fail = (errorCode: number, errorMessage: string) => ({
      key,
      errorCode,
      errorMessage,
      nodeId: -1,
      host: "",
      port: -1
    })
    const injected = call.injected()
    if (injected !== Code.none) return fail(injected, "")
    const denied = request.keyType === 0 ? call.denied(key) : call.deniedTransaction(key)
    if (denied !== Code.none) return fail(denied, "")
    if (request.keyType !== 0 && request.keyType !== 1) return fail(Code.invalidRequest, `key type ${request.keyType}`)
    if (cluster.settings.coldStart && request.keyType === 0 && !cluster.topics.has(offsetsTopic)) {
      cluster.createOffsetsTopic()
      return fail(Code.coordinatorNotAvailable, "the offsets topic is being created")
    }
    if (cluster.settings.coldStart && request.keyType === 1 && !cluster.topics.has(transactionsTopic)) {
      cluster.createTransactionsTopic()
      return fail(Code.coordinatorNotAvailable, "the topic of transactions is being created")
    }
    const node = cluster.coordinator(request.keyType === 0 ? "group" : "transaction", key)
    if (node === undefined) return fail(Code.coordinatorNotAvailable, "no broker lives")
    const name = `${request.keyType === 0 ? "group" : "transaction"}:${key}`
    cluster.tell(call.clientId, name, cluster.moves(name), call.arrivedAt)
    // Java's word for no error, of which v4 tells nothing
    const errorMessage = version >= 4 ? "" : "NONE"
    return { key, errorCode: Code.none, errorMessage, nodeId: node.id, host: node.host, port: node.port }
  }
  if (version >= 4) return call.answer({ coordinators: request.coordinatorKeys.map(find) })
  const { errorCode, errorMessage, host, nodeId, port } = find(request.key)
  call.answer({ errorCode, errorMessage: version === 0 ? null : errorMessage, nodeId, host, port })
})
