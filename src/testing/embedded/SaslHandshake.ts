/**
 * SaslHandshake, v0–v1: chooses a mechanism; after v0 bare tokens follow. An unknown mechanism is answered with the list,
 * and the connection closes. Without SASL on the listener: ILLEGAL_SASL_STATE.
 */
import * as Api from "../../protocol/messages/SaslHandshake.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

export const saslHandshake = handler("SaslHandshake", Api, (call) => {
  const { cluster, connection, request, version } = call
  const session = connection.sasl
  const injected = call.injected()
  const none = cluster.settings.profile.since("1.1") ? [] : ["GSSAPI"]
  if (session === undefined || injected !== Code.none)
    return call.answer({ errorCode: injected === Code.none ? Code.illegalSaslState : injected, mechanisms: none })
  const errorCode = session.handshake(request.mechanism, version)
  call.answer({ errorCode, mechanisms: session.settings.mechanisms })
  if (errorCode === Code.unsupportedSaslMechanism) connection.close()
})
