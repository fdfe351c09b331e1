/** Asks a port, without TLS, whether a broker answers there. */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Scope from "effect/Scope"
import type * as KafkaError from "../KafkaError.ts"
import type { Connection, Handler } from "../Network.ts"
import * as Resume from "../Resume.ts"
import * as Frame from "../protocol/Frame.ts"
import * as ApiVersions from "../protocol/messages/ApiVersions.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"

type Connect = (handler: Handler) => Effect.Effect<Connection, KafkaError.KafkaError, Scope.Scope>

/** What an answer has behind its size: none of another protocol has it by chance. */
const header = { correlationId: 0x53616d73, clientId: null }
/** Brokers before 0.10 close at ApiVersions, and answer Metadata. */
const questions = [
  () => Frame.encodeRequest(ApiVersions.Request, 0, header, {}),
  () => Frame.encodeRequest(Metadata.Request, 0, header, { topics: [] })
]

/** Whether one does, with so many milliseconds for each question. */
export const isAnswered = (connect: Connect, millis: number): Effect.Effect<boolean> =>
  Effect.reduce(
    questions,
    () => false,
    (isSo, question) => (isSo ? Effect.succeed(true) : answers(question, connect, millis))
  )

const answers = (question: () => ReadonlyArray<Uint8Array>, connect: Connect, millis: number) =>
  Effect.gen(function* () {
    const answered = Deferred.makeUnsafe<boolean>()
    const tell = (isSo: boolean) => void Deferred.doneUnsafe(answered, Exit.succeed(isSo))
    let seen = Buffer.alloc(0)
    const connection = yield* connect({
      onData: (chunk) => {
        seen = Buffer.concat([seen, chunk]).subarray(0, 8)
        if (seen.length === 8) tell(Frame.readCorrelationId(seen.subarray(4)) === header.correlationId)
      },
      onClose: () => tell(false)
    })
    connection.write(question())
    return yield* Resume.awaiting(answered)
  }).pipe(
    Effect.scoped,
    Effect.orElseSucceed(() => false),
    Effect.timeoutOrElse({ duration: millis, orElse: () => Effect.succeed(false) })
  )
