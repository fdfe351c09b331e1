/**
 * Pure. How a command ends that could not do what it was asked: one line on the error stream, with what to do about it,
 * and an exit code (`docs/cli.md`).
 */
import * as Data from "effect/Data"
import type { KafkaError } from "../KafkaError.ts"
import { printable } from "./printable.ts"

/** Exit codes. A signal that ends what was not done is 130 (SIGINT) or 143 (SIGTERM). */
export const exits = {
  /** The cluster refused it, wholly or for some of what was asked; or the answer was no. */
  refused: 1,
  /** The command line is wrong: nothing was changed. */
  usage: 2,
  /** No broker was reached, or none answered in time. */
  unreachable: 3,
  /** The cluster does not let this user in, or not do this. */
  denied: 4
} as const

/** Why a command failed. */
export class Failed extends Data.TaggedError("Failed")<{
  readonly message: string
  readonly exitCode: number
  readonly cause: unknown
}> {
  /** What the process ends with. */
  override get "~effect/Runtime/errorExitCode"(): number {
    return this.exitCode
  }
}

/** What failed at its work. */
export const failed = (message: string, cause: unknown = message): Failed =>
  new Failed({ message, cause, exitCode: exits.refused })

/** What the user has to write differently. */
export const wrong = (message: string, cause: unknown = message): Failed =>
  new Failed({ message, cause, exitCode: exits.usage })

/** The exit code of a failure. */
export const exitOf = ({ reason }: KafkaError): number => {
  switch (reason._tag) {
    case "Unreachable":
    case "TimedOut":
    case "WrongProtocol":
      return exits.unreachable
    case "NotDelivered":
      // Without a code no broker has said anything until the time was over.
      return reason.code === undefined ? exits.unreachable : exits.refused
    case "Unauthenticated":
    case "Unauthorized":
      return exits.denied
    case "Misconfigured":
      return exits.usage
    default:
      return exits.refused
  }
}

/** The code MESSAGE_TOO_LARGE, not by its name: `--help` is not to load the table of codes. */
const refusedAsTooLarge = 10

/** What can be done about a failure; empty where the message says so itself. */
const advice = ({ reason }: KafkaError): string => {
  switch (reason._tag) {
    case "Unreachable":
      return "is --bootstrap right, and is a broker up there?"
    case "TimedOut":
      return "--timeout gives it longer"
    case "NotDelivered":
      if (reason.code === undefined) return "--timeout gives it longer"
      return reason.code === refusedAsTooLarge
        ? `samsa config set topic ${reason.topic} max.message.bytes=BYTES lets longer records in`
        : ""
    case "UnknownTopic":
      return "samsa topics list shows those that there are, samsa topics create makes one"
    case "Unauthenticated":
      return "--user, --mechanism and KAFKA_SASL_PASSWORD say who logs in"
    case "Unauthorized":
      return "samsa acls list shows who may do what"
    case "Misconfigured":
      return reason.mistakes.some((one) => one.startsWith("sasl."))
        ? "--user, --mechanism and KAFKA_SASL_PASSWORD say who logs in"
        : ""
    case "GroupRefused":
      return reason.name === "GROUP_ID_NOT_FOUND" && reason.groupType === undefined
        ? "samsa groups list shows those that there are"
        : ""
    default:
      return ""
  }
}

/** A failure in words, with what to do about it. */
export const explained = (error: KafkaError): string => {
  const what = advice(error)
  return what === "" ? error.message : `${error.message} (${what})`
}

/** A failure of the library as one of the command. */
export const ofKafka = (error: KafkaError): Failed =>
  new Failed({ message: printable(explained(error)), cause: error, exitCode: exitOf(error) })
