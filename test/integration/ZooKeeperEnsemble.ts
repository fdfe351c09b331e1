/** Several ZooKeepers that are one, each of which can be killed, and parted from each of the others. */
import * as Fs from "node:fs"
import * as Net from "node:net"
import * as Path from "node:path"
import { Effect } from "effect"
import * as BrokerProxy from "./broker-proxy.ts"
import * as KafkaJars from "./KafkaJars.ts"
import * as Ports from "./Ports.ts"
import * as Processes from "./Processes.ts"
import * as ZooKeeperNode from "./ZooKeeperNode.ts"

/** Servers, and the ways from each to its leader, whichever that is. */
export const make = (count: number) =>
  Effect.gen(function* () {
    const folder = yield* Processes.folder("ensemble")
    const version = "2.8.2"
    const launch = {
      version,
      classPath: yield* KafkaJars.classPath(version),
      jit: "c1",
      heap: "64m",
      processor: undefined
    } as const
    const servers = yield* Effect.forEach(Array.from({ length: count }), () =>
      Effect.gen(function* () {
        return { port: yield* Ports.take, peer: yield* Ports.take, election: yield* Ports.take }
      })
    )
    const ways: Array<ReadonlyArray<BrokerProxy.Proxy>> = []
    const nodes = yield* Effect.forEach(servers, ({ port }, i) =>
      Effect.gen(function* () {
        const own = Path.join(folder, `${i + 1}`)
        Fs.mkdirSync(own, { recursive: true })
        const proxies = yield* Effect.forEach(servers, ({ peer }) => BrokerProxy.to(peer))
        ways.push(proxies)
        const seen = servers.map((server, j) => (i === j ? server : { ...server, peer: proxies[j]!.port }))
        return yield* ZooKeeperNode.make(launch, own, port, count === 1 ? undefined : { id: i + 1, servers: seen })
      })
    )
    yield* Effect.forEach(nodes, (node) => node.launch, { discard: true })
    yield* Effect.forEach(nodes, (node) => node.ready, { discard: true })
    return { nodes, ways, connect: servers.map(({ port }) => `127.0.0.1:${port}`).join(",") }
  })

/** Whether a server leads, by its own word. */
export const leads = ({ port }: ZooKeeperNode.ZooKeeperNode) =>
  Effect.callback<boolean>((resume) => {
    let said = ""
    const socket = Net.connect({ host: "127.0.0.1", port })
    socket.on("connect", () => socket.write("srvr"))
    socket.on("data", (chunk) => (said += chunk))
    socket.on("error", () => {})
    socket.on("close", () => resume(Effect.succeed(said.includes("Mode: leader"))))
  })
