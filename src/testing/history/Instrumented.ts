/** Producers and consumers that are watched: they do what they do, and tell what they do. */
import type * as Producer from "../../Producer.ts"
import type { Event } from "./History.ts"
import * as WatchedConsumers from "./WatchedConsumers.ts"
import * as WatchedProducers from "./WatchedProducers.ts"
import * as WatchedTransactions from "./WatchedTransactions.ts"

export type { Promises } from "./WatchedProducers.ts"

/** Watches, telling `record` what happens and `used` how much is held; `now` is the time in milliseconds. */
export const make = (
  record: (event: Event) => void,
  used: (name: string, value: number, limit: number) => void,
  now: () => number
) => {
  const { makeProducer, producer } = WatchedProducers.make(record, used)
  return {
    makeProducer,
    producer: (self: Producer.Producer["Service"], promises?: WatchedProducers.Promises) => producer(self, promises),
    ...WatchedTransactions.make(record, producer),
    ...WatchedConsumers.make(record, now)
  }
}
