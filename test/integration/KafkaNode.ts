/** One broker as a process that can be killed, stopped, paused, and started again on its data and port. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Data, Effect, Schedule, type Scope } from "effect"
import type { NodePorts } from "./KafkaProperties.ts"
import type { Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"
import * as Probe from "./Probe.ts"
import * as Processes from "./Processes.ts"

/** A node died at its start, or did not get ready in time. */
export class NodeError extends Data.TaggedError("NodeError")<{ readonly message: string }> {}

/** What all nodes of a cluster have in common. */
export interface Launch {
  readonly version: Version
  readonly classPath: string
  readonly jit: "c1" | "full"
  readonly heap: string
  readonly processor: number | undefined
  /** The port of ZooKeeper, in that mode. */
  readonly zooKeeper: number | undefined
}

type Failure = Processes.ProcessError | Probe.ProbeError | NodeError

export interface KafkaNode {
  readonly id: number
  readonly host: string
  /** Of the plaintext listener. */
  readonly port: number
  /** Of the KRaft controller. */
  readonly controllerPort: number
  readonly pid: () => number | undefined
  readonly running: () => boolean
  /** SIGKILL: completes when the process is gone. */
  readonly kill: Effect.Effect<void>
  /** SIGTERM, and SIGKILL after 15 seconds. */
  readonly stop: Effect.Effect<void>
  /** Starts it again on its data and port; completes when it answers and lists itself. */
  readonly start: Effect.Effect<void, Failure>
  /** SIGSTOP: connections stay open, nothing is answered. */
  readonly pause: Effect.Effect<void>
  /** SIGCONT. */
  readonly resume: Effect.Effect<void>
  /** Errors and the last lines of its log. */
  readonly log: () => string
  /** What it is started as from now on; its `server.properties` are the caller's. */
  readonly become: (version: Version, classPath: string) => void
  /** Where its plaintext listener is from now on; its `server.properties` are the caller's. */
  readonly move: (port: number) => void
  /** Starts the process without waiting for it. */
  readonly launch: Effect.Effect<void, Failure>
  /** Waits until it answers and lists this many brokers. */
  readonly ready: (brokers: number) => Effect.Effect<void, Failure>
}

/** JVM and options of a server process. */
export const jvm = (launch: Omit<Launch, "zooKeeper">, folder: string, heap: string): ReadonlyArray<string> => {
  const log = Path.join(folder, "log")
  const log4j = Path.join(folder, "log4j.properties")
  Fs.writeFileSync(
    log4j,
    `log4j.rootLogger=INFO, F
log4j.appender.F=org.apache.log4j.FileAppender
log4j.appender.F.File=${log}
log4j.appender.F.layout=org.apache.log4j.PatternLayout
log4j.appender.F.layout.ConversionPattern=%d %p %m (%c)%n
log4j.logger.kafka.server.KafkaConfig=WARN
`
  )
  return [
    ...(launch.processor === undefined ? [] : ["taskset", "-c", String(launch.processor)]),
    "java",
    `-Xmx${heap}`,
    "-Xms32m",
    "-XX:+UseSerialGC",
    "-Xss512k",
    "-XX:-UsePerfData",
    "-Djava.awt.headless=true",
    "-XX:+ExitOnOutOfMemoryError",
    ...(launch.jit === "c1" ? ["-XX:TieredStopAtLevel=1"] : []),
    `-Dlog4j.configuration=file:${log4j}`,
    `-Dorg.slf4j.simpleLogger.logFile=${log}`,
    "-Dorg.slf4j.simpleLogger.showDateTime=true",
    "-Dorg.slf4j.simpleLogger.dateTimeFormat=HH:mm:ss.SSS",
    "-Dorg.slf4j.simpleLogger.log.org.apache.kafka.common.config.AbstractConfig=warn"
  ]
}

/** The command of a tool that comes with the broker. */
export const tool = (classPath: string, name: string, args: ReadonlyArray<string>): ReadonlyArray<string> => [
  "java",
  "-Xmx128m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
  "-cp",
  classPath,
  name,
  ...args
]

const read = (file: string): string => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    return ""
  }
}

