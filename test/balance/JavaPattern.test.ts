/** Expressions of Java, by what JavaScript says of those that mean the same in both. */
import { assert, describe, it } from "@effect/vitest"
import * as JavaPattern from "../../src/balance/JavaPattern.ts"
import { choices } from "../../src/testing/simulation/Choices.ts"

describe("JavaPattern", () => {
  it("matches whole texts as JavaScript does", () => {
    const { below, chance, of } = choices(13)
    const atoms = [
      "a",
      "b",
      ".",
      "\\.",
      "\\w",
      "\\D",
      "[ab]",
      "[^a-c]",
      "[\\d.-]",
      "^",
      "$",
      "\\b",
      "(?=a)",
      "(?!b.)",
      "(?!.*c)"
    ]
    const expression = (depth: number): string => {
      const branch = () =>
        Array.from({ length: below(4) }, () => {
          const one = depth > 0 && chance(0.4) ? `${of(["(", "(?:", "(?<n>"])}${expression(depth - 1)})` : of(atoms)
          const isPlace = /^(\^|\$|\\b|\(\?[=!])/.test(one)
          return (
            one + (isPlace ? "" : of(["", "", "", "*", "+", "?", "*?", "+?", "??", "{2}", "{0,2}", "{1,}", "{1,3}?"]))
          )
        }).join("")
      return Array.from({ length: 1 + below(3) }, branch).join("|")
    }
    let matched = 0
    for (let i = 0; i < 1000; i++) {
      const source = expression(2).replaceAll("(?<n>", () => `(?<n${i++}>`)
      const regex = new RegExp(`^(?:${source})$`)
      for (let n = 0; n < 5; n++) {
        const text = Array.from({ length: below(7) }, () => of(["a", "b", "c", "1", ".", "-"])).join("")
        const expected = regex.test(text)
        if (expected) matched++
        assert.strictEqual(JavaPattern.test(source, text), expected, `${source} of ${JSON.stringify(text)}`)
      }
    }
    assert.isAbove(matched, 250)
  })

  it("knows what is Java's alone", () => {
    const cases: ReadonlyArray<readonly [source: string, text: string, is: boolean | undefined]> = [
      ["\\Qa.b\\E.*", "a.b1", true],
      ["\\Qa.b\\E.*", "acb1", false],
      ["\\Qa*b\\E+\\Q.\\E?", "a*bb", true],
      ["\\\\Q", "\\Q", true],
      ["\\p{Alpha}+-\\P{Digit}", "abc-x", true],
      ["\\p{Lower}+", "aBc", false],
      ["\\Aab\\z", "ab", true],
      ["a{2}", "aa", true],
      // a range from or to what is escaped (zk-25)
      ["[a-z\\.-_]+", "a-b", false],
      ["[a-z\\.-_]+", "a9Z", true],
      ["[!-\\.]+", "+-.", true],
      ["[\\--a]", "A", true],
      ["[\\d-a]+", "1-a", true],
      ["[\\.\\-_]+", ".-_", true],
      ["[a-\\d]", "a", undefined],
      ["[_-\\.]", "_", undefined],
      ["(?<n>a)(?<n>b)", "ab", undefined],
      // of another engine, or refused by Java
      ["(?<=a)b", "ab", undefined],
      ["a++b", "aab", undefined],
      ["(?>a|ab)c", "abc", undefined],
      ["[a-c&&[^b]]", "a", undefined],
      ["\\p{IsGreek}", "a", undefined],
      ["\\y", "y", undefined],
      ["[]", "a", undefined],
      ["*", "a", undefined],
      ["(a", "a", undefined],
      ["a)", "a", undefined],
      ["a{2,1}", "aa", undefined]
    ]
    for (const [source, text, is] of cases) assert.strictEqual(JavaPattern.test(source, text), is, source)
  })

  it("has room for a list of a thousand topics", () => {
    const list = Array.from({ length: 1000 }, (_, i) => `a.topic-with_a-name-of-${i}`).join("|")
    assert.isTrue(JavaPattern.test(list, "a.topic-with_a-name-of-999"))
    assert.isFalse(JavaPattern.test(list, "a.topic-with_a-name-of-1000"))
  })
})
