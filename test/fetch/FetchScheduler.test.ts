/**
 * The scheduler against a model: brokers that answer as Kafka does, and partitions that are read, slow, stuck, paused,
 * leaderless or refused. Whatever the others do, those that are read go on, memory is bounded, and so are the requests.
 */
import { assert, describe, it } from "vitest"
import * as Backoff from "../../src/Backoff.ts"
import * as FetchRequest from "../../src/fetch/FetchRequest.ts"
import { FetchScheduler, type Request, type Slot } from "../../src/fetch/FetchScheduler.ts"
import { randomOf } from "../../src/testing/embedded/Runtime.ts"
import { seedsOf } from "../Seeds.ts"

const delays = () => (failures: number) => Backoff.delay(failures, 0.5)

type Kind = "read" | "slow" | "stuck" | "paused" | "leaderless" | "refused"

class Part implements Slot {
  isWanted = true
  isAwaited = true
  isParked = false
  isBehind = true
  isNew = true
  asleepUntil = 0
  touchedAt = 0
  leastBytes = 0
  held = 0
  node: number | undefined = undefined
  asked: { readonly node: number } | undefined = undefined
  /** The sizes of its batches; how many are fetched, and how many are read. */
  readonly log: Array<number> = []
  fetched = 0
  read = 0
  readonly at: number
  readonly kind: Kind
  constructor(at: number, kind: Kind) {
    this.at = at
    this.kind = kind
  }
}

interface Options {
  readonly seed: number
  readonly bufferBytes: number
  readonly maxPartitionBytes: number
  readonly parts: ReadonlyArray<Kind>
  readonly nodes: number
  readonly batch: (random: () => number) => number
  readonly batches: number
  /** Before v3 there is no limit of the whole answer. */
  readonly isOld?: boolean
  readonly downtime?: boolean
}

