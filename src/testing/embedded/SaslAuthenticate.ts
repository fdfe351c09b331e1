/** SaslAuthenticate, v0–v2: one token of the exchange; v1 tells how long the session lasts. */
import * as Api from "../../protocol/messages/SaslAuthenticate.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const saslAuthenticate = handler("SaslAuthenticate", Api, (call) => {
  const { cluster, connection, request } = call
  const session = connection.sasl
  const injected = call.injected()
  if (injected !== Code.none)
    return call.answer({ errorCode: injected, errorMessage: null, authBytes: new Uint8Array(0) })
  if (session === undefined)
    return call.answer({ errorCode: Code.illegalSaslState, errorMessage: null, authBytes: new Uint8Array(0) })
  const step = session.step(Uint8Array.from(request.authBytes), cluster.env.now())
  if (step._tag === "Failed") {
    cluster.env.after(session.settings.failureDelay, () => {
      call.answer({
        errorCode: Code.saslAuthenticationFailed,
        errorMessage: step.message,
        authBytes: new Uint8Array(0)
      })
      connection.close()
    })
    return
  }
  call.answer({
    errorCode: Code.none,
    // As real ones from 2.8 on say it.
    errorMessage: call.cluster.settings.profile.since("2.8") ? "" : null,
    authBytes: step.token,
    sessionLifetimeMs: step._tag === "Done" ? session.settings.sessionLifetime : 0
  })
})
