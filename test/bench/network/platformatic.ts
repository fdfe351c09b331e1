import { createRequire } from "node:module"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"

const { Consumer, Producer, ProduceAcks, stringSerializer } = createRequire(import.meta.url)("@platformatic/kafka")

const connect = (target: Target) =>
  new Producer({
    clientId: "platformatic",
    bootstrapBrokers: [target.bootstrap],
    acks: ProduceAcks.ALL,
    serializers: { key: stringSerializer, value: (bytes: Buffer) => bytes }
  })

export const contender: Contender = {
  sendAll: async (target, meter) => {
    const producer = connect(target)
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (meter.running) {
          await producer.send({
            messages: Array.from({ length: perCall }, () => ({ topic: target.topic, key: key(), value }))
          })
          meter.add(perCall)
        }
      })
    )
    await producer.close()
  },
  send: async (target, meter) => {
    const producer = connect(target)
    await Promise.all(
      Array.from({ length: senders }, async () => {
        while (meter.running) {
          await producer.send({ messages: [{ topic: target.topic, key: key(), value }] })
          meter.add(1)
        }
      })
    )
    await producer.close()
  },
  consume: async (target, meter) => {
    const consumer = new Consumer({
      clientId: "platformatic",
      bootstrapBrokers: [target.bootstrap],
      groupId: `platformatic-${process.pid}`
    })
    const stream = await consumer.consume({
      topics: [target.topic],
      mode: "earliest",
      autocommit: 1000,
      // its best: with its default of 50 MiB it takes eight times the CPU, since its reader searches among the chunks
      maxBytes: 262_144,
      maxBytesPerPartition: 262_144
    })
    await new Promise<void>((resolve, reject) => {
      stream.on("error", reject)
      stream.on("data", (message: { key: Buffer; value: Buffer }) => {
        if (message.key.length + message.value.length === 0) reject(new Error("a record without bytes"))
        meter.add(1)
        if (!meter.running) resolve()
      })
    })
    await stream.close()
    await consumer.close()
  }
}

/** Fills many partitions with batches of 250 records. */
export const fillEvenly = async (target: Target, partitions: number, total: number): Promise<void> => {
  const producer = connect(target)
  const size = 250
  let call = 0
  // Some more, since a reader ends with the array behind the last that it counts.
  const calls = Math.ceil((total * 1.05) / size)
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (call < calls) {
        const partition = call++ % partitions
        const message = { topic: target.topic, value, partition }
        const messages = Array.from({ length: size }, () => ({ ...message, key: key() }))
        // A broker names the leaders of a thousand new partitions before it is ready to lead them.
        for (let left = 60; ; left--) {
          const sent = await producer.send({ messages }).then(
            () => true,
            (error: unknown) => {
              if (left === 0) throw error
              return false
            }
          )
          if (sent) break
          await new Promise((resolve) => setTimeout(resolve, 1000))
        }
      }
    })
  )
  await producer.close()
}
