/** What every ZooKeeper does, asked of real ones: 3.4.6 (as with Kafka 0.8.2.2), 3.8.4 (3.9.2), and 3.5.9 (2.8.2) where `SAMSA_FULL` is set. */
import { assert, layer } from "@effect/vitest"
import { Context, Effect, Layer, Redacted, Scope } from "effect"
import * as Fs from "node:fs"
import * as Path from "node:path"
import * as ZooKeeper from "../../src/ZooKeeper.ts"
import { cases, type Harness } from "../zookeeper/suite.ts"
import * as BrokerProxy from "./broker-proxy.ts"
import * as KafkaJars from "./KafkaJars.ts"
import type { Version } from "./KafkaVersion.ts"
import * as Ports from "./Ports.ts"
import * as Processes from "./Processes.ts"
import * as ZooKeeperNode from "./ZooKeeperNode.ts"

class Server extends Context.Service<Server, ZooKeeperNode.ZooKeeperNode>()("samsa/test/ZooKeeper") {}

const server = (version: Version) =>
  Layer.effect(
    Server,
    Effect.gen(function* () {
      const folder = Path.join(yield* Processes.folder("zookeeper"), "zookeeper")
      Fs.mkdirSync(folder, { recursive: true })
      const classPath = yield* KafkaJars.classPath(version)
      const launch = { version, classPath, jit: "c1", heap: "64m", processor: undefined } as const
      const node = yield* ZooKeeperNode.make(launch, folder, yield* Ports.take)
      yield* node.start
      return node
    })
  )

let tests = 0

const full = process.env.SAMSA_FULL !== undefined
const versions: ReadonlyArray<Version> = full ? ["0.8.2.2", "2.8.2", "3.9.2"] : ["0.8.2.2", "3.9.2"]

for (const version of versions) {
  layer(server(version), { excludeTestServices: true })(`ZooKeeper of Kafka ${version}`, (it) => {
    for (const [title, body] of Object.entries(cases)) {
      it.effect(title, () =>
        Effect.gen(function* () {
          const node = yield* Server
          // each client through a proxy of its own, so that it can be cut off alone
          const proxies = new Map<string, BrokerProxy.Proxy>()
          const scope = yield* Effect.scope
          const connect = Effect.gen(function* () {
            const proxy = yield* Scope.provide(BrokerProxy.to(node.port), scope)
            const zk = yield* ZooKeeper.make({ connect: `127.0.0.1:${proxy.port}`, sessionTimeout: "2 seconds" })
            proxies.set((yield* zk.session).id, proxy)
            return zk
          })
          const harness: Harness = {
            connect,
            expire: (session) =>
              Effect.gen(function* () {
                const proxy = proxies.get(session)!
                yield* proxy.pause
                yield* Effect.sleep("4 seconds")
                yield* proxy.cut
                yield* proxy.resume
              }),
            drop: (session) => Effect.asVoid(proxies.get(session)!.cut),
            passing: (self) => self,
            root: `/test-${++tests}`
          }
          yield* body(harness)
        }).pipe(Effect.scoped)
      )
    }

    it.effect("a chroot that is not there yet is made with the first node below it", () =>
      Effect.gen(function* () {
        const { port } = yield* Server
        const below = yield* ZooKeeper.make({ connect: `127.0.0.1:${port}/far/away` })
        assert.isUndefined(yield* below.children("/"))
        yield* below.create("/a/b", new Uint8Array([1]))
        const whole = yield* ZooKeeper.make({ connect: `127.0.0.1:${port}` })
        assert.deepStrictEqual([...(yield* whole.get("/far/away/a/b"))!], [1])
      }).pipe(Effect.scoped)
    )

    it.effect("with auth, nodes can be kept to their creator", () =>
      Effect.gen(function* () {
        const { port } = yield* Server
        const as = (password: string) =>
          ZooKeeper.make({
            connect: `127.0.0.1:${port}`,
            auth: { scheme: "digest", credentials: Redacted.make(`alice:${password}`) },
            acl: "creator"
          })
        const alice = yield* as("secret")
        yield* alice.create("/alice", new Uint8Array([1]))
        assert.deepStrictEqual([...(yield* alice.get("/alice"))!], [1])
        const other = yield* as("guessed")
        assert.strictEqual((yield* Effect.flip(other.get("/alice"))).reason._tag, "Unauthenticated")
        yield* alice.remove("/alice")
      }).pipe(Effect.scoped)
    )
  })
}
