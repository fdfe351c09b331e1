/** What the tests of producers share: a topic of texts, producers over an embedded cluster, and links that misbehave. */
import { Effect, Layer, Schema } from "effect"
import {
  Bootstrap,
  Broker,
  Kafka,
  KafkaConfig,
  type KafkaError,
  NativeBrokers,
  NativeCluster,
  NativeGroupOffsets,
  NativeTransport,
  Network,
  Producer,
  Topic
} from "samsa"
import { EmbeddedKafka, KafkaTest } from "samsa/testing"

export const text = Topic.make("text", { key: Schema.NullOr(Schema.String), value: Schema.NullOr(Schema.String) })

/** The cluster: 4 partitions, unless told otherwise. */
export const kafka = (options: KafkaTest.Options = {}) =>
  KafkaTest.layer({ topics: [{ name: text, partitions: 4 }], ...options })

export const withProducer = (options?: Producer.Options, cluster?: KafkaTest.Options) =>
  Producer.layer(options).pipe(Layer.provideMerge(kafka(cluster)))

/** The values of a partition, in the order of offsets. */
export const logOf = (partition: number, topic = text) =>
  Effect.flatMap(EmbeddedKafka.EmbeddedKafka, (broker) =>
    Effect.map(broker.log(topic, partition), (records) => records.map(({ value }) => value))
  )

export const reasonOf = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(Effect.flip(effect), ({ reason }) => reason)

/** What a failure says of the record. */
export const persistenceOf = <A, R>(effect: Effect.Effect<A, KafkaError.KafkaError, R>) =>
  Effect.map(reasonOf(effect), (reason) => (reason._tag === "NotDelivered" ? reason.persistence : reason._tag))

/** A link that a test can stop: nothing that is written gets through, or is said to be written. */
export interface Link {
  stuck: boolean
  /** Connections are not made: they neither fail nor succeed. */
  dead: boolean
  /** What is written is said to be written before the broker sees it, as a socket does. */
  eager: boolean
  /** Bytes that a connection takes in a second; `Infinity`: all at once. */
  rate: number
  /** Bytes that have got through at that rate. */
  forwarded: number
  readonly held: Array<() => void>
  /** How often a connection was asked for. */
  connects: number
}

/** An embedded cluster behind such a link. */
export const behindLink = (link: Link, options: KafkaTest.Options = {}) => {
  /** One write after the other, at the link's rate, until the connection is closed. */
  const paced = (connection: Network.Connection, fork: (effect: Effect.Effect<void>) => void) => {
    let isOpen = true
    let freeAt = 0
    const close = () => {
      isOpen = false
      connection.close()
    }
    const write: Network.Connection["write"] = (chunks, written) => {
      const bytes = chunks.reduce((sum, { length }) => sum + length, 0)
      const takes = Effect.clockWith((clock) => {
        const now = clock.currentTimeMillisUnsafe()
        freeAt = Math.max(freeAt, now) + (1000 * bytes) / link.rate
        return Effect.sleep(freeAt - now)
      })
      const through = Effect.sync(() => {
        if (!isOpen) return
        link.forwarded += bytes
        connection.write(chunks, written)
      })
      fork(Effect.andThen(takes, through))
    }
    return { close, write }
  }
  const cluster = EmbeddedKafka.layer({ topics: [{ name: text, partitions: 4 }], ...options })
  const network = Layer.effect(
    Network.Network,
    Effect.gen(function* () {
      const broker = yield* EmbeddedKafka.EmbeddedKafka
      const fork = Effect.runForkWith(yield* Effect.context<never>())
      return Network.Network.of({
        connect: (address, handler) =>
          Effect.suspend(() =>
            (link.connects++, link.dead)
              ? Effect.never
              : Effect.map(broker.connect(address, handler), (connection) => {
                  const slow = paced(connection, (effect) => void fork(effect))
                  return {
                    close: slow.close,
                    write: (chunks: ReadonlyArray<Uint8Array>, written?: () => void) => {
                      if (link.eager) {
                        written?.()
                        connection.write(chunks)
                      } else if (link.stuck) link.held.push(() => connection.write(chunks, written))
                      else if (link.rate < Infinity) slow.write(chunks, written)
                      else connection.write(chunks, written)
                    }
                  }
                })
          )
      })
    })
  )
  return Layer.unwrap(
    Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) =>
      Layer.provide(Kafka.layerWithoutNetwork({ ...options.client, bootstrap }), network)
    )
  ).pipe(Layer.provideMerge(cluster))
}

/** An embedded cluster whose brokers are seen through `wrap`. */
export const throughBrokers = (wrap: (broker: Broker.Broker) => Broker.Broker, options: EmbeddedKafka.Options = {}) => {
  const brokers = Layer.effect(
    Broker.Brokers,
    Effect.map(NativeBrokers.make, (all) => ({
      ...all,
      get: (id: number) => Effect.map(all.get(id), wrap),
      at: (host: string, port: number) => Effect.map(all.at(host, port), wrap)
    }))
  )
  const client = (bootstrap: ReadonlyArray<string>) =>
    Layer.merge(NativeTransport.layer, NativeGroupOffsets.layer).pipe(
      Layer.provideMerge(NativeCluster.layer),
      Layer.provide(brokers),
      Layer.provide(Bootstrap.layer),
      Layer.provide(KafkaConfig.layer({ bootstrap })),
      Layer.provide(EmbeddedKafka.layerNetwork)
    )
  return Layer.unwrap(Effect.map(EmbeddedKafka.EmbeddedKafka, ({ bootstrap }) => client(bootstrap))).pipe(
    Layer.provideMerge(EmbeddedKafka.layer({ topics: [{ name: text, partitions: 4 }], ...options }))
  )
}

/** A broker whose requests of one API go, and are answered, otherwise. */
export const changed = (
  api: unknown,
  options: { readonly maxVersion?: number; readonly answer?: (response: any) => any }
): ((broker: Broker.Broker) => Broker.Broker) => {
  const { answer = (response: any) => response, maxVersion } = options
  const through = (broker: Broker.Broker): Broker.Broker["send"] =>
    ((asked: any, request: any, given: any = {}) =>
      asked === api
        ? Effect.map(broker.send(asked, request, maxVersion === undefined ? given : { ...given, maxVersion }), answer)
        : broker.send(asked, request, given)) as Broker.Broker["send"]
  return (broker) => ({ ...broker, send: through(broker) })
}

export const makeLink = (): Link => ({
  stuck: false,
  dead: false,
  eager: false,
  rate: Infinity,
  forwarded: 0,
  held: [],
  connects: 0
})
