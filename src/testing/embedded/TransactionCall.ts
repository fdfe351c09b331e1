/** What every request to a transaction coordinator is asked first. */
import * as Code from "./Code.ts"
import type { Call } from "./Handler.ts"
import { misdirected } from "./WrongBroker.ts"

/** Why this broker does not serve the transactional id; 0 where it does. */
export const refusal = (call: Call<any, any>, transactionalId: string): number => {
  const injected = call.injected()
  if (injected !== Code.none) return injected
  const denied = call.deniedTransaction(transactionalId)
  if (denied !== Code.none) return denied
  if (transactionalId === "") return Code.invalidRequest
  return elsewhere(call, transactionalId)
}

/** NOT_COORDINATOR where another broker coordinates it. */
export const elsewhere = (call: Call<any, any>, transactionalId: string): number => {
  const coordinator = call.cluster.coordinator("transaction", transactionalId)
  if (coordinator === undefined) return Code.coordinatorNotAvailable
  if (coordinator.id === call.node.id) return Code.none
  misdirected(call, "transaction", transactionalId)
  return Code.notCoordinator
}

/** PRODUCER_FENCED, as a client of before 2.7 knows it. */
export const fencedAs = (code: number, version: number, since: number): number =>
  code === Code.producerFenced && version < since ? Code.invalidProducerEpoch : code
