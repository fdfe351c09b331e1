/** Pure. An error as the attribute `error.type`: a broker's code by its name, else the reason. Few of them, so that series stay few. */
import * as ErrorCode from "../ErrorCode.ts"
import type { KafkaError } from "../KafkaError.ts"

export const errorType = ({ reason }: KafkaError): string =>
  "code" in reason && reason.code !== undefined && reason._tag !== "ZooKeeperRefused"
    ? ErrorCode.get(reason.code).name
    : reason._tag
