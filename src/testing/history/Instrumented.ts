/** Producers and consumers that are watched: they do what they do, and tell what they do. */
import type { Event } from "./History.ts"
import * as WatchedConsumers from "./WatchedConsumers.ts"
import * as WatchedProducers from "./WatchedProducers.ts"

export type { Promises } from "./WatchedProducers.ts"

/** Watches, telling `record` what happens and `used` how much is held. */
export const make = (record: (event: Event) => void, used: (name: string, value: number, limit: number) => void) => ({
  ...WatchedProducers.make(record, used),
  ...WatchedConsumers.make(record)
})
