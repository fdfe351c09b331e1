/** What a walk takes for Kafka's gap at a conversion, and what not. */
import { assert, describe, it } from "@effect/vitest"
import type { Oracle } from "samsa/testing"
import { isKnown } from "./ConversionGap.ts"

const place = { group: "g", topic: "t", partition: 0 }
const event = (_tag: "Assigned" | "Revoked", member: string, at: number): Oracle.Event => ({
  _tag,
  member,
  at,
  ...place
})
const drains = [event("Assigned", "a", 1), event("Assigned", "b", 5), event("Revoked", "a", 9)]
const violation = (message: string, more?: Partial<Oracle.Violation>): Oracle.Violation => ({
  invariant: "I6",
  message,
  ...place,
  ...more
})
const overlap = violation("b was given the partition before a had given it back")
const back = violation("the commit went back from 7 to 3", { invariant: "I5" })
const again = violation("b was given 3 again, although 4 was committed")
const committed: Oracle.Event = { _tag: "Committed", offset: 4, ...place }
const free = (at: number) => ({ at, assigned: new Set(["t-1"]) })

describe("a conversion's gap", () => {
  it("is known: another has what a member drains that was to give it up", () => {
    const isOf = isKnown([free(4)], drains)
    assert.isTrue(isOf(overlap))
    assert.isTrue(isOf(violation("b was given again what a had done and given back")))
    assert.isTrue(isOf(violation("a began to handle 7 while b was still at work")))
    assert.isTrue(isOf(violation("b began to handle 7 while a was still at work")))
    const meanwhile = isKnown([free(4)], [...drains, committed])
    assert.isTrue(meanwhile(again), "b begins behind what a commits as it drains (seed 1006742)")
    assert.isTrue(isOf(back), "a commits what it has done (walk of mixed groups, seed 1000997)")
  })

  it("is nothing else", () => {
    assert.isFalse(isKnown([], drains)(overlap), "no conversion")
    assert.isFalse(isKnown([free(0), free(6)], drains)(overlap), "one before it had it, one after both had it")
    assert.isFalse(isKnown([{ at: 4, assigned: new Set(["t-0"]) }], drains)(overlap), "it was somebody's")
    const isOf = isKnown([free(4)], drains)
    assert.isFalse(isOf(violation("a was given the partition before b had given it back")), "the other way round")
    assert.isFalse(isOf(violation("c was given the partition before a had given it back")), "another member")
    assert.isFalse(isOf(violation("a began to handle 7 while c was still at work")), "another member at work")
    assert.isFalse(isOf({ ...overlap, partition: 1 }), "another partition")
    assert.isFalse(isOf({ ...overlap, group: "h" }), "another group")
    assert.isFalse(isOf(again), "what nobody committed meanwhile")
    assert.isFalse(isKnown([free(4)], [committed, ...drains])(again), "what was committed before")
    assert.isFalse(isKnown([], [...drains, committed])(again), "what was committed meanwhile, without a conversion")
    assert.isFalse(isOf(violation(overlap.message, { invariant: "I5" })), "another promise")
    assert.isFalse(isKnown([free(6)], drains)(back), "a commit that goes back without a gap")
    assert.isFalse(isOf(violation("7 was committed before 3 was done", { invariant: "I5" })), "another commit")
    const twice = [...drains, event("Revoked", "b", 10), event("Assigned", "a", 11), event("Assigned", "b", 12)]
    assert.isFalse(isKnown([free(4)], twice)(overlap), "another time, without a conversion")
  })
})
