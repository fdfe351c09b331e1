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
  call.answer({ producerId: cluster.newProducerId(), producerEpoch: 0 })
})
