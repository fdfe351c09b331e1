/** Kafka's tools of 2.8.2, the last whose jars have them within the broker: one process runs them one after the other. */
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { Context, Effect, Layer, Semaphore } from "effect"
import * as KafkaJars from "./KafkaJars.ts"
import * as Processes from "./Processes.ts"

/** Runs a tool, such as `kafka.admin.TopicCommand`, and gives what it printed. */
export class JavaTools extends Context.Service<
  JavaTools,
  { readonly run: (name: string, ...args: ReadonlyArray<string>) => Effect.Effect<string> }
>()("samsa/test/JavaTools") {}

const done = "\n--- done\n"

export const layer: Layer.Layer<JavaTools, Processes.ProcessError> = Layer.effect(
  JavaTools,
  Effect.gen(function* () {
    const classPath = yield* KafkaJars.classPath("2.8.2")
    const one = yield* Semaphore.make(1)
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const source = fileURLToPath(new URL("JavaTools.java", import.meta.url))
        const flags = ["-Xmx192m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-cp", classPath]
        const child = spawn("java", [...flags, source], { detached: true, stdio: ["pipe", "pipe", "inherit"] })
        Processes.guard(child)
        child.stdin.on("error", () => {})
        return child
      }),
      (child) => Effect.sync(() => child.kill("SIGKILL"))
    )
    let said = ""
    let look = () => {}
    child.stdout.on("data", (chunk: Buffer) => {
      said += chunk.toString()
      look()
    })
    const run = (name: string, ...args: ReadonlyArray<string>) =>
      one.withPermits(1)(
        Effect.callback<string>((resume) => {
          look = () => {
            const end = said.indexOf(done)
            if (end < 0) return
            const text = said.slice(0, end)
            said = said.slice(end + done.length)
            look = () => {}
            resume(Effect.succeed(text))
          }
          child.stdin.write(`${[name, ...args].join("\t")}\n`)
          look()
        })
      )
    return { run }
  })
)
