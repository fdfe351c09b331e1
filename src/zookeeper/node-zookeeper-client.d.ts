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
  /** Its connection, which nothing but the client should need to know; see `zookeeper/Client.ts` for why we do. */
  export interface ConnectionManager {
    servers: ReadonlyArray<Server>
    findNextServer: (use: (server: Server) => void) => void
    updateTimeout: (sessionTimeout: number) => void
    onSocketData: (chunk: Uint8Array) => void
    pendingBuffer: Uint8Array | null
    readonly socket?: { readonly destroy: () => void } | undefined
    readonly connectTimeoutHandler?: ReturnType<typeof setTimeout> | null | undefined
  }
  export interface Client {
    readonly connectionManager: ConnectionManager
    readonly on: (event: "state", listener: (state: { readonly code: number; readonly name: string }) => void) => void
    readonly connect: () => void
    readonly close: () => void
    readonly getData: (path: string, done: (error: Exception | undefined | null, data?: Uint8Array) => void) => void
    readonly getChildren: (
      path: string,
      done: (error: Exception | undefined | null, children?: ReadonlyArray<string>) => void
    ) => void
  }
  const library: {
    readonly createClient: (connection: string, options: { readonly sessionTimeout: number }) => Client
  }
  export default library
}
