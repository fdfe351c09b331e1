/**
 * Ports for servers that must keep theirs over a restart: below the range from which the system gives ports away, and
 * apart from those of the file that runs beside, so that nobody takes one while its broker is down.
 */
import * as Net from "node:net"
import { Effect } from "effect"

const given = new Set<number>()
const first = 12_000 + (Number(process.env.VITEST_POOL_ID ?? 1) % 2) * 9_000

const free = (port: number): Effect.Effect<boolean> =>
  Effect.callback((resume) => {
    const server = Net.createServer()
    server.once("error", () => resume(Effect.succeed(false)))
    server.listen(port, "127.0.0.1", () => server.close(() => resume(Effect.succeed(true))))
  })

/** A port that nobody listens on, given once. */
export const take: Effect.Effect<number> = Effect.gen(function* () {
  while (true) {
    const port = first + Math.floor(Math.random() * 9_000)
    if (!given.has(port) && (yield* free(port))) {
      given.add(port)
      return port
    }
  }
})
