/**
 * Which version of an API is spoken on a connection: the highest that both sides know, chosen per API and connection,
 * since a rolling upgrade changes it.
 */
import type { Api, SendOptions } from "../Broker.ts"
import * as KafkaError from "../KafkaError.ts"

/** What a broker offers: lowest and highest version by API key. */
export type Offer = ReadonlyMap<number, readonly [min: number, max: number]>

/** Nothing is known yet. */
export const none: Offer = new Map()

const produce = 0
const fetch = 1

/** From ApiVersions' response. */
export const fromResponse = (
  rows: ReadonlyArray<{ readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }>
): Offer => {
  const offer = new Map<number, readonly [number, number]>()
  for (const row of rows) offer.set(row.apiKey, [row.minVersion, row.maxVersion])
  // 4.x lists Produce from 0, so that an old librdkafka takes it for able, and closes the connection on 0 to 2 (KAFKA-18659).
  const produces = offer.get(produce)
  if (produces !== undefined && (offer.get(fetch)?.[0] ?? 0) >= 4) offer.set(produce, [Math.max(3, produces[0]), produces[1]])
  return offer
}

/** The version to speak, or why there is none. */
export const choose = (
  api: Api<any, any>,
  offer: Offer,
  options: SendOptions,
  address: string
): number | KafkaError.KafkaError => {
  const { key, name, versions } = api.Request
  const theirs = offer.get(key)
  const min = Math.max(versions[0], options.minVersion ?? 0)
  const max = Math.min(versions[1], options.maxVersion ?? Infinity)
  const version = theirs === undefined ? -1 : Math.min(max, theirs[1])
  if (theirs !== undefined && version >= Math.max(min, theirs[0])) return version
  return KafkaError.make({
    _tag: "Unsupported",
    needed: name.replace(/Request$/, ""),
    ours: `v${min}-${max}`,
    theirs: theirs === undefined ? "none" : `v${theirs[0]}-${theirs[1]}`,
    api: name,
    broker: address
  })
}
