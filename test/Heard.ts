/** What tests hear of the log: every line, from the beginning of the effect that they wrap. */
import { Effect, Logger, References } from "effect"
import type * as LogEvent from "../src/LogEvent.ts"

interface Line {
  readonly level: string
  readonly event: string | undefined
  readonly text: string
  readonly where: Readonly<Record<string, unknown>>
}

/** What was logged, and is. */
export const lines: Array<Line> = []
const logger = Logger.make(({ fiber, logLevel, message }) => {
  const annotations = fiber.getRef(References.CurrentLogAnnotations) as Record<string, unknown>
  lines.push({
    level: logLevel,
    event: annotations["kafka.event"] as string | undefined,
    text: String(message),
    where: annotations
  })
})
/** Hears everything that is logged, from the beginning. */
export const heard = <A, E, R>(self: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> =>
  Effect.suspend(() => {
    lines.length = 0
    return self.pipe(Effect.provide(Logger.layer([logger])), Effect.provideService(References.MinimumLogLevel, "All"))
  })
export const of = (event: LogEvent.Event) => lines.filter((line) => line.event === event)
export const levelsOf = (event: LogEvent.Event) => of(event).map(({ level }) => level)
/** Those that somebody sees who has set nothing. */
export const loud = () => lines.filter(({ level }) => level !== "Debug" && level !== "Trace")
