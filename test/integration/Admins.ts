/** What the tests of `Admin` on real brokers share: a client, Java's tools, and how answers are read. */
import { assert } from "@effect/vitest"
import { Effect, Layer, Result, Schedule } from "effect"
import { Admin, Kafka, Producer } from "samsa"
import * as JavaTools from "./JavaTools.ts"
import * as KafkaServer from "./KafkaServer.ts"

/** What one of Java's tools says of the cluster. */
export const tool = (name: string, ...args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const { bootstrap } = yield* KafkaServer.KafkaServer
    const tools = yield* JavaTools.JavaTools
    return yield* tools.run(`kafka.admin.${name}`, "--bootstrap-server", bootstrap.join(","), ...args)
  })

/** Until it holds: brokers take some changes after they have answered. */
export const eventually = <A, E, R>(self: Effect.Effect<A, E, R>, holds: (value: A) => boolean) =>
  self.pipe(
    Effect.flatMap((value) => (holds(value) ? Effect.succeed(value) : Effect.fail(value))),
    Effect.retry({ schedule: Schedule.spaced("50 millis"), times: 200 })
  )

export const withAdmin = <A, E, R>(self: Effect.Effect<A, E, R>) =>
  Effect.flatMap(KafkaServer.KafkaServer, ({ bootstrap, version }) =>
    self.pipe(
      Effect.scoped,
      Effect.provide(
        Layer.merge(
          Admin.layer({ timeout: "30 seconds" }),
          Producer.layer({ idempotent: !version.startsWith("0.") })
        ).pipe(Layer.provideMerge(Kafka.layer({ bootstrap, clientId: "samsa-admin" })))
      )
    )
  )

export const value = <A>(answer: Admin.Answer<A> | undefined): A => {
  if (answer === undefined || Result.isFailure(answer)) assert.fail(`failed: ${answer?.failure.message}`)
  return answer.success
}
export const failure = <A>(answer: Admin.Answer<A> | undefined) => {
  if (answer === undefined || Result.isSuccess(answer)) assert.fail("it did not fail")
  return answer.failure
}
export const codeOf = <A>(answer: Admin.Answer<A> | undefined): number | string => {
  const { reason } = failure(answer)
  return reason._tag === "Server" || reason._tag === "GroupRefused" ? reason.code : reason._tag
}