/** Runs the model until those that are read have read everything; then idles for a while. */
const run = (options: Options) => {
  const random = randomOf(options.seed)
  const below = (n: number) => Math.floor(random() * n)
  const { bufferBytes, maxPartitionBytes } = options
  const maxWait = 500
  const scheduler = new FetchScheduler<Part>({ bufferBytes, maxPartitionBytes, maxBytes: 52_428_800, maxWait }, delays)
  const parts = options.parts.map((kind) => new Part(1 + below(options.nodes), kind))
  let now = 0
  let requests = 0
  let most = 0
  let largest = 0
  const events: Array<{ readonly at: number; readonly run: () => void }> = []
  const after = (millis: number, f: () => void) => {
    const event = { at: now + millis, run: f }
    let i = events.length
    while (i > 0 && events[i - 1]!.at > event.at) i--
    events.splice(i, 0, event)
  }
  const held = new Map<Request<Part>, () => void>()
  const limits = new Map<Request<Part>, number>()
  const isDown = (node: number) => options.downtime === true && node === 1 && now > 20 && now < 400

  const size = (part: Part, from: number, to: number) => {
    let total = 0
    for (let i = from; i < to; i++) total += part.log[i]!
    return total
  }

  /** What a broker gives: batches of each in turn, the first whole (KIP-74). */
  const gives = (request: Request<Part>): Map<Part, number> => {
    const given = new Map<Part, number>()
    let left = options.isOld === true ? Infinity : request.maxBytes
    let isFirst = options.isOld !== true
    for (const part of request.slots) {
      if (part.asked !== request) continue
      const each = limits.get(request)!
      const limit = options.isOld === true ? Math.max(each, part.leastBytes) : Math.min(each, left)
      let bytes = 0
      let to = part.fetched
      while (to < part.log.length && (bytes + part.log[to]! <= limit || (isFirst && bytes === 0))) {
        bytes += part.log[to++]!
        isFirst = false
      }
      left = Math.max(0, left - bytes)
      given.set(part, to)
    }
    return given
  }

  const receive = (request: Request<Part>) => {
    if (isDown(request.node)) {
      scheduler.failed(request, now)
      return look()
    }
    let gave = false
    for (const [part, to] of gives(request)) {
      if (part.asked !== request) continue
      if (part.kind === "refused") {
        part.asleepUntil = now + 1000
        continue
      }
      part.isNew = false
      if (to > part.fetched) {
        gave = true
        scheduler.count(part, size(part, part.fetched, to))
        scheduler.served(part, now)
        part.fetched = to
      } else if (part.fetched < part.log.length && options.isOld === true) {
        part.leastBytes = Math.max(part.leastBytes, part.log[part.fetched]!)
      }
      part.isBehind = part.fetched < part.log.length
    }
    most = Math.max(
      most,
      parts.reduce((sum, part) => sum + part.held, 0)
    )
    for (const part of request.slots) pull(part)
    scheduler.answered(
      request,
      gave ? "gave" : request.slots.some((part) => part.kind === "refused") ? "told" : "empty",
      now
    )
    look()
  }

  /** Whoever reads it takes what is there, works, and comes back; and where nothing is there, waits. */
  const pull = (part: Part) => {
    if (part.kind === "stuck" || part.kind === "paused" || !part.isAwaited || part.fetched === part.read) {
      if (part.kind === "stuck") part.isAwaited = false
      return
    }
    const to = part.kind === "slow" ? part.read + 1 : part.fetched
    scheduler.count(part, -size(part, part.read, to))
    part.read = to
    part.touchedAt = now
    part.isParked = false
    part.isAwaited = false
    look()
    after(part.kind === "slow" ? 100 + below(3000) : below(3), () => {
      part.isAwaited = true
      pull(part)
      look()
    })
  }

  const hasSomething = (request: Request<Part>) =>
    request.slots.some((part) => part.asked === request && (part.kind === "refused" || part.fetched < part.log.length))

  const answer = (request: Request<Part>) => {
    if (isDown(request.node)) return after(30, () => receive(request))
    if (request.maxWait === 0 || hasSomething(request)) return after(1 + below(3), () => receive(request))
    const ends = () => {
      if (held.delete(request)) after(1 + below(3), () => receive(request))
    }
    held.set(request, ends)
    after(request.maxWait, ends)
  }

  let wakeAt = Infinity
  let isLooking = false
  const look = () => {
    if (isLooking) return
    isLooking = true
    after(0, () => {
      isLooking = false
      const found = scheduler.look(now, 0, (part) => (part.kind === "leaderless" ? undefined : part.at))
      for (const part of found.drop) {
        scheduler.count(part, -part.held)
        part.fetched = part.read
        part.asked = undefined
        part.isParked = true
        part.isBehind = true
      }
      if (found.drop.length > 0) look()
      for (const request of found.requests) {
        requests++
        const { each, keep } = FetchRequest.shares(request, options.isOld === true ? 2 : 12)
        limits.set(request, each)
        if (keep < request.slots.length) {
          scheduler.narrow(request, request.slots.slice(0, keep))
          look()
        }
        answer(request)
      }
      if (found.wakeAt < Infinity && (found.wakeAt < wakeAt || wakeAt <= now)) {
        wakeAt = found.wakeAt
        after(Math.max(1, wakeAt - now), look)
      }
    })
  }

  for (const part of parts) {
    scheduler.add(part)
    const before = below(options.batches + 1)
    for (let i = 0; i < options.batches; i++) {
      const bytes = options.batch(random)
      largest = Math.max(largest, bytes)
      if (i < before) part.log.push(bytes)
      else
        after(below(2000), () => {
          part.log.push(bytes)
          for (const [request, ends] of held) if (part.asked === request) ends()
        })
    }
    if (part.kind === "paused") after(300 + below(300), () => void (part.isWanted = false))
  }
  look()
  const isDone = () => parts.every((part) => part.kind !== "read" || part.read === options.batches)
  let doneAt: number | undefined
  let idle = 0
  while (events.length > 0) {
    const event = events.shift()!
    now = event.at
    if (doneAt === undefined && isDone() && now > 2000) {
      doneAt = now
      idle = requests
    }
    if (doneAt !== undefined && now > doneAt + 10_000) break
    if (now > 600_000) break
    event.run()
  }
  if (doneAt === undefined && isDone()) doneAt = now
  return { parts, most, largest, requests, doneAt, idle: idle === 0 ? 0 : requests - idle }
}

