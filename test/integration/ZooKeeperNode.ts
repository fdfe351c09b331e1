/** One ZooKeeper as a process that can be killed, stopped, paused, and started again on its data and port; alone, or of a quorum. */
import * as Fs from "node:fs"
import * as Path from "node:path"
import { Effect, Schedule, type Scope } from "effect"
import * as KafkaNode from "./KafkaNode.ts"
import * as KafkaVersion from "./KafkaVersion.ts"
import * as Probe from "./Probe.ts"
import * as Processes from "./Processes.ts"

/** The members of an ensemble, by id from 1. */
export interface Quorum {
  readonly id: number
  readonly servers: ReadonlyArray<{ readonly peer: number; readonly election: number }>
}

type Failure = Processes.ProcessError | Probe.ProbeError | KafkaNode.NodeError

export interface ZooKeeperNode {
  readonly port: number
  /** SIGKILL: completes when the process is gone. */
  readonly kill: Effect.Effect<void>
  /** Starts it again on its data and port; completes when it answers. */
  readonly start: Effect.Effect<void, Failure>
  /** SIGSTOP: connections stay open, nothing is answered. */
  readonly pause: Effect.Effect<void>
  /** SIGCONT. */
  readonly resume: Effect.Effect<void>
  /** Starts the process without waiting for it. */
  readonly launch: Effect.Effect<void, Failure>
  readonly ready: Effect.Effect<void, Failure>
  readonly log: () => string
}

/** A node that is not started yet; stopped with the Scope. */
export const make = (
  launch: Omit<KafkaNode.Launch, "zooKeeper">,
  folder: string,
  port: number,
  quorum?: Quorum
): Effect.Effect<ZooKeeperNode, never, Scope.Scope> =>
  Effect.gen(function* () {
    const config = Path.join(folder, "zoo.cfg")
    const data = Path.join(folder, "data")
    Fs.mkdirSync(data, { recursive: true })
    const peers = (quorum?.servers ?? []).map(
      ({ election, peer }, i) => `server.${i + 1}=127.0.0.1:${peer}:${election}\n`
    )
    if (quorum !== undefined) Fs.writeFileSync(Path.join(data, "myid"), `${quorum.id}\n`)
    Fs.writeFileSync(
      config,
      `dataDir=${data}
clientPort=${port}
clientPortAddress=127.0.0.1
maxClientCnxns=0
tickTime=1000
${quorum === undefined ? "" : `initLimit=10\nsyncLimit=4\n${peers.join("")}`}${KafkaVersion.atLeast(launch.version, 2, 4) ? "admin.enableServer=false\n" : ""}`
    )
    let child: Processes.Child | undefined
    const running = () => child !== undefined && child.ended() === undefined
    const spawn = Effect.suspend(() =>
      Effect.map(
        Processes.start(
          [
            ...KafkaNode.jvm(launch, folder, "64m"),
            "-Dzookeeper.jmx.log4j.disable=true",
            "-Dzookeeper.forceSync=no",
            "-cp",
            launch.classPath,
            "org.apache.zookeeper.server.quorum.QuorumPeerMain",
            config
          ],
          { folder, output: Path.join(folder, "out") }
        ),
        (started) => {
          child = started
        }
      )
    )
    yield* Effect.addFinalizer(() =>
      Effect.suspend(() => (child === undefined ? Effect.void : Processes.stop(child, 3000)))
    )
    const ready = Probe.zooKeeperHas(port, "/").pipe(
      Effect.mapError((error) =>
        running()
          ? error
          : new KafkaNode.NodeError({
              message: `ZooKeeper died while starting: ${child?.ended()}\n${KafkaNode.digest(folder)}`
            })
      ),
      Effect.retry({
        schedule: Schedule.spaced("30 millis").pipe(Schedule.upTo({ duration: "60 seconds" })),
        while: (error) => error._tag === "ProbeError"
      }),
      Effect.asVoid
    )
    return {
      port,
      kill: Effect.suspend(() => {
        child?.signal("SIGKILL")
        return child === undefined ? Effect.void : Effect.asVoid(child.end)
      }),
      start: Effect.suspend(() => (running() ? Effect.void : Effect.andThen(spawn, ready))),
      pause: Effect.suspend(() => (child === undefined ? Effect.void : Processes.pause(child))),
      resume: Effect.sync(() => child?.signal("SIGCONT")),
      launch: spawn,
      ready,
      log: () => KafkaNode.digest(folder)
    }
  })
