import { of } from "../Mutant.ts"

export const engine = of("engine", {
  "Loop.ts": [
    [
      "earlier-time-not-taken",
      "a look that is due before the next one waits for it",
      "if (at !== undefined && timer !== undefined && timer.at <= at) return",
      "if (at !== undefined && timer !== undefined) return"
    ],
    [
      "answer-from-before-the-doubt",
      "an answer that was asked for before the doubt ends it",
      "if (one.again) later(topic, one)\n      else one.doubted.clear()",
      "one.doubted.clear()"
    ],
    [
      "doubt-without-end",
      "a partition whose leader was doubted once has none any more",
      "else one.doubted.clear()",
      "else void one"
    ],
    [
      "asks-without-wait",
      "metadata of a partition that is not there are asked for without end",
      "const left = Math.ceil(one.endedAt + one.wait - now())",
      "const left = 0 * Math.ceil(one.endedAt + one.wait - now())"
    ],
    [
      "dies-in-silence",
      "an engine whose look has failed never looks again",
      "Effect.andThen(Effect.sleep(afterDefect)),\n        Effect.andThen(Effect.sync(wake))",
      "Effect.andThen(Effect.sleep(afterDefect))"
    ],
    [
      "one-doubt-stops-the-topic",
      "one partition without a leader stops its whole topic",
      "if (asked.get(topic)?.doubted.has(partition) === true) return undefined",
      "if ((asked.get(topic)?.doubted.size ?? 0) > 0) return undefined"
    ],
    [
      "waits-grow-in-spite-of-success",
      "the waits between questions never grow short again",
      "one.questions = 0\n    one.wait = Math.min(one.wait, leastWait)",
      "one.wait = Math.min(one.wait, leastWait)"
    ],
    [
      "timer-rings-unheard",
      "nothing looks when the time has come",
      "timer = undefined\n      wake()",
      "timer = undefined"
    ]
  ],
  "Machine.ts": [
    [
      "posted-unheard",
      "an event waits for the next deadline",
      "events.push(event)\n        wake()",
      "events.push(event)"
    ],
    [
      "deadlines-unheard",
      "a machine is not woken at its deadlines",
      "if (at > now()) return Effect.raceFirst(due.await, Effect.sleep(at - now()))",
      "if (at > now()) return due.await"
    ],
    [
      "advanced-unheard",
      "a new deadline is not looked at after a step out of turn",
      "step(event)\n        wake()",
      "step(event)"
    ],
    ["end-unheard", "who waits for the end waits for all of the time", "if (machine.hasEnded(state)) end.fire()", ""],
    [
      "events-in-no-order",
      "the last event has its turn first",
      "const event = events.shift()",
      "const event = events.pop()"
    ]
  ],
  "MemberWork.ts": [
    [
      "member-dies-in-silence",
      "what a member's background work dies of is told to nobody",
      "owner.died(defect),",
      "Effect.void,"
    ],
    [
      "late-not-counted",
      "who heard late of a rebalance takes the whole of its time",
      "Math.min(rebalanceTimeout, Math.max(leastWithin, rebalanceTimeout - late))",
      "Math.min(rebalanceTimeout, Math.max(leastWithin, rebalanceTimeout - 0 * late))"
    ],
    [
      "alive-by-word",
      "a process that stood still holds itself for a member until its timer rings",
      "if (machine.now() < expiresAt(machine.state())) return true",
      "if (machine.now() < Infinity) return true"
    ],
    [
      "lost-one-by-one",
      "what was lost is read on where the reader has not heard of it yet",
      "if (isLosing(machine.state())) return false",
      ""
    ],
    ["leaves-without-bound", "leaving waits for a coordinator that is away", "Effect.timeoutOption(leaveTimeout),", ""]
  ],
  "Together.ts": [
    [
      "before-its-time",
      "waits end before their time",
      "return Math.ceil((now + wait) / step) * step",
      "return Math.floor((now + wait) / step) * step"
    ]
  ]
})
