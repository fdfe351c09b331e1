/**
 * The error codes of the Kafka protocol: number, name, message, and whether a request that failed with it may be
 * sent again. Source: `org.apache.kafka.common.protocol.Errors`.
 */

/** One row of the table. */
export interface ErrorCode {
  readonly code: number
  /** As the protocol spells it: `NOT_LEADER_OR_FOLLOWER`. */
  readonly name: string
  readonly message: string
  readonly retriable: boolean
}

const rows: ReadonlyArray<readonly [code: number, name: string, message: string, retriable?: 1]> = [
  [-1, "UNKNOWN_SERVER_ERROR", "The server experienced an unexpected error when processing the request."]
]

const table = new Map(
  rows.map(([code, name, message, retriable]) => [code, { code, name, message, retriable: retriable === 1 }])
)

/** The row of a code. A code that no release knows yet keeps its number, and is not retriable. */
export const get = (code: number): ErrorCode =>
  table.get(code) ?? {
    code,
    name: `UNKNOWN_${code}`,
    message: `error code ${code}, which this client does not know`,
    retriable: false
  }
