import { assert, describe, it } from "@effect/vitest"
import { Liveness } from "../../src/zookeeper/Liveness.ts"

const begun = () => {
  const life = new Liveness()
  life.connect(1000, 6000, true, 1010)
  return life
}

describe("Liveness", () => {
  it("lives for three quarters of the time-out from when the server was asked, not from when it answered", () => {
    const life = begun()
    assert.isTrue(life.isLive(5499))
    assert.isFalse(life.isLive(5500))
    assert.strictEqual(life.due(5500), "lost")
  })

  it("lives on from when what was answered was sent", () => {
    const life = begun()
    life.heard(3000, 3100)
    assert.isTrue(life.isLive(7499))
    life.heard(2000, 3200)
    assert.isFalse(life.isLive(7500))
  })

  it("beats every sixth of the time-out, and gives a connection up after a third of it without an answer", () => {
    const life = begun()
    assert.strictEqual(life.due(1010), "beat")
    life.beatSent(1010)
    assert.isUndefined(life.due(2000))
    assert.strictEqual(life.next, 3010)
    assert.strictEqual(life.due(3010), "silent")
    life.beatAnswered(1010, 1100)
    assert.strictEqual(life.next, 2010)
    assert.isUndefined(life.due(2009))
    assert.strictEqual(life.due(2010), "beat")
  })

  it("does not give up a connection on which what was sent before the heartbeat is answered", () => {
    const life = begun()
    life.beatSent(1010)
    life.heard(1005, 2900)
    assert.isUndefined(life.due(3010))
    assert.strictEqual(life.due(4900), "silent")
  })

  it("asks for nothing while it is not connected, but for its end", () => {
    const life = begun()
    life.disconnect()
    assert.isUndefined(life.due(5499))
    assert.strictEqual(life.next, 5500)
    life.live = false
    assert.strictEqual(life.next, Infinity)
  })

  it("whose time is over does not come back by a late answer: somebody may have looked in between", () => {
    const life = begun()
    assert.isFalse(life.isLive(7500))
    life.heard(6000, 7600)
    assert.isFalse(life.isLive(7600))
    assert.strictEqual(life.due(7600), "lost")
  })
})
