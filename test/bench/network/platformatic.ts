import { createRequire } from "node:module"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"

const { Consumer, Producer, ProduceAcks, jsonDeserializer, stringDeserializer, stringSerializer } = createRequire(
  import.meta.url
)("@platformatic/kafka")

const connect = (target: Target, more: object = {}) =>
  new Producer({
    ...more,
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
  transactions: async (target, meter) => {
    const producer = connect(target, { transactionalId: "platformatic", idempotent: true })
    while (meter.running) {
      const transaction = await producer.beginTransaction()
      await transaction.send({
        messages: Array.from({ length: perCall }, () => ({ topic: target.topic, key: key(), value }))
      })
      await transaction.commit()
      meter.add(perCall)
    }
    await producer.close()
  },
  consume: async (target, meter, how) => {
    const deserializers = {
      arrays: {},
      each: {},
      text: { key: stringDeserializer, value: stringDeserializer },
      json: { value: jsonDeserializer }
    }[how]
    const consumer = new Consumer({
      clientId: "platformatic",
      bootstrapBrokers: [target.bootstrap],
      groupId: `platformatic-${process.pid}`,
      deserializers
    })
    const stream = await consumer.consume({
      topics: [target.topic],
      mode: "earliest",
      autocommit: 1000,
      // its best: with its default of 50 MiB it takes eight times the CPU, since its reader searches among the chunks
      maxBytes: 262_144,
      maxBytesPerPartition: 262_144
    })
    const isJson = how === "json"
    await new Promise<void>((resolve, reject) => {
      stream.on("error", reject)
      stream.on("data", ({ key, value }: { key: Buffer | string; value: any }) => {
        const size: number = isJson ? value.id.length : key.length + value.length
        if (size === 0) reject(new Error("a record without bytes"))
        meter.add(1)
        if (!meter.running) resolve()
      })
    })
    await stream.close()
    await consumer.close()
  }
}

/** Fills partitions one after the other with batches of 250 records. */
export const fillEvenly = async (
  target: Target,
  partitions: number,
  total: number,
  valueOf: (i: number) => Buffer = () => value
): Promise<void> => {
  const producer = connect(target)
  const size = 250
  let call = 0
  // Some more, since a reader ends with the array behind the last that it counts.
  const calls = Math.ceil((total * 1.05) / size)
  await Promise.all(
    Array.from({ length: inFlight }, async () => {
      while (call < calls) {
        const first = call * size
        const message = { topic: target.topic, partition: call++ % partitions }
        const messages = Array.from({ length: size }, (_, i) => ({ ...message, key: key(), value: valueOf(first + i) }))
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
