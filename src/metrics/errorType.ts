/** How something failed, as the attribute `error.type`: few of them, so that series stay few. */
import * as Cause from "effect/Cause"
import * as Exit from "effect/Exit"
import * as ErrorCode from "../ErrorCode.ts"
import * as KafkaError from "../KafkaError.ts"

/** A broker's code by its name, else the reason. */
export const errorType = ({ reason }: KafkaError.KafkaError): string =>
  "code" in reason && reason.code !== undefined && reason._tag !== "ZooKeeperRefused"
    ? ErrorCode.get(reason.code).name
    : reason._tag

/** Of what the application wrote: also the tag or the name of its own error. Undefined where it did not fail, or was interrupted. */
export const failureType = (exit: Exit.Exit<unknown, unknown>): string | undefined => {
  if (Exit.isSuccess(exit) || Cause.hasInterruptsOnly(exit.cause)) return undefined
  const error = Cause.squash(exit.cause)
  if (error instanceof KafkaError.KafkaError) return errorType(error)
  const tag = (error as { readonly _tag?: unknown } | undefined)?._tag
  return typeof tag === "string" ? tag : error instanceof Error ? error.name : "_OTHER"
}

/** The same of what also counts where it was interrupted. Undefined where it ended well. */
export const endType = (exit: Exit.Exit<unknown, unknown>): string | undefined =>
  Exit.isSuccess(exit) ? undefined : (failureType(exit) ?? "interrupted")
