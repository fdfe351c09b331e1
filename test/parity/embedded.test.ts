/**
 * The embedded broker answers as the real one of the same release did: `answers/*.jsonl` were recorded from Apache Kafka by
 * `test/integration/parity.test.ts`, which asks the same cases.
 */
import { assert, describe, it } from "@effect/vitest"
import { Effect } from "effect"
import * as Book from "./Book.ts"
import { cases } from "./cases/index.ts"
import * as Embedded from "./Embedded.ts"
import * as Lab from "./Lab.ts"

for (const release of Lab.releases) {
  const book = Book.open(release)
  const asked = Lab.forRelease(cases, release)
  describe(`as Apache Kafka ${release}`, () => {
    for (const one of asked) {
      const name = Lab.nameOf(one)
      it.effect(name, () =>
        Effect.gen(function* () {
          const { answer, transcript } = yield* Embedded.driven(Lab.ask(one)).pipe(
            Effect.provide(Embedded.layer(release, one.behaviour.startsWith("fresh cluster")))
          )
          book.embedded(name, answer, transcript)
        })
      )
    }

    it("has no answers of cases that there are not, and every difference is written down, and no other", () => {
      const names = new Set(asked.map(Lab.nameOf))
      assert.deepStrictEqual(
        book.names.filter((name) => !names.has(name)),
        []
      )
      console.log(
        `parity with Apache Kafka ${release}: ${asked.length} cases of ${new Set(asked.map((one) => one.api)).size} APIs, ${book.differences.length} differences written down`
      )
      assert.deepStrictEqual([...book.written].sort(), [...book.differences].sort())
    })
  })
}

it("the guide says how many cases there are", () => {
  const apis = new Set(cases.map((one) => one.api)).size
  assert.include(Book.guide(), `\`test/parity\` asks ${cases.length} cases of ${apis} APIs`)
})
