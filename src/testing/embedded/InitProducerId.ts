/**
 * InitProducerId, v0–v5. Without a transactional id a new producer id with epoch 0 at each call, also where an id and
 * epoch are given, as a real broker answers an idempotent producer. With one, its producer with the next epoch: who had
 * the one before is fenced, and what is open is aborted first (CONCURRENT_TRANSACTIONS). Who gives an id and epoch, from
 * v3 on, has its own epoch raised, or is fenced itself (KIP-360).
 */
import * as Api from "../../protocol/messages/InitProducerId.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import { elsewhere, fencedAs } from "./TransactionCall.ts"

/** `transaction.max.timeout.ms`. */
const maxTimeout = 900_000

export const initProducerId = handler("InitProducerId", Api, (call) => {
  const { cluster, request, version } = call
  const { producerEpoch, producerId, transactionalId, transactionTimeoutMs } = request
  const refuse = (code: number) => call.answer({ errorCode: fencedAs(code, version, 4), producerEpoch: -1 })
  const injected = call.injected()
  if (injected !== Code.none) return refuse(injected)
  const denied = transactionalId === null ? Code.none : call.deniedTransaction(transactionalId)
  if (denied !== Code.none) return refuse(denied)
  // both are given, or neither
  if (producerId < 0 !== producerEpoch < 0) return refuse(Code.invalidRequest)
  if (transactionalId === null) return call.answer({ producerId: cluster.newProducerId(), producerEpoch: 0 })
  if (transactionalId === "") return refuse(Code.invalidRequest)
  if (transactionTimeoutMs <= 0 || transactionTimeoutMs > maxTimeout) return refuse(Code.invalidTransactionTimeout)
  const away = elsewhere(call, transactionalId)
  if (away !== Code.none) return refuse(away)
  cluster.createTransactionsTopic()
  const expected = producerId < 0 ? undefined : { producerId, epoch: producerEpoch }
  const answer = cluster.transactions.initialise(transactionalId, transactionTimeoutMs, expected)
  if (answer.code !== Code.none) return refuse(answer.code)
  call.answer({ producerId: answer.producerId, producerEpoch: answer.epoch })
})
