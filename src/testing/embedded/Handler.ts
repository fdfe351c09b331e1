/** What serves one API: the file of each API exports one `handler`. */
import type * as Schema from "effect/Schema"
import type * as Wire from "../../protocol/Wire.ts"
import type { EmbeddedCluster, Node } from "./Cluster.ts"
import type { Needs } from "./Rules.ts"
import type { Session } from "./Sasl.ts"

/** The connection that a request came by, as far as handlers need it. */
interface Caller {
  /** Who is at the other end, as `DescribeGroups` names it. */
  readonly host: string
  /** Undefined where the listener asks for no authentication. */
  readonly sasl: Session | undefined
  readonly close: () => void
  /** Calls `run` when it ends; what is given ends that. */
  readonly onClose: (run: () => void) => () => void
}

/** A request that is being served. */
export interface Call<Q, A> {
  readonly cluster: EmbeddedCluster
  /** The broker that got it. */
  readonly node: Node
  readonly connection: Caller
  readonly version: number
  readonly clientId: string
  /** When it came: it may have waited behind another one since, whose answer was held. */
  readonly arrivedAt: number
  readonly request: Q
  /** Sends the response, now or later; what comes after the first is dropped. */
  readonly answer: (response: A) => void
  /** Ends the request without a response (Produce with acks 0). */
  readonly silence: () => void
  /**
   * The error that a fault, or a rule of access, puts in the place of the work for this topic, partition, or request; 0
   * where there is none.
   */
  readonly injected: (topic?: string, partition?: number) => number
  /** The error of a group that who asks may not use so; 0 where there is none. */
  readonly denied: (group: string) => number
  /** The error of a transactional id that who asks may not use so; 0 where there is none. */
  readonly deniedTransaction: (transactionalId: string) => number
  /** Whether a rule of access refuses who asks this topic. */
  readonly hides: (topic: string) => boolean
}

/** Serves one API at the versions of its messages. */
export interface Handler {
  readonly name: string
  readonly key: number
  readonly Request: Wire.Message<Schema.Top>
  readonly Response: Wire.Message<Schema.Top>
  readonly serve: (call: Call<any, any>) => void
}

/** One that rules of access guard. */
export interface Guarded extends Handler {
  readonly needs: Needs
}

export const handler = <Q extends Schema.Top, A extends Schema.Top>(
  name: string,
  api: { readonly Request: Wire.Message<Q>; readonly Response: Wire.Message<A> },
  serve: (call: Call<Q["Type"], A["~type.make.in"]>) => void
): Handler => ({ name, key: api.Request.key, Request: api.Request, Response: api.Response, serve })
