import { assert, it } from "@effect/vitest"
import { Effect } from "effect"
import type { Broker, SendOptions } from "../../src/Broker.ts"
import type { Cluster } from "../../src/Cluster.ts"
import * as ClassicRequests from "../../src/group/ClassicRequests.ts"

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
