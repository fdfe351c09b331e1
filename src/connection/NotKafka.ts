/** What has never spoken Kafka to us is something else, and is shown by its first bytes. Pure. */
import * as KafkaError from "../KafkaError.ts"

/** How many bytes of an answer that is no response are shown. */
export const shownBytes = 16

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
