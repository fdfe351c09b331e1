import { assert, describe, it } from "@effect/vitest"
import * as Registration from "../../src/zookeeper/Registration.ts"

describe("where a broker says that it is", () => {
  const parse = (node: object) => Registration.parse(1, JSON.stringify(node))?.endpoints

  it("is checked where it is read: in host and port, and in endpoints", () => {
    assert.deepStrictEqual(parse({ host: "b", port: 9092 }), [
      { listener: "PLAINTEXT", protocol: "PLAINTEXT", host: "b", port: 9092 }
    ])
    for (const port of [70_000, -1, 0, 1.5, 2 ** 31]) {
      assert.deepStrictEqual(parse({ host: "b", port }), [])
      assert.deepStrictEqual(parse({ endpoints: [`PLAINTEXT://b:${port}`] }), [])
    }
    for (const host of ["", "a\0b", "a b", "x".repeat(300)]) assert.deepStrictEqual(parse({ host, port: 1 }), [])
    assert.deepStrictEqual(parse({ endpoints: [null, 1, "x", {}, "PLAINTEXT://a\0b:1"] }), [])
  })

  it("has its rack, where it says one", () => {
    const rack = (rack: unknown) => Registration.parse(1, JSON.stringify({ host: "b", port: 1, rack }))?.rack
    assert.deepStrictEqual([rack("a"), rack(null), rack(undefined), rack(7)], ["a", undefined, undefined, undefined])
  })
})
