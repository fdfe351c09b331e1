/** What this client uses of node-rdkafka, which is an optional peer and so may not be there to tell its types. */
declare module "node-rdkafka" {
  export interface RdError {
    readonly code: number
    readonly message: string
  }
  export interface Assignment {
    readonly topic: string
    readonly partition: number
    readonly offset?: number
  }
  export interface Message {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly timestamp: number
    readonly key: Buffer | null
    readonly value: Buffer | null
    readonly headers?: ReadonlyArray<{ readonly [name: string]: Buffer }>
  }
  export interface Eof {
    readonly topic: string
    readonly partition: number
    readonly offset: number
  }
  export interface Report {
    readonly topic: string
    readonly partition: number
    readonly offset: number
    readonly opaque: number
    readonly timestamp?: number
  }
  export interface Client {
    connect(
      options: { readonly topic?: string; readonly allTopics?: boolean; readonly timeout: number },
      done: (error: RdError | null) => void
    ): void
    disconnect(done: () => void): void
    setOauthBearerToken(token: string): void
    on(
      event: "event.log",
      listener: (log: { readonly severity: number; readonly fac: string; readonly message: string }) => void
    ): void
    on(event: "event.error", listener: (error: RdError) => void): void
    on(event: "event.stats", listener: (stats: { readonly message: string }) => void): void
  }
  export interface Producer extends Client {
    on(
      event: "event.log",
      listener: (log: { readonly severity: number; readonly fac: string; readonly message: string }) => void
    ): void
    on(event: "event.error", listener: (error: RdError) => void): void
    on(event: "event.stats", listener: (stats: { readonly message: string }) => void): void
    on(event: "delivery-report", listener: (error: RdError | null, report: Report) => void): void
    /** Throws an `RdError`. */
    produce(
      topic: string,
      partition: number,
      value: Buffer | null,
      key: Buffer | null,
      timestamp: number,
      opaque: number,
      headers: ReadonlyArray<{ readonly [name: string]: string }> | undefined
    ): void
    poll(): void
    /** Of the topics that it knows by name; it learns of them what the answer says. */
    getMetadata(
      options: { readonly allTopics: boolean; readonly timeout: number },
      done: (error: RdError | null | undefined) => void
    ): void
    flush(timeout: number, done: (error: RdError | null) => void): void
    disconnect(done: () => void): void
    disconnect(timeout: number, done: () => void): void
  }
  export interface KafkaConsumer extends Client {
    on(
      event: "event.log",
      listener: (log: { readonly severity: number; readonly fac: string; readonly message: string }) => void
    ): void
    on(event: "event.error", listener: (error: RdError) => void): void
    on(event: "event.stats", listener: (stats: { readonly message: string }) => void): void
    on(event: "partition.eof", listener: (eof: Eof) => void): void
    incrementalAssign(partitions: ReadonlyArray<Assignment>): void
    incrementalUnassign(partitions: ReadonlyArray<Assignment>): void
    setDefaultConsumeTimeout(millis: number): void
    consume(max: number, done: (error: RdError | null, messages: ReadonlyArray<Message>) => void): void
    /** What the last response told; throws where nothing was. */
    getWatermarkOffsets(topic: string, partition: number): { readonly lowOffset: number; readonly highOffset: number }
  }
  type Properties = { readonly [name: string]: unknown }
  export interface Library {
    readonly Producer: new (properties: Properties, topic: Properties) => Producer
    readonly KafkaConsumer: new (properties: Properties, topic: Properties) => KafkaConsumer
    readonly librdkafkaVersion: string
    readonly features: ReadonlyArray<string>
    readonly CODES: { readonly ERRORS: { readonly [name: string]: number } }
  }
  const library: Library
  export default library
}
