/**
 * What the foreign clients are made of, fetched and built once a machine into the cache of the integration tests, at the
 * versions that the files here name. Nothing of it is in the repository.
 */
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { cacheFolder, locked } from "../integration/KafkaJars.ts"
import * as Processes from "../integration/Processes.ts"

/** A file beside this one. */
export const file = (...path: ReadonlyArray<string>): string => fileURLToPath(new URL(path.join("/"), import.meta.url))

const read = (...path: ReadonlyArray<string>): string => Fs.readFileSync(file(...path), "utf8")

/** A folder of the cache, made from `sources` and made anew where they are others; whole or not at all. */
const folder = (
  name: string,
  sources: ReadonlyArray<string>,
  fill: (folder: string) => Effect.Effect<unknown, Processes.ProcessError>
): Effect.Effect<string, Processes.ProcessError> =>
  Effect.gen(function* () {
    const parent = Path.join(cacheFolder(), "interop")
    const hash = createHash("sha256").update(JSON.stringify(sources)).digest("hex").slice(0, 12)
    const path = Path.join(parent, `${name}-${hash}`)
    if (Fs.existsSync(path)) return path
    Fs.mkdirSync(parent, { recursive: true })
    const make = Effect.gen(function* () {
      if (Fs.existsSync(path)) return
      const part = `${path}.part-${process.pid}`
      Fs.rmSync(part, { recursive: true, force: true })
      Fs.mkdirSync(part)
      // registries fail now and then
      yield* Effect.retry(fill(part), { times: 2 })
      Fs.renameSync(part, path)
    })
    yield* locked(parent, make)
    return path
  })

/** A Python with the packages of `python/requirements-NAME.txt`. */
export const python = (name: string): Effect.Effect<string, Processes.ProcessError> =>
  Effect.gen(function* () {
    const requirements = `requirements-${name}.txt`
    const version = yield* Processes.run(["python3", "-c", "import sys; print(sys.version, sys.base_prefix)"])
    const venv = yield* folder(`python-${name}`, [read("python", requirements), version], (part) =>
      Processes.run(["python3", "-m", "venv", part]).pipe(
        Effect.andThen(
          Processes.run([
            Path.join(part, "bin", "python"),
            ..."-m pip install --quiet --no-input --disable-pip-version-check -r".split(" "),
            file("python", requirements)
          ])
        )
      )
    )
    return Path.join(venv, "bin", "python")
  })

/** The class path of Kafka's tools, as `java/pom.xml` says. */
export const javaTools: Effect.Effect<string, Processes.ProcessError> = Effect.gen(function* () {
  const jars = yield* folder("kafka-tools", [read("java", "pom.xml")], (part) => {
    // a copy: Maven may write beside the file that it reads
    const pom = Path.join(part, "pom.xml")
    Fs.copyFileSync(file("java", "pom.xml"), pom)
    return Processes.run([
      ..."mvn -q -B -f".split(" "),
      pom,
      "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies",
      "-DincludeScope=runtime",
      `-DoutputDirectory=${part}`
    ])
  })
  return Path.join(jars, "*")
})

/** The program of `go/`, built. */
export const go: Effect.Effect<string, Processes.ProcessError> = Effect.gen(function* () {
  const sources = ["go.mod", "go.sum", "main.go"].map((name) => read("go", name))
  const home = Path.join(cacheFolder(), "interop", "go")
  const built = yield* folder("franz-go", sources, (part) =>
    Processes.run(["go", "build", "-modcacherw", "-o", Path.join(part, "client"), "."], {
      folder: file("go"),
      env: {
        ...process.env,
        GOMODCACHE: Path.join(home, "mod"),
        GOCACHE: Path.join(home, "build"),
        GOFLAGS: "-buildvcs=false"
      }
    })
  )
  return Path.join(built, "client")
})
