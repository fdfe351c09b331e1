import { createRequire } from "node:module"
import { type Contender, type How, inFlight, key, perCall, senders, type Target, value } from "./Contender.ts"

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
  transactions: async (target, meter) => {
    const kafka = new Kafka({ brokers: [target.bootstrap], logLevel: logLevel.ERROR })
    const producer = kafka.producer({
      createPartitioner: Partitioners.DefaultPartitioner,
      transactionalId: "kafkajs",
      maxInFlightRequests: 1,
      idempotent: true
    })
    await producer.connect()
    while (meter.running) {
      const transaction = await producer.transaction()
      const messages = Array.from({ length: perCall }, () => ({ key: key(), value }))
      await transaction.send({ topic: target.topic, acks: -1, messages })
      await transaction.commit()
      meter.add(perCall)
    }
    await producer.disconnect()
  },
  consume: async (target, meter, how) => {
    const kafka = new Kafka({ brokers: [target.bootstrap], logLevel: logLevel.ERROR })
    const consumer = kafka.consumer({ groupId: `kafkajs-${process.pid}` })
    await consumer.connect()
    await consumer.subscribe({ topic: target.topic, fromBeginning: true })
    await new Promise<void>((resolve, reject) => {
      const took = (count: number, size: number) => {
        if (size === 0) throw new Error("records without bytes")
        meter.add(count)
        if (!meter.running) resolve()
      }
      const eachBatch = async ({ batch: { messages } }: { batch: { messages: ReadonlyArray<Message> } }) => {
        let size = 0
        for (const message of messages) size += sizes[how](message)
        took(messages.length, size)
      }
      const eachMessage = async ({ message }: { message: Message }) => took(1, sizes.each(message))
      consumer.run(how === "each" ? { eachMessage } : { eachBatch }).catch(reject)
    })
    await consumer.disconnect()
  }
}

interface Message {
  readonly key: Buffer
  readonly value: Buffer
}

/** Looks at a record: gives something that is never 0. */
const sizes: Record<How, (message: Message) => number> = {
  arrays: ({ key, value }) => key.length + value.length,
  each: ({ key, value }) => key.length + value.length,
  text: ({ key, value }) => key.toString().length + value.toString().length,
  json: ({ value }) => (JSON.parse(value.toString()) as { readonly id: string }).id.length
}
