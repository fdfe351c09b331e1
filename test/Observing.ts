/** What tests of logs, metrics and traces share: a cluster with one client of a known name, and a Tracer that keeps its spans. */
import { Layer, Tracer } from "effect"
import { Producer } from "samsa"
import { KafkaTest } from "samsa/testing"

/** A topic `orders` of two partitions, a client `app`, a producer. */
export const cluster = (options: Parameters<typeof KafkaTest.layer>[0] = {}, producer?: Producer.Options) =>
  Producer.layer(producer).pipe(
    Layer.provideMerge(
      KafkaTest.layer({
        topics: [{ name: "orders", partitions: 2 }],
        ...options,
        client: { clientId: "app", ...options.client }
      })
    )
  )

/** A Tracer that keeps what it is given. */
export const keeping = () => {
  const spans: Array<Tracer.NativeSpan> = []
  const tracer = Tracer.make({
    span: (options) => {
      const span = new Tracer.NativeSpan(options)
      spans.push(span)
      return span
    }
  })
  return { spans, tracer, of: (name: string) => spans.filter((span) => span.name === name) }
}
