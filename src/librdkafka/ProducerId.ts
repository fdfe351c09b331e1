/**
 * Pure. Whether a client of librdkafka is refused the producer id of its idempotence, for want of a right. librdkafka ends
 * such a client, and says of its records only that it has given them up: why, it tells by an event that comes before.
 */
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"
import * as RdError from "./RdError.ts"

const { CLUSTER_AUTHORIZATION_FAILED } = ErrorCode.codes

/** A class, since what is known of a client changes with what it tells. */
export class ProducerId {
  #isNew = true
  #refusal: KafkaError.KafkaError | undefined

  /** Why it has none; undefined where it was not refused. */
  get refusal(): KafkaError.KafkaError | undefined {
    return this.#refusal
  }

  /** It was refused the first that it asked for, before anything else happened: nothing was ever sent with one. */
  get hadNone(): boolean {
    return this.#isNew && this.#refusal !== undefined
  }

  /** An error that its client tells; nothing else asks for a right of the cluster. */
  hear(message: string): void {
    if (RdError.codeOf(message) !== CLUSTER_AUTHORIZATION_FAILED) this.use()
    else this.#refusal ??= KafkaError.fromCode(CLUSTER_AUTHORIZATION_FAILED, { api: "InitProducerId" })
  }

  /** Something was sent, or may have been. */
  use(): void {
    this.#isNew = false
  }
}
