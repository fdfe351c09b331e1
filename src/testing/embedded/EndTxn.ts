/**
 * EndTxn, v0–v5: decides, and answers before the markers are written. From v5 on (KIP-890) the epoch grows with each end,
 * and who asks again is told it again.
 */
import * as Api from "../../protocol/messages/EndTxn.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as TransactionCall from "./TransactionCall.ts"

export const endTxn = handler("EndTxn", Api, (call) => {
  const { cluster, request, version } = call
  const { committed, producerEpoch, producerId, transactionalId } = request
  const refused = TransactionCall.refusal(call, transactionalId)
  if (refused !== Code.none) return call.answer({ errorCode: refused })
  const raises = version >= 5
  const answer = cluster.transactions.end(transactionalId, { producerId, epoch: producerEpoch }, committed, raises)
  call.answer({
    errorCode: TransactionCall.fencedAs(answer.code, version, 2),
    ...(raises && answer.code === Code.none
      ? { producerId: answer.producerId, producerEpoch: answer.epoch }
      : undefined)
  })
})