/** Errors and the last lines of a process's log. */
export const digest = (folder: string): string => {
  const lines = (read(Path.join(folder, "out")) + read(Path.join(folder, "log"))).split("\n")
  const bad = lines.flatMap((line, i) => (/FATAL|ERROR|Exception/.test(line) ? lines.slice(i, i + 5) : []))
  return [`--- ${Path.basename(folder)}`, ...bad.slice(0, 15), "...", ...lines.slice(-6), ""].join("\n")
}

/** A node that is not started yet; stopped with the Scope. */
export const make = (launch: Launch, folder: string, ports: NodePorts): Effect.Effect<KafkaNode, never, Scope.Scope> =>
  Effect.gen(function* () {
    let { classPath, version } = launch
    let port = ports.listeners.PLAINTEXT!
    const output = Path.join(folder, "out")
    const jaas = Path.join(folder, "jaas.conf")
    const command = () => [
      ...jvm(launch, folder, launch.heap),
      ...(Fs.existsSync(jaas) ? [`-Djava.security.auth.login.config=${jaas}`] : []),
      "-cp",
      classPath,
      "kafka.Kafka",
      Path.join(folder, "server.properties")
    ]
    let child: Processes.Child | undefined
    const running = () => child !== undefined && child.ended() === undefined

    const spawn = Effect.suspend(() => {
      Fs.rmSync(Path.join(folder, "log"), { force: true })
      return Effect.map(Processes.start(command(), { folder, output }), (started) => {
        child = started
      })
    })
    const end = (grace: number) =>
      Effect.suspend(() => (child === undefined ? Effect.void : Processes.stop(child, grace)))
    yield* Effect.addFinalizer(() => end(4000))

    let readyTopics = 0
    const answers = (brokers: number) =>
      Effect.suspend((): Effect.Effect<Probe.Metadata, Failure> =>
        running()
          ? Probe.metadata(
              version,
              port,
              // 0.8 learns of the live brokers only when a topic is created, and naming one creates it
              KafkaVersion.atLeast(version, 0, 9) ? [] : [`_ready${Math.floor(readyTopics++ / 20)}`]
            )
          : Effect.fail(new NodeError({ message: `node ${ports.id} died while starting: ${child?.ended()}` }))
      ).pipe(
        Effect.flatMap((answer) =>
          answer.brokers.length >= brokers &&
          answer.brokers.some((broker) => broker.id === ports.id) &&
          (answer.controller >= 0 || !KafkaVersion.atLeast(version, 0, 10))
            ? Effect.void
            : Effect.fail(new Probe.ProbeError({ message: `node ${ports.id} lists ${answer.brokers.length} brokers` }))
        )
      )
    const ready = (brokers: number) =>
      answers(brokers).pipe(
        Effect.retry({
          schedule: Schedule.spaced("30 millis").pipe(Schedule.upTo({ duration: "90 seconds" })),
          while: (error) => error._tag === "ProbeError"
        })
      )
    // A killed broker is refused until its session has ended, and exits; 0.8 is let in and then stays without a controller.
    const forgotten =
      launch.zooKeeper === undefined
        ? Effect.void
        : Probe.zooKeeperHas(launch.zooKeeper, `/brokers/ids/${ports.id}`).pipe(
            Effect.flatMap((there) =>
              there
                ? Effect.fail(new Probe.ProbeError({ message: `node ${ports.id} is still registered in ZooKeeper` }))
                : Effect.void
            ),
            Effect.retry(Schedule.spaced("50 millis").pipe(Schedule.upTo({ duration: "60 seconds" })))
          )
    const start = Effect.suspend(() =>
      running() ? Effect.void : forgotten.pipe(Effect.andThen(spawn), Effect.andThen(ready(1)))
    )
    return {
      id: ports.id,
      host: "127.0.0.1",
      get port() {
        return port
      },
      controllerPort: ports.controller,
      pid: () => (running() ? child?.pid : undefined),
      running,
      kill: Effect.suspend(() => {
        child?.signal("SIGKILL")
        return child === undefined ? Effect.void : Effect.asVoid(child.end)
      }),
      stop: end(15_000),
      start,
      pause: Effect.suspend(() => (child === undefined ? Effect.void : Processes.pause(child))),
      resume: Effect.sync(() => child?.signal("SIGCONT")),
      log: () => digest(folder),
      become: (another, itsClassPath) => {
        version = another
        classPath = itsClassPath
      },
      move: (to) => void (port = to),
      launch: spawn,
      ready
    }
  })
