/**
 * InitProducerId, v0–v5, without transactional ids: a new producer id with epoch 0 at each call, also where an id and
 * epoch are given (KIP-360), as a real broker answers an idempotent producer.
 */
import * as Api from "../../protocol/messages/InitProducerId.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const initProducerId = handler("InitProducerId", Api, (call) => {
  const { cluster } = call
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected })
  // both are given, or neither
  if (call.request.producerId < 0 !== call.request.producerEpoch < 0)
    return call.answer({ errorCode: Code.invalidRequest, producerEpoch: -1 })
  call.answer({ producerId: cluster.newProducerId(), producerEpoch: 0 })
})
