/** Starts two programs, one of which was stopped meanwhile, and waits to be killed: for `harness-processes.test.ts`. */
import { Effect } from "effect"
import * as Processes from "./Processes.ts"

const program = Effect.gen(function* () {
  const folder = yield* Processes.folder("orphans")
  const start = Processes.start(["sleep", "1000"], { folder, output: `${folder}/out` })
  const [first, second, third] = [yield* start, yield* start, yield* start]
  yield* Processes.stop(second, 1000)
  first.signal("SIGSTOP")
  process.stdout.write(JSON.stringify({ folder, alive: [first.pid, third.pid], gone: second.pid }) + "\n")
  // read for ever, so that this process has something to wait for
  process.stdin.resume()
  yield* Effect.never
})
await Effect.runPromise(Effect.scoped(program))
