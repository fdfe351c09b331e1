/**
 * The `Network` of a broker in the same process: real frames, no sockets. Bytes travel by ticks of the scheduler, never
 * in the caller's stack and never by the clock, so that a test that moves no time sees requests answered.
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as KafkaError from "../../KafkaError.ts"
import type { Address, Connection as NetworkConnection, Handler } from "../../Network.ts"
import { Connection } from "../embedded/Connection.ts"
import type { EmbeddedCluster } from "../embedded/Cluster.ts"
import { handlers } from "../embedded/handlers.ts"

const refused = ({ host, port }: Address) =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: `${host}:${port}`, cause: "ECONNREFUSED" }] })

/** Opens a connection to one of the cluster's brokers, by its address. */
export const connect = (
  cluster: EmbeddedCluster,
  address: Address,
  handler: Handler
): Effect.Effect<NetworkConnection, KafkaError.KafkaError, Scope.Scope> =>
  Effect.acquireRelease(
    Effect.suspend(() => {
      const node = Array.from(cluster.nodes.values()).find(
        (each) => each.host === address.host && each.port === address.port
      )
      if (node === undefined || !node.alive) return Effect.fail(refused(address))
      let open = true
      // what is under way in each direction, and whether a tick is already due for it
      let toClient: Array<Uint8Array> = []
      let toBroker: Array<Uint8Array> = []
      let closing = false
      let clientDue = false
      let brokerDue = false
      const flushToClient = () => {
        clientDue = false
        const chunks = toClient
        toClient = []
        for (const chunk of chunks) {
          if (!open) return
          handler.onData(chunk)
        }
        if (open && closing) {
          open = false
          handler.onClose("closed by the broker")
        }
      }
      const wakeClient = () => {
        if (clientDue || !open) return
        clientDue = true
        cluster.env.soon(flushToClient)
      }
      const connection = new Connection(
        cluster,
        node,
        "/127.0.0.1",
        {
          send: (chunks) => {
            for (const chunk of chunks) toClient.push(chunk)
            wakeClient()
          },
          close: () => {
            closing = true
            wakeClient()
          }
        },
        handlers
      )
      const flushToBroker = () => {
        brokerDue = false
        const chunks = toBroker
        toBroker = []
        for (const chunk of chunks) connection.receive(chunk)
        if (!open) connection.ended()
      }
      const wakeBroker = () => {
        if (brokerDue) return
        brokerDue = true
        cluster.env.soon(flushToBroker)
      }
      return Effect.succeed<NetworkConnection>({
        write: (chunks, written) => {
          if (!open || closing) return
          // A system has taken it before the broker reads it, and closes at it.
          if (written !== undefined) cluster.env.soon(() => (open ? written() : undefined))
          for (const chunk of chunks) toBroker.push(chunk)
          wakeBroker()
        },
        close: () => {
          if (!open) return
          open = false
          // what was written still arrives, as it does on a socket that is closed
          wakeBroker()
        }
      })
    }),
    (connection) => Effect.sync(() => connection.close())
  )
