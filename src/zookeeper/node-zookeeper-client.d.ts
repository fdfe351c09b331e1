/** As much of node-zookeeper-client 1.1 as is used here. It brings no types. */
declare module "node-zookeeper-client" {
  export interface Exception {
    readonly code: number
    readonly message: string
  }
  export interface Server {
    readonly host: string
    readonly port: number
  }
  /** Longs are eight bytes. */
  export interface Stat {
    readonly version: number
    readonly ephemeralOwner: Uint8Array
    readonly czxid: Uint8Array
    readonly mzxid: Uint8Array
  }
  export interface Packet {
    readonly callback: (error: Exception) => void
  }
  export interface PendingQueue {
    readonly push: (packet: Packet) => void
    readonly shift: () => Packet | undefined
  }
  /** Of a request for watches, the paths of each kind. */
  export interface Request {
    readonly header: { readonly type: number } | null
    readonly payload: {
      readonly dataWatches?: ReadonlyArray<string>
      readonly existWatches?: ReadonlyArray<string>
      readonly childWatches?: ReadonlyArray<string>
    } | null
  }
  /** Its connection, which nothing but the client should need to know; see `zookeeper/NodeClient.ts` for why we do. */
  export interface ConnectionManager {
    servers: ReadonlyArray<Server>
    /** Of the next request. */
    xid: number
    findNextServer: (use: (server: Server) => void) => void
    updateTimeout: (sessionTimeout: number) => void
    onSocketData: (chunk: Buffer) => void
    onSocketError: (error: NodeJS.ErrnoException) => void
    queue: (request: Request, callback?: (error: Exception | null) => void) => void
    pendingQueue: PendingQueue
    cleanupPendingQueue: () => void
    readonly packetQueue: { readonly shift: () => unknown }
    readonly socket?: { readonly destroy: () => void; readonly destroyed: boolean } | undefined
    readonly connectTimeoutHandler?: ReturnType<typeof setTimeout> | null | undefined
  }
  type Answered<A, B = void> = (error: Exception | undefined | null, a?: A, b?: B) => void
  type Acl = ReadonlyArray<unknown>
  export interface Transaction {
    readonly check: (path: string) => Transaction
    readonly commit: (done: Answered<unknown>) => void
  }
  export interface Client {
    readonly connectionManager: ConnectionManager
    readonly on: (event: "state", listener: (state: { readonly code: number; readonly name: string }) => void) => void
    readonly connect: () => void
    readonly close: () => void
    readonly getSessionId: () => Uint8Array
    readonly getSessionTimeout: () => number
    readonly addAuthInfo: (scheme: string, auth: Uint8Array) => void
    readonly getData: {
      (path: string, done: Answered<Uint8Array | undefined, Stat>): void
      (path: string, watcher: () => void, done: Answered<Uint8Array | undefined, Stat>): void
    }
    readonly getChildren: {
      (path: string, done: Answered<ReadonlyArray<string>>): void
      (path: string, watcher: () => void, done: Answered<ReadonlyArray<string>>): void
    }
    readonly exists: {
      (path: string, done: Answered<Stat | null>): void
      (path: string, watcher: () => void, done: Answered<Stat | null>): void
    }
    readonly create: (path: string, data: Uint8Array, acl: Acl, mode: number, done: Answered<string>) => void
    readonly setData: (path: string, data: Uint8Array, version: number, done: Answered<Stat>) => void
    readonly remove: (path: string, version: number, done: Answered<void>) => void
    readonly transaction: () => Transaction
  }
  const library: {
    readonly createClient: (connection: string, options: { readonly sessionTimeout: number }) => Client
    readonly ACL: { readonly OPEN_ACL_UNSAFE: Acl; readonly CREATOR_ALL_ACL: Acl }
  }
  export default library
}
