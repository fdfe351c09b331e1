import { createRequire } from "node:module"
import { type Contender, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"

const { Kafka, logLevel, Partitioners } = createRequire(import.meta.url)("kafkajs")

const connect = async (target: Target) => {
  const kafka = new Kafka({ brokers: [target.bootstrap], logLevel: logLevel.ERROR })
  const producer = kafka.producer({ createPartitioner: Partitioners.DefaultPartitioner })
  await producer.connect()
  return producer
}

export const contender: Contender = {
  sendAll: async (target, meter) => {
    const producer = await connect(target)
    await Promise.all(
      Array.from({ length: inFlight }, async () => {
        while (meter.running) {
          const messages = Array.from({ length: perCall }, () => ({ key: key(), value }))
          await producer.send({ topic: target.topic, acks: -1, messages })
          meter.add(perCall)
        }
      })
    )
    await producer.disconnect()
  },
  send: async (target, meter) => {
    const producer = await connect(target)
    await Promise.all(
      Array.from({ length: senders }, async () => {
        while (meter.running) {
          await producer.send({ topic: target.topic, acks: -1, messages: [{ key: key(), value }] })
          meter.add(1)
        }
      })
    )
    await producer.disconnect()
  },
  consume: async (target, meter) => {
    const kafka = new Kafka({ brokers: [target.bootstrap], logLevel: logLevel.ERROR })
    const consumer = kafka.consumer({ groupId: `kafkajs-${process.pid}` })
    await consumer.connect()
    await consumer.subscribe({ topic: target.topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      consumer
        .run({
          eachBatch: async ({ batch }: { batch: { messages: ReadonlyArray<{ key: Buffer; value: Buffer }> } }) => {
            let bytes = 0
            for (const message of batch.messages) bytes += message.key.length + message.value.length
            if (bytes === 0) throw new Error("records without bytes")
            meter.add(batch.messages.length)
            if (!meter.running) resolve()
          }
        })
        .catch(reject)
    })
    await consumer.disconnect()
  }
}
