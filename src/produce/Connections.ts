/**
 * The connections of a producer, one to each broker that leads a partition it sends to. Nothing is made ready for a
 * broker that there is no connection to: what waits for one was never sent, for certain, and knows why.
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import type * as Backoff from "../Backoff.ts"
import type { Broker, Brokers } from "../Broker.ts"
import type * as Loop from "../engine/Loop.ts"
import * as KafkaError from "../KafkaError.ts"
import * as Metadata from "../protocol/messages/Metadata.ts"
import * as Produce from "../protocol/messages/Produce.ts"

/** A broker, as far as a producer is connected to it. */
interface Node {
  version: number | undefined
  connecting: boolean
  failures: number
  readonly wait: Backoff.Wait
  /** Why there is no connection. */
  cause: string | undefined
  /** The connection has ended that is being made ready. */
  hasEnded: boolean
  readonly onLost: () => void
}

export interface Connections {
  /** The version of Produce that is spoken to a node; undefined or why not, where there is no connection. */
  readonly versionOf: (node: number) => number | string | undefined
  /** Connects, unless that is under way. `onFailure` hears why not, each time. */
  readonly connect: (node: number, onFailure: (error: KafkaError.KafkaError) => void) => void
  /** A connection was lost: the next one may be to a broker of another release. */
  readonly lost: (node: number, cause: string) => void
  /** A connection has ended, of which that may be known already. */
  readonly disconnected: (node: number) => void
  /** Throws where a connection was made again, and not by `connect`: it may be to anybody. */
  readonly mustBeSeen: (node: number) => void
  /** Closes all of them. */
  readonly hangUp: Effect.Effect<void>
}

/** Why a broker is not to be had. A defect, of a network of one's own for one, is told and waited for as a failure is. */
export const failureOf = (cause: Cause.Cause<KafkaError.KafkaError>, node: number): KafkaError.KafkaError => {
  const error = Cause.squash(cause)
  if (error instanceof KafkaError.KafkaError) return error
  return unreachable(node, String(error), error)
}

/** A broker that is not to be had now. */
export const unreachable = (node: number, cause: string, defect?: unknown): KafkaError.KafkaError =>
  KafkaError.make({ _tag: "Unreachable", attempts: [{ address: `broker ${node}`, cause }] }, defect)

const hasClosed = "the broker has closed the connection"

/** The ids that a producer has are of one cluster: each broker is asked of which it is, before they are used there. */
export interface Numbered {
  /** Gives whether that is another one than theirs. */
  readonly isOf: (clusterId: string) => boolean
  /** How long a broker may think about it, in milliseconds. */
  readonly within: number
}

/** Makes them. `channel` is this producer's own: a broker works on one request of a connection at a time. */
export const make = (
  brokers: Brokers["Service"],
  loop: () => Loop.Loop,
  channel: string,
  waits: () => Backoff.Wait,
  numbered?: Numbered
): Connections => {
  const nodes = new Map<number, Node>()
  const nodeOf = (id: number): Node => {
    let node = nodes.get(id)
    if (node === undefined)
      nodes.set(
        id,
        (node = {
          version: undefined,
          connecting: false,
          failures: 0,
          wait: waits(),
          cause: undefined,
          hasEnded: false,
          onLost: () => disconnected(id)
        })
      )
    return node
  }
  const lost = (node: Node, cause: string) => {
    node.version = undefined
    node.cause = cause
  }
  const disconnected = (id: number) => {
    const node = nodeOf(id)
    node.hasEnded = true
    if (node.version !== undefined) lost(node, hasClosed)
  }
  const hangUp = (id: number): Effect.Effect<void> =>
    Effect.ignore(Effect.map(brokers.get(id), (broker) => broker.hangUp(channel)))
  /** The cluster is another one: those that are connected to may be of the one before, and have to be asked again. */
  const hangUpOthers = (id: number) =>
    Effect.forEach(
      [...nodes.keys()].filter((other) => other !== id),
      (other) =>
        Effect.andThen(
          Effect.sync(() => disconnected(other)),
          hangUp(other)
        ),
      { discard: true }
    )
  const askWhose = (broker: Broker, node: Node): Effect.Effect<void, KafkaError.KafkaError> => {
    if (numbered === undefined) return Effect.void
    const options = { channel, minVersion: 2, timeout: numbered.within, onLost: node.onLost }
    return broker
      .send(Metadata, () => ({ topics: [] }), options)
      .pipe(
        Effect.flatMap(({ clusterId }) =>
          clusterId !== null && numbered.isOf(clusterId) ? hangUpOthers(broker.id) : Effect.void
        ),
        // Before 0.10.1 brokers do not tell.
        Effect.catch((error) => (error.reason._tag === "Unsupported" ? Effect.void : Effect.fail(error)))
      )
  }
  const versionOf: Connections["versionOf"] = (id) => {
    const node = nodes.get(id)
    return node?.version ?? node?.cause
  }
  return {
    versionOf,
    mustBeSeen: (id) => {
      if (typeof versionOf(id) !== "number") throw unreachable(id, "its connection was made again")
    },
    connect: (id, onFailure) => {
      const node = nodeOf(id)
      if (node.connecting) return
      node.connecting = true
      node.hasEnded = false
      const { fork, wake } = loop()
      const connected = Effect.flatMap(brokers.get(id), (broker) =>
        broker.version(Produce, { channel, onLost: node.onLost }).pipe(
          Effect.tap(() => askWhose(broker, node)),
          Effect.tap(() => (node.hasEnded ? Effect.fail(unreachable(id, hasClosed)) : Effect.void))
        )
      )
      const ended = Effect.sync(() => {
        node.connecting = false
        wake()
      })
      fork(
        connected.pipe(
          Effect.exit,
          Effect.flatMap((exit) => {
            if (Exit.isSuccess(exit)) {
              node.version = exit.value
              node.failures = 0
              node.cause = undefined
              return Effect.void
            }
            const error = failureOf(exit.cause, id)
            node.failures++
            node.cause = error.message
            onFailure(error)
            // The connection has its own delay, an address that is not known has none.
            return Effect.sleep(node.wait(node.failures, () => error))
          }),
          Effect.ensuring(ended)
        )
      )
    },
    lost: (id, cause) => lost(nodeOf(id), cause),
    disconnected,
    hangUp: Effect.forEach(nodes.keys(), hangUp, { discard: true })
  }
}
