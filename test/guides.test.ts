// The programs of the guides, run as they stand there: those that are tests as such; what others export as an Effect on the
// embedded broker, for a minute of its clock. It may go on after that, or fail with what it is to show; it may be no
// mistake.
import * as fs from "node:fs"
import * as path from "node:path"
import { assert, describe, it } from "@effect/vitest"
import { Cause, Effect, Exit, Fiber, Layer } from "effect"
import { TestClock } from "effect/testing"
import { Admin, KafkaError, Producer, Transaction } from "samsa"
import { KafkaTest } from "samsa/testing"
import * as Links from "./reference/links.ts"

const root = path.join(import.meta.dirname, "..")
const out = path.join(root, "test/.guides")
fs.rmSync(out, { recursive: true, force: true })
fs.mkdirSync(out)

const TestLayer = Layer.mergeAll(Producer.layer(), Admin.layer(), Transaction.layer({ transactionalId: "t" })).pipe(
  Layer.provideMerge(KafkaTest.layer())
)

/** How it has ended within a minute; undefined where it goes on. */
const ended = (program: Effect.Effect<unknown, unknown, any>) =>
  Effect.gen(function* () {
    const running = yield* Effect.forkChild(Effect.scoped(program) as Effect.Effect<unknown, unknown>)
    for (let i = 0; i < 240 && running.pollUnsafe() === undefined; i++) yield* TestClock.adjust(250)
    const exit = running.pollUnsafe()
    yield* KafkaTest.advanceUntil(Fiber.interrupt(running))
    return exit
  })

/** What it died of, or is told of as the program's own mistake. */
const mistakeOf = (cause: Cause.Cause<unknown>): string | undefined => {
  const failure = cause.reasons.find((one) => one._tag === "Fail")?.error
  const tag = KafkaError.isKafkaError(failure) ? failure.reason._tag : undefined
  const isOne = cause.reasons.some((one) => one._tag === "Die") || tag === "Misuse" || tag === "Misconfigured"
  return isOne ? Cause.pretty(cause) : undefined
}

const isTest = (program: string): boolean => program.includes(`from "@effect/vitest"`)

/** Loads a program, and runs what it exports as an Effect. */
const runs = async (file: string): Promise<void> => {
  const exported: Readonly<Record<string, unknown>> = await import(/* @vite-ignore */ file)
  it("is loaded", () => assert.isDefined(exported))
  for (const [name, value] of Object.entries(exported)) {
    if (!Effect.isEffect(value)) continue
    it.effect(`${name} is no mistake`, () =>
      Effect.gen(function* () {
        // "A day ago" is not before 1970.
        yield* TestClock.setTime(Date.UTC(2026, 0, 1))
        const exit = yield* ended(value as Effect.Effect<unknown, unknown, any>)
        const mistake = exit !== undefined && Exit.isFailure(exit) ? mistakeOf(exit.cause) : undefined
        assert.isUndefined(mistake)
      }).pipe(Effect.provide(TestLayer))
    )
  }
}

/** They run in tests of their own. */
const examples = new Set(
  ["billing.ts", "service.ts"].map((name) => fs.readFileSync(path.join(root, "docs/examples", name), "utf8"))
)

const guides = ["README.md", ...fs.readdirSync(path.join(root, "docs")).map((name) => `docs/${name}`)]
for (const guide of guides.filter((name) => name.endsWith(".md"))) {
  const text = fs.readFileSync(path.join(root, guide), "utf8")
  const programs = [...text.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, program]) => program!)
  for (const [i, program] of programs.entries()) {
    // What imports a file beside it is the test of an example, which runs as such; what is only declared has no value.
    if (/from "\.\/|^declare /m.test(program) || examples.has(program)) continue
    const file = path.join(out, `${path.basename(guide, ".md")}-${i + 1}.ts`)
    fs.writeFileSync(file, program)
    describe(`${guide} (${i + 1})`, () => (isTest(program) ? import(/* @vite-ignore */ file) : runs(file)))
  }
}

for (const name of ["streams.ts", "transactions.ts", "layers.ts", "by-hand.ts"])
  describe(`docs/examples/${name}`, () => runs(path.join(root, "docs/examples", name)))

/** A guide that shows a program of the examples, and its test as a file beside it. */
const shows = (guide: string, program: string, test: string) => {
  const text = fs.readFileSync(path.join(root, guide), "utf8")
  const source = fs.readFileSync(path.join(root, "test/programs", test), "utf8")
  assert.include(text, fs.readFileSync(path.join(root, "docs/examples", program), "utf8"))
  assert.include(text, source.slice(source.indexOf("\n") + 1).replace(`../../docs/examples/${program}`, `./${program}`))
}

it("the README shows the first program and its test as they are", () => {
  shows("README.md", "billing.ts", "billing.test.ts")
})

it("getting started shows the service and its test as they are", () => {
  shows("docs/getting-started.md", "service.ts", "service.test.ts")
})

it("links between the guides lead to what is there", () => {
  assert.deepStrictEqual(
    Links.dead(
      root,
      guides.filter((name) => name.endsWith(".md"))
    ),
    []
  )
})
