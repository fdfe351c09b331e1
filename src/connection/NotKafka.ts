/** What has never spoken Kafka to us is something else, and is shown by its first bytes. Pure. */
import * as KafkaError from "../KafkaError.ts"
import * as Frame from "../protocol/Frame.ts"
import type { InFlightRequest } from "./InFlightRequest.ts"

/** How many bytes of an answer that is no response are shown. */
export const shownBytes = 16

/** Whether an answer that begins so is one to this request: no other protocol has its number there by chance. */
export const answers = (first: Uint8Array, due: InFlightRequest | undefined): boolean =>
  first.length >= 8 && due?.raw === false && Frame.readCorrelationId(first.subarray(4)) === due.correlationId

/** The error of an answer that begins with these bytes. */
export const notKafka = (first: Uint8Array, address: string, cause: KafkaError.KafkaError): KafkaError.KafkaError => {
  const text = String.fromCharCode(...first)
  const shown = /^[\x20-\x7e\r\n\t]+$/.test(text)
    ? JSON.stringify(text)
    : Array.from(first, (byte) => byte.toString(16).padStart(2, "0")).join(" ")
  return KafkaError.make(
    {
      _tag: "WrongProtocol",
      seen: `the answer is no response of Kafka's protocol: it begins with ${shown}`,
      hint: "this may be the port of another service, or of a controller",
      broker: address
    },
    cause
  )
}

/** What came up while a response was read: what is no error of ours is told as damage. */
export const asKafkaError = (error: unknown, broker: string): KafkaError.KafkaError =>
  error instanceof KafkaError.KafkaError
    ? error
    : KafkaError.make({ _tag: "Corrupt", what: "response", problem: String(error), broker }, error)
