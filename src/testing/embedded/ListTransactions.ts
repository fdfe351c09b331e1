/** ListTransactions, v0–v2: the transactional ids that this broker coordinates; by age from v1, by pattern from v2. */
import * as Api from "../../protocol/messages/ListTransactions.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"
import * as TransactionState from "./TransactionState.ts"

const patternOf = (text: string | null): RegExp | undefined => {
  if (text === null || text === "") return undefined
  return new RegExp(`^(?:${text})$`)
}

export const listTransactions = handler("ListTransactions", Api, (call) => {
  const { cluster, node, request } = call
  const { durationFilter, producerIdFilters, stateFilters } = request
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected })
  let pattern: RegExp | undefined
  try {
    pattern = patternOf(request.transactionalIdPattern)
  } catch {
    return call.answer({ errorCode: Code.invalidRegularExpression })
  }
  const known: ReadonlyArray<string> = TransactionState.states
  const now = cluster.env.now()
  const fits = (t: TransactionState.Transaction): boolean =>
    cluster.coordinator("transaction", t.transactionalId)?.id === node.id &&
    call.deniedTransaction(t.transactionalId) === Code.none &&
    (producerIdFilters.length === 0 || producerIdFilters.includes(t.producerId)) &&
    (stateFilters.length === 0 || stateFilters.includes(t.state)) &&
    // what never began is as old as can be
    (durationFilter < 0 || now - t.startedAt > durationFilter) &&
    (pattern === undefined || pattern.test(t.transactionalId))
  call.answer({
    unknownStateFilters: stateFilters.filter((state) => !known.includes(state)),
    // where no state that is asked for is known, none is listed
    transactionStates: cluster.transactions.all.filter(fits).map(({ producerId, state, transactionalId }) => ({
      transactionalId,
      producerId,
      transactionState: state
    }))
  })
})
