/** `samsa users`: who may log in by SCRAM. */
import { isUtf8 } from "node:buffer"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Redacted from "effect/Redacted"
import * as Argument from "effect/cli/Argument"
import * as Command from "effect/cli/Command"
import * as Flag from "effect/cli/Flag"
import * as Prompt from "effect/cli/Prompt"
import { Admin } from "../Admin.ts"
import * as Confirm from "./Confirm.ts"
import * as Connection from "./Connection.ts"
import { defaulting } from "./Defaulting.ts"
import { failed, wrong } from "./Failed.ts"
import * as Records from "./records.ts"
import * as Show from "./Show.ts"

const { flags, jsonFlag: json } = Connection

const scram = Flag.Literals("scram", ["SCRAM-SHA-256", "SCRAM-SHA-512"])

const list = Command.make("list", { ...flags, json }, (given) =>
  Connection.connected(
    given,
    Effect.gen(function* () {
      const admin = yield* Admin
      const users = yield* admin.listUsers()
      yield* given.json
        ? Show.rows(true, users, [], () => [])
        : Show.rows(
            false,
            users.flatMap(({ credentials, user }) => credentials.map((one) => ({ user, ...one }))),
            ["USER", "MECHANISM", "ITERATIONS"],
            (one) => [one.user, one.mechanism, one.iterations]
          )
    })
  )
).pipe(Command.withDescription("All users with how they may log in"))

/** The first line of the input, once it is there: what writes it may be slow, or leave it open behind it. */
const firstLine = Effect.tryPromise({
  try: async () => {
    const splitter = Records.lineSplitter()
    for await (const piece of process.stdin) {
      const [line] = splitter.push(piece as Buffer)
      if (line !== undefined) return line
    }
    return splitter.end()[0] ?? ""
  },
  catch: (error) => failed(`the input: ${(error as Error).message}`, error)
}).pipe(Effect.map((line) => Buffer.from(line, "latin1")))

/** The new password: asked for on a terminal, else the first line of the input. */
const password = (user: string) =>
  process.stdin.isTTY === true
    ? Prompt.Hidden({ message: `The password of ${user}` }).pipe(
        Effect.mapError((error) => failed("nothing was done", error))
      )
    : firstLine.pipe(
        // Bytes that are no text would be replaced, and be a password that nobody has.
        Effect.filterOrFail(isUtf8, () => wrong("the password is no UTF-8")),
        Effect.map((bytes) => Redacted.make(bytes.toString()))
      )

const set = Command.make(
  "set",
  {
    name: Argument.String("name"),
    ...flags,
    json,
    scram: scram.pipe(defaulting("How the user is to log in", "SCRAM-SHA-512")),
    iterations: Flag.Int("iterations").pipe(defaulting("From 4096 to 16384", 8192))
  },
  (given) =>
    Effect.gen(function* () {
      const secret = yield* password(given.name)
      if (Redacted.value(secret) === "")
        return yield* wrong("the password is empty: without a terminal it is the first line of the input")
      yield* Connection.connected(
        given,
        Effect.gen(function* () {
          const admin = yield* Admin
          const change = { user: given.name, mechanism: given.scram, password: secret, iterations: given.iterations }
          const done = yield* admin.alterUsers([change])
          yield* Show.changed(given.json, "set", [`${given.scram} of ${given.name}`], done, String)
        })
      )
    })
).pipe(
  Command.withDescription("Sets a password: asked for on a terminal, else the first line of the input"),
  Command.withExamples([
    { command: "samsa users set alice", description: "Asks for the password" },
    { command: "samsa users set alice --scram SCRAM-SHA-256 < password", description: "Takes it from a file" }
  ])
)

const remove = Command.make(
  "delete",
  {
    name: Argument.String("name"),
    ...flags,
    json,
    scram: scram.pipe(Flag.withDescription("This one alone. Default: all that the user has"), Flag.optional),
    dryRun: Confirm.dryRun,
    yes: Confirm.yes
  },
  (given) =>
    Connection.connected(
      given,
      Effect.gen(function* () {
        const admin = yield* Admin
        const described = yield* admin.describeUsers([given.name])
        yield* Show.answers([given.name], described, String)
        const has = described.flatMap((one) => (one._tag === "Success" ? one.success.credentials : []))
        const wanted = has
          .map(({ mechanism }) => mechanism)
          .filter((mechanism) => Option.isNone(given.scram) || given.scram.value === mechanism)
        if (wanted.length === 0) return yield* failed(`${given.name} has nothing of that kind`)
        const names = wanted.map((mechanism) => `${mechanism} of ${given.name}`)
        if (given.dryRun) return yield* Show.done(given.json, "would delete", names)
        yield* Confirm.wanted(`delete ${names.join(" and ")}`, given.yes)
        const changes = wanted.map((mechanism) => ({ user: given.name, mechanism, delete: true as const }))
        yield* Show.changed(given.json, "deleted", names, yield* admin.alterUsers(changes), String)
      })
    )
).pipe(Command.withDescription("Takes a user's passwords away"))

export const command = Command.make("users").pipe(
  Command.withDescription("Users that log in by SCRAM: list, set, delete"),
  Command.withSubcommands([list, set, remove]),
  Command.withExamples([
    { command: "samsa users list", description: "All, with how they log in" },
    { command: "samsa users set alice < password.txt", description: "A password, from a file" }
  ])
)
