/** librdkafka through node-rdkafka, where that is installed: `BENCH_RDKAFKA` is the folder of the package. */
import { createRequire } from "node:module"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"

const { HighLevelProducer } = createRequire(import.meta.url)(process.env.BENCH_RDKAFKA ?? "node-rdkafka")

const connect = (target: Target): Promise<{ readonly one: () => Promise<void>; readonly close: () => Promise<void> }> =>
  new Promise((resolve, reject) => {
    const producer = new HighLevelProducer({
      "metadata.broker.list": target.bootstrap,
      acks: -1,
      "linger.ms": 5,
      "queue.buffering.max.messages": 1_000_000
    })
    producer.on("event.error", reject)
    producer.on("ready", () =>
      resolve({
        one: () =>
          new Promise((resolve, reject) =>
            producer.produce(target.topic, null, value, Buffer.from(key()), Date.now(), (error: Error | null) =>
              error === null ? resolve() : reject(error)
            )
          ),
        close: () => new Promise((resolve) => producer.disconnect(() => resolve()))
      })
    )
    producer.connect({}, (error: Error | null) => (error === null ? undefined : reject(error)))
  })

export const contender: Contender = {
  sendAll: async (target, meter) => {
    const { close, one } = await connect(target)
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (meter.running) {
          await Promise.all(Array.from({ length: perCall }, one))
          meter.add(perCall)
        }
      })
    )
    await close()
  },
  send: async (target, meter) => {
    const { close, one } = await connect(target)
    await Promise.all(
      Array.from({ length: senders }, async () => {
        while (meter.running) {
          await one()
          meter.add(1)
        }
      })
    )
    await close()
  },
  consume: () => Promise.reject(new Error("node-rdkafka is measured at producing alone"))
}
