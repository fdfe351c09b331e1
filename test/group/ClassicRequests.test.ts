import { assert, it } from "@effect/vitest"
import { Effect, Fiber } from "effect"
import { TestClock } from "effect/testing"
import type { Broker, SendOptions } from "../../src/Broker.ts"
import type { Cluster } from "../../src/Cluster.ts"
import * as ClassicRequests from "../../src/group/ClassicRequests.ts"
import * as KafkaError from "../../src/KafkaError.ts"
import * as JoinGroup from "../../src/protocol/messages/JoinGroup.ts"

/** The requests of a member, to a coordinator that answers all; `sent` is told how each is sent. */
const requestsOf = (sent: (options: SendOptions | undefined) => void) => {
  const broker = {
    version: () => Effect.succeed(9),
    send: (_api: unknown, _request: unknown, options?: SendOptions) => {
      sent(options)
      return Effect.succeed({ errorCode: 0 })
    }
  } as unknown as Broker
  const cluster = { coordinator: () => Effect.succeed(broker) } as unknown as Cluster["Service"]
  const settings = { sessionTimeout: 45_000, sessionTimeoutChosen: false, rebalanceTimeout: 300_000, instanceId: null }
  return ClassicRequests.make(cluster, () => 0, "g", settings)
}

// A broker reads nothing more of a connection while it holds a JoinGroup of it: the session would be over meanwhile.
it.effect("heartbeats beside a join that is held go on another connection than that, others on the member's own", () =>
  Effect.gen(function* () {
    const channels: Array<SendOptions["channel"]> = []
    const requests = requestsOf((options) => void channels.push(options?.channel))
    const heartbeat = (beside: boolean) =>
      requests.heartbeat({ _tag: "Heartbeat", memberId: "m", generation: 1, beside })
    yield* requests.join("m", true, [])
    yield* heartbeat(true)
    yield* heartbeat(false)
    const [join, beside, alone] = channels
    assert.isDefined(join)
    assert.notStrictEqual(beside, join)
    assert.strictEqual(alone, join)
  })
)

// The broker answers when all have joined, or when the rebalance timeout is over: it takes what is asked anew as another join.
it.effect("a join is waited for until the rebalance must be over, and where it is held, for half of that", () =>
  Effect.gen(function* () {
    const budgets: Array<number> = []
    const requests = requestsOf((options) => void budgets.push(options!.timeout! + options!.held!))
    yield* requests.join("m", false, [])
    yield* requests.join("m", true, [])
    assert.isAbove(budgets[0]!, 300_000)
    assert.strictEqual(budgets[1], 150_000)
  })
)

// A coordinator that stood still had joins of members with empty hands for the rebalance timeout, though the group was
// with another one by then. One that said so was not heard: where its answer to the join was lost, it was asked on.
it.effect.each([
  "answers",
  "an older one answers",
  "refuses",
  "breaks",
  "silent",
  "elsewhere",
  "an older one: elsewhere"
])("a join that is held goes on unless its broker is silent, or coordinates no more (%s)", (how) =>
  Effect.gen(function* () {
    const answers = how !== "silent" && !how.endsWith("elsewhere")
    const one = { key: "g", errorCode: 0, nodeId: how.endsWith("elsewhere") ? 2 : 1, host: "b", port: 1 }
    const answer = how.startsWith("an older one") ? { ...one, coordinators: [] } : { coordinators: [one] }
    const refused = KafkaError.make({ _tag: "Unsupported", needed: "it", ours: "", theirs: "" })
    const broken = KafkaError.make({ _tag: "Unreachable", attempts: [{ address: "b:1", cause: "closed" }] })
    const hungUp: Array<string> = []
    const budgets: Array<string | undefined> = []
    const silent = KafkaError.make({ _tag: "TimedOut", budget: "sessionTimeout", millis: 15_000, waitingFor: "it" })
    const broker = {
      id: 1,
      version: () => Effect.succeed(9),
      hangUp: (channel: string) => void hungUp.push(channel),
      send: (api: unknown, _request: unknown, options: SendOptions) => {
        if (api === JoinGroup) return Effect.delay(Effect.succeed({ errorCode: 0 }), 120_000)
        budgets.push(options.budget)
        if (how === "refuses") return Effect.fail(refused)
        if (how === "breaks" && budgets.length % 2 === 1) return Effect.fail(broken)
        return how !== "silent" ? Effect.succeed(answer) : Effect.delay(Effect.fail(silent), options.timeout!)
      }
    } as unknown as Broker
    const cluster = { coordinator: () => Effect.succeed(broker) } as unknown as Cluster["Service"]
    const settings = {
      sessionTimeout: 45_000,
      sessionTimeoutChosen: false,
      rebalanceTimeout: 300_000,
      instanceId: null
    }
    const requests = ClassicRequests.make(cluster, () => 0, "g", settings)
    const join = yield* Effect.forkChild(Effect.result(requests.join("m", false, [])), { startImmediately: true })
    yield* TestClock.adjust(30_000)
    if (answers) {
      assert.isUndefined(join.pollUnsafe())
      yield* TestClock.adjust(90_000)
    }
    const result = yield* Fiber.join(join)
    assert.strictEqual(result._tag, answers ? "Success" : "Failure")
    assert.deepStrictEqual([...new Set(budgets)], ["sessionTimeout"])
    assert.strictEqual(hungUp.length, answers ? 0 : 1)
  })
)
