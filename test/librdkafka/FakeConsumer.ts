/** A client of librdkafka as `RdConsumer` sees it through node-rdkafka, whose queue a test fills: it reads as its C++ does. */
import type { Assignment, KafkaConsumer, Message, RdError } from "node-rdkafka"

/** What librdkafka's queue holds. */
export type Item =
  | { readonly message: { readonly partition: number; readonly offset: number; readonly bytes?: number } }
  | { readonly eof: { readonly partition: number; readonly offset: number } }
  | { readonly error: { readonly code: number; readonly message: string } }

interface Read {
  readonly most: number
  readonly millis: number
  readonly done: (error: RdError | null, messages: ReadonlyArray<Message>) => void
  readonly messages: Array<Message>
  readonly eofs: Array<{ readonly topic: string; readonly partition: number; readonly offset: number }>
}

export const topic = "t"

export type Fake = ReturnType<typeof make>

/** The client, and what a test has of it. */
export const make = (options: { readonly high?: number; readonly refuse?: () => string | undefined } = {}) => {
  const queue: Array<Item> = []
  const calls: Array<string> = []
  /** How much was asked for by each read. */
  const reads: Array<{ readonly most: number; readonly millis: number }> = []
  let millis = 1000
  let closing = false
  let read: Read | undefined
  let eofListener: (eof: { topic: string; partition: number; offset: number }) => void = () => {}

  let errorListener: (error: RdError) => void = () => {}

  const end = (error: RdError | null) => {
    const { done, eofs, messages } = read!
    read = undefined
    // With an error nothing else is told.
    if (error !== null) return done(error, undefined as never)
    for (const eof of eofs) eofListener(eof)
    done(null, messages)
  }

  /** As `KafkaConsumerConsumeNum::Execute`: until it has as many as it may, an error, or nothing within its time. */
  const run = () => {
    for (;;) {
      if (read === undefined) return
      const item = queue.shift()
      if (item === undefined) {
        if (read.millis === 0 || closing) end(null)
        return
      }
      if ("message" in item) {
        const { bytes = 1, offset, partition } = item.message
        read.messages.push({ topic, partition, offset, timestamp: 1, key: null, value: Buffer.alloc(bytes) })
        if (read.messages.length === read.most) end(null)
      } else if ("eof" in item) read.eofs.push({ topic, ...item.eof })
      else end(read.messages.length === 0 ? item.error : null)
    }
  }

  const places = (partitions: ReadonlyArray<Assignment>) =>
    partitions.map(({ offset, partition }) => (offset === undefined ? `${partition}` : `${partition}@${offset}`)).join()
  const call = (name: string, partitions: ReadonlyArray<Assignment>) => {
    calls.push(`${name} ${places(partitions)}`)
    const refusal = options.refuse?.()
    if (refusal !== undefined) throw new Error(refusal)
  }

  const client = {
    on: (event: string, listener: typeof eofListener) => {
      if (event === "partition.eof") eofListener = listener
      if (event === "event.error") errorListener = listener as never
    },
    setDefaultConsumeTimeout: (value: number) => {
      millis = value
    },
    consume: (most: number, done: Read["done"]) => {
      reads.push({ most, millis })
      read = { most, millis, done, messages: [], eofs: [] }
      // As from a thread: never at once.
      setImmediate(run)
    },
    incrementalAssign: (partitions: ReadonlyArray<Assignment>) => call("assign", partitions),
    incrementalUnassign: (partitions: ReadonlyArray<Assignment>) => call("unassign", partitions),
    getWatermarkOffsets: () => ({ lowOffset: 0, highOffset: options.high ?? 100 })
  } as unknown as KafkaConsumer

  return {
    client,
    calls,
    reads,
    /** Puts into the queue. */
    push: (...items: ReadonlyArray<Item>) => {
      queue.push(...items)
      setImmediate(run)
    },
    /** Tells of something that is of no partition: of a connection. */
    tell: (error: RdError) => errorListener(error),
    /** No read waits any more. */
    close: () => {
      closing = true
      setImmediate(run)
    },
    /** The time of a read that waits is over. */
    elapse: () => {
      if (read !== undefined && queue.length === 0) end(null)
    }
  }
}