const kinds: ReadonlyArray<Kind> = ["read", "read", "read", "read", "slow", "stuck", "paused", "leaderless", "refused"]

const walk = (seed: number): Options => {
  const random = randomOf(seed * 7919)
  const below = (n: number) => Math.floor(random() * n)
  const count = [1, 2, 5, 20, 60, 200][below(6)]!
  const large = [100, 10_000, 300_000][below(3)]!
  const healthy = below(3) === 0
  return {
    seed,
    bufferBytes: [1, 1000, 65_536, 1 << 20, 64 << 20][below(5)]!,
    maxPartitionBytes: [100, 65_536, 1 << 20][below(3)]!,
    parts: Array.from({ length: count }, () => (healthy ? "read" : kinds[below(kinds.length)]!)),
    nodes: 1 + below(4),
    batch: (random) => 61 + Math.floor(random() * (random() < 0.1 ? large : 1000)),
    batches: Math.ceil(400 / count) + below(5),
    downtime: below(3) === 0,
    isOld: below(4) === 0
  }
}

const seeds = seedsOf(200)

describe("the fetch scheduler", () => {
  it(
    `lets every partition that is read go on, and holds no more than it may, whatever the others do (${seeds.length} seeds)`,
    () => {
      for (const seed of seeds) {
        const options = walk(seed)
        const { doneAt, idle, largest, most, parts } = run(options)
        const what = `seed ${seed}: ${parts.length} partitions, ${options.nodes} brokers, a buffer of ${options.bufferBytes}`
        const late = parts.filter((part) => part.kind === "read" && part.read < options.batches)
        assert.isDefined(doneAt, `${what}: ${late.length} starve`)
        // At worst one batch at a time has room: some milliseconds for each that is read at once, and no more than a
        // second for what others leave lying.
        const lying = parts.filter(({ kind }) => kind === "slow" || kind === "stuck" || kind === "paused").length
        const longest = 5000 + options.batches * (20 * parts.length + 1100 * lying)
        assert.isAtMost(doneAt, longest, `${what}: it takes ${doneAt} ms`)
        // A request may bring one batch that is larger than what there is room for; before v3, one of each partition.
        const large = options.isOld === true ? parts.length * largest : FetchScheduler.lanes * options.nodes * largest
        const bound =
          options.bufferBytes + large + (options.isOld === true ? FetchScheduler.lanes * options.nodes * 4096 : 0)
        assert.isAtMost(most, bound, `${what}: holds ${most}`)
        // Ten idle seconds: two requests of each broker every 500 ms, a little more where slow ones come back, and one a
        // second for each that is refused. Before v3 those that do not fit into one request take turns.
        const busy = parts.filter((part) => part.kind === "refused" || part.kind === "slow").length
        assert.isAtMost(
          idle,
          options.nodes * (options.isOld === true ? 900 : 80) + busy * 110,
          `${what}: ${idle} requests while nothing happens`
        )
      }
    },
    20_000 + seeds.length * 50
  )

  it("asks more than 64 partitions with default settings", () => {
    const defaults = { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20 }
    for (const count of [65, 200, 1200]) {
      const options: Options = {
        seed: count,
        ...defaults,
        parts: Array.from({ length: count }, () => "read"),
        nodes: 1,
        batch: () => 1000,
        batches: 1
      }
      const { parts, requests } = run(options)
      assert.isTrue(
        parts.every((part) => part.read === 1),
        `of ${count}`
      )
      assert.isBelow(requests, 40 + 2 * count)
    }
  })

  it("never lets stuck partitions take the room of one that is read, however many they are", () => {
    const parts: ReadonlyArray<Kind> = [...Array.from({ length: 199 }, (): Kind => "stuck"), "read"]
    const options: Options = {
      seed: 1,
      bufferBytes: 1 << 20,
      maxPartitionBytes: 1 << 20,
      parts,
      nodes: 1,
      batch: () => 50_000,
      batches: 40
    }
    const { doneAt, most } = run(options)
    assert.isDefined(doneAt)
    assert.isAtMost(most, (1 << 20) + 100_000)
  })

  it("gives room to decompress: what is left of the pool, and of the share", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const parts = [new Part(1, "read"), new Part(1, "read")] as const
    for (const part of parts) scheduler.add(part)
    scheduler.look(0, 0, () => undefined)
    assert.strictEqual(scheduler.room(parts[0], 0), 48 << 20, "the pool, and its share")
    assert.strictEqual(scheduler.room(parts[0], 32 << 20), 16 << 20, "its share")
    scheduler.count(parts[0], 16 << 20)
    assert.strictEqual(scheduler.room(parts[0], 32 << 20), 0)
  })

  it("has for the next request what the last one had reserved, however it ended", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 4 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      () => () => 0
    )
    scheduler.add(Object.assign(new Part(1, "read"), { isNew: false }))
    const request = () => scheduler.look(0, 0, () => 1).requests[0]!
    const first = request()
    assert.isAbove(first.reserved, 0)
    for (let i = 0; i < 100; i++) {
      const next = i === 0 ? first : request()
      assert.strictEqual(next.reserved, first.reserved)
      if (i % 3 === 0) scheduler.answered(next, "gave", 0)
      else if (i % 3 === 1) scheduler.failed(next, 0)
      else scheduler.cancelled(next)
    }
  })

  // An idle long poll reserved all there was: with default settings partitions beyond some were never fetched.
  it("leaves nearly all of the pool where a request is held for what may come", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 8 << 20, maxPartitionBytes: 1 << 20, maxBytes: 52_428_800, maxWait: 500 },
      delays
    )
    const [idle, behind] = [1, 2].map((at) => Object.assign(new Part(at, "read"), { isNew: false, isBehind: at === 2 }))
    scheduler.add(idle!)
    scheduler.add(behind!)
    const [held, brings] = scheduler.look(0, 0, ({ at }) => at).requests
    assert.deepStrictEqual([held!.slots, brings!.slots], [[idle!], [behind!]])
    assert.isAtMost(held!.reserved, (4 << 20) / 8)
    assert.strictEqual(brings!.partitionBytes, 1 << 20)
    assert.isAtLeast(brings!.reserved, 1 << 20)
  })

  it("does not ask for a partition that holds as much as it may, until some of that is read", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1000, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const part = Object.assign(new Part(1, "read"), { isNew: false })
    scheduler.add(part)
    scheduler.count(part, 1000)
    assert.lengthOf(scheduler.look(0, 0, () => 1).requests, 0)
    scheduler.count(part, -1)
    assert.lengthOf(scheduler.look(0, 0, () => 1).requests, 1)
  })

  it("shares what a partition that has left could hold among the others", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const [stays, leaves] = [new Part(1, "read"), new Part(1, "read")]
    scheduler.add(stays)
    scheduler.add(leaves)
    const share = () => {
      scheduler.look(0, 0, () => undefined)
      return scheduler.room(stays, 64 << 20)
    }
    assert.strictEqual(share(), 16 << 20)
    scheduler.remove(leaves)
    assert.strictEqual(share(), 32 << 20)
  })

  it("does not leave a batch that is larger than the answer behind a backlog for ever", () => {
    const parts: ReadonlyArray<Kind> = ["read", "read"]
    const random = randomOf(1)
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 65_536, maxBytes: 52_428_800, maxWait: 500 },
      () => random
    )
    const [backlog, large] = parts.map((kind) => new Part(1, kind))
    for (const part of [backlog!, large!]) scheduler.add(part)
    const first = scheduler.look(0, 0, () => 1).requests[0]!
    assert.strictEqual(first.slots[0], backlog)
    scheduler.served(backlog!, 0)
    scheduler.answered(first, "gave", 0)
    assert.strictEqual(scheduler.look(0, 0, () => 1).requests[0]!.slots[0], large)
  })

  it("asks at both lanes of a broker, and holds a request on the last one only shortly while others may come", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const parts = [0, 1, 2].map(() => Object.assign(new Part(1, "read"), { isNew: false, isBehind: false }))
    for (const part of parts) scheduler.add(part)
    parts[1]!.isWanted = parts[2]!.isWanted = false
    const look = () => scheduler.look(25, 0, () => 1).requests
    assert.strictEqual(look()[0]!.maxWait, 500, "one lane is left")
    parts[1]!.isWanted = true
    parts[2]!.node = 1
    const second = scheduler.look(0, 0, () => 1).requests[0]!
    assert.strictEqual(second.maxWait, 25)
    scheduler.answered(second, "empty", 25)
    assert.strictEqual(look()[0]!.maxWait, 50, "and ever longer while nothing comes")
    parts[2]!.isWanted = true
    assert.lengthOf(look(), 0, "both are taken")
  })

  // It was held for the whole of maxWait, for partitions in which nothing came, while the other one had room at once.
  it("holds the last lane only shortly for others, while one that is behind has no room", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 3000, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const [first, second, full] = [0, 1, 2].map(() => Object.assign(new Part(1, "read"), { isNew: false }))
    for (const part of [first!, second!, full!]) scheduler.add(part)
    first!.isBehind = second!.isBehind = false
    second!.isWanted = full!.isWanted = false
    const look = () => scheduler.look(0, 0, () => 1).requests
    assert.strictEqual(look()[0]!.maxWait, 500)
    scheduler.count(full!, 1900)
    second!.isWanted = full!.isWanted = true
    const [request] = look()
    assert.deepStrictEqual(request!.slots, [second!])
    assert.strictEqual(request!.maxWait, 25)
    scheduler.count(full!, -1900)
    scheduler.answered(request!, "empty", 25)
    assert.deepStrictEqual(scheduler.look(25, 0, () => 1).requests[0]!.slots, [second!, full!])
  })

  it("waits ever longer for a broker that gives empty answers at once, and for one that gives none", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    const part = Object.assign(new Part(1, "read"), { isNew: false, isBehind: false })
    scheduler.add(part)
    for (const end of ["answered", "failed"] as const) {
      let now = 10_000
      let requests = 0
      for (const until = now + 10_000; now < until;) {
        const { requests: found, wakeAt } = scheduler.look(now, 0, () => 1)
        if (found.length === 0) {
          now = wakeAt
          continue
        }
        requests++
        if (end === "answered") scheduler.answered(found[0]!, "empty", now)
        else scheduler.failed(found[0]!, now)
      }
      assert.isBelow(requests, 20, end)
    }
  })

  it("looks again at a partition without a leader while every lane is taken: the leader may be a broker that has none", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    for (let lane = 0; lane < FetchScheduler.lanes; lane++) {
      scheduler.add(Object.assign(new Part(1, "read"), { isNew: false, isBehind: false }))
      assert.lengthOf(scheduler.look(0, 0, ({ at }) => at).requests, 1)
    }
    const homeless = new Part(2, "read")
    scheduler.add(homeless)
    assert.lengthOf(scheduler.look(0, 0, () => undefined).requests, 0)
    assert.deepStrictEqual(scheduler.look(1, 0, ({ at }) => at).requests[0]?.slots, [homeless])
  })

  it("tells of a request that should have been answered, again and again", () => {
    const scheduler = new FetchScheduler<Part>(
      { bufferBytes: 64 << 20, maxPartitionBytes: 1 << 20, maxBytes: 1 << 20, maxWait: 500 },
      delays
    )
    scheduler.add(Object.assign(new Part(1, "read"), { isNew: false, isBehind: false }))
    const [request] = scheduler.look(0, 0, () => 1).requests
    assert.deepStrictEqual(scheduler.look(5499, 0, () => 1).late, [])
    assert.strictEqual(scheduler.look(5499, 0, () => 1).wakeAt, 5500)
    assert.deepStrictEqual(scheduler.look(5500, 0, () => 1).late, [request!])
    assert.deepStrictEqual(scheduler.look(5501, 0, () => 1).late, [])
    assert.deepStrictEqual(scheduler.look(10_500, 0, () => 1).late, [request!])
  })
})
