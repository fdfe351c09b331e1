/**
 * The jars of a broker, fetched once a machine by Maven into `SAMSA_CACHE`, else the user's cache folder. Where that
 * cannot be written, they go to a folder of this process.
 */
import * as Fs from "node:fs"
import * as Os from "node:os"
import * as Path from "node:path"
import { Effect, Schedule } from "effect"
import type { Version } from "./KafkaVersion.ts"
import * as KafkaVersion from "./KafkaVersion.ts"
import * as Processes from "./Processes.ts"

const plugin = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"

/** Where what is fetched is kept. */
export const cacheFolder = (): string => {
  const wanted =
    process.env.SAMSA_CACHE ?? Path.join(process.env.XDG_CACHE_HOME ?? Path.join(Os.homedir(), ".cache"), "samsa")
  try {
    Fs.mkdirSync(wanted, { recursive: true })
    Fs.accessSync(wanted, Fs.constants.W_OK)
    return wanted
  } catch {
    return Path.join(Os.tmpdir(), `samsa-cache-${Os.userInfo().uid}`)
  }
}

const running = (pid: number): boolean => {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM"
  }
}

// Only one process of this machine runs Maven at a time: its local repository is not made for more.
export const locked = <A, E, R>(folder: string, effect: Effect.Effect<A, E, R>): Effect.Effect<A, E, R> => {
  const file = Path.join(folder, "fetch.lock")
  const take = Effect.suspend(() => {
    try {
      Fs.writeFileSync(file, String(process.pid), { flag: "wx" })
      return Effect.void
    } catch {
      const owner = Number(readOr(file, "0"))
      // an owner of 0 has made the file and not yet written to it
      if (owner !== 0 && !running(owner)) Fs.rmSync(file, { force: true })
      return Effect.fail("locked" as const)
    }
  })
  return Effect.acquireUseRelease(
    Effect.retry(take, { schedule: Schedule.spaced("100 millis"), times: 6000 }).pipe(Effect.orDie),
    () => effect,
    () => Effect.sync(() => Fs.rmSync(file, { force: true }))
  )
}

const readOr = (file: string, other: string): string => {
  try {
    return Fs.readFileSync(file, "utf8")
  } catch {
    return other
  }
}

/** The class path of a broker: every jar of the version, fetched if need be. */
export const classPath = (version: Version): Effect.Effect<string, Processes.ProcessError> =>
  Effect.gen(function* () {
    const folder = Path.join(cacheFolder(), "kafka")
    const jars = Path.join(folder, version)
    if (!Fs.existsSync(jars)) {
      Fs.mkdirSync(folder, { recursive: true })
      yield* locked(folder, fetch(version, jars))
    }
    return Fs.readdirSync(jars)
      .filter((name) => name.endsWith(".jar"))
      .sort()
      .map((name) => Path.join(jars, name))
      .join(":")
  })

const fetch = (version: Version, jars: string): Effect.Effect<void, Processes.ProcessError> =>
  Effect.gen(function* () {
    if (Fs.existsSync(jars)) return
    // whole or not at all: the folder gets its name when all of it is there
    const part = `${jars}.part-${process.pid}`
    Fs.rmSync(part, { recursive: true, force: true })
    Fs.mkdirSync(part, { recursive: true })
    const pom = Path.join(part, "pom.xml")
    Fs.writeFileSync(pom, KafkaVersion.pom(version))
    yield* Processes.run([
      "mvn",
      "-q",
      "-B",
      "-f",
      pom,
      plugin,
      "-DincludeScope=runtime",
      `-DoutputDirectory=${part}`
    ]).pipe(Effect.retry({ times: 2 }))
    Fs.renameSync(part, jars)
  })

/** The command that compiles a source. */
export const compiler = (classPath: string, classes: string, source: string): ReadonlyArray<string> => [
  "java",
  "-Xmx128m",
  "-XX:+UseSerialGC",
  "-XX:TieredStopAtLevel=1",
  "-m",
  "jdk.compiler/com.sun.tools.javac.Main",
  "-proc:none",
  "-d",
  classes,
  "-cp",
  classPath,
  source
]
