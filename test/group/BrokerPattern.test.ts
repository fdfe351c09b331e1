import { assert, describe, it } from "@effect/vitest"
import * as BrokerPattern from "../../src/group/BrokerPattern.ts"

describe("BrokerPattern", () => {
  const same: ReadonlyArray<readonly [RegExp, string]> = [
    [/^orders-\d+$/, "(?s).*(?:^orders-\\d+$).*"],
    [/orders/, "(?s).*(?:orders).*"],
    [/^(?:a|b)\.c/, "(?s).*(?:^(?:a|b)\\.c).*"],
    [/^o[a-z_.-]{2,3}?$/, "(?s).*(?:^o[a-z_.-]{2,3}?$).*"],
    [/^[^_]/, "(?s).*(?:^[^_]).*"],
    [/orders/i, "(?si).*(?:orders).*"],
    [/orders/gm, "(?sm).*(?:orders).*"],
    [/^(orders|bills)/, "(?s).*(?:^(orders|bills)).*"]
  ]
  for (const [pattern, expected] of same) {
    it(`is ${expected} for ${pattern}`, () => assert.strictEqual(BrokerPattern.of(pattern), expected))
  }

  const other: ReadonlyArray<RegExp> = [
    /^(?!_).*/,
    /(?<=a)b/,
    /(a)\1/,
    /(?<name>a)/,
    /\u0061/,
    /\x61/,
    /\p{L}/u,
    /[[a]/,
    /[a&&b]/,
    // eslint-disable-next-line no-empty-character-class
    /[]/,
    /[^]/,
    /a{/,
    /a}/,
    /]/,
    /a{1001}/,
    /[\b]/,
    new RegExp("a", "v")
  ]
  for (const pattern of other) {
    it(`is none for ${pattern}, which brokers read otherwise`, () => assert.isUndefined(BrokerPattern.of(pattern)))
  }

  for (const pattern of [/.*/, /offsets/, /^[^a]/, /state$/]) {
    it(`is none for ${pattern}, by which brokers would give Kafka's own topics`, () =>
      assert.isUndefined(BrokerPattern.of(pattern)))
  }
})
