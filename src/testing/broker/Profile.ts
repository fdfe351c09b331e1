/**
 * What a broker of a certain version offers: the APIs and versions that it lists, those that it serves, how it meets
 * what it does not know, and the record format that it stores.
 */
import type { Handler } from "./Handler.ts"

/** What becomes of a request before its body is read. */
export type Verdict = "serve" | "close" | "silent" | "unsupported"

export interface Profile {
  readonly name: string
  /** As ApiVersions lists them. */
  readonly listed: ReadonlyArray<{ readonly apiKey: number; readonly minVersion: number; readonly maxVersion: number }>
  readonly accepts: (apiKey: number, version: number) => Verdict
  /** A key that the broker does not know. */
  readonly unknownKey: "close" | "silent"
  /** What ApiVersions lists where its own version is not known (error 35). */
  readonly refusedVersions: Profile["listed"]
  /** The record format of the log. */
  readonly magic: 0 | 1 | 2
  /** A sequence above 0 of a producer that is not known is refused (before KIP-360). */
  readonly strictProducers: boolean
  readonly supportedFeatures: ReadonlyArray<{
    readonly name: string
    readonly minVersion: number
    readonly maxVersion: number
  }>
  readonly finalizedFeatures: ReadonlyArray<{ readonly name: string; readonly level: number }>
}

/** Everything that this broker can do, at every stable version from 0. */
export const everything = (handlers: ReadonlyMap<number, Handler>): Profile => {
  const listed = Array.from(handlers.values(), (handler) => ({
    apiKey: handler.key,
    minVersion: handler.Request.stable[0],
    maxVersion: handler.Request.stable[1]
  })).sort((a, b) => a.apiKey - b.apiKey)
  return {
    name: "everything",
    listed,
    accepts: (apiKey, version) => {
      const range = listed.find((each) => each.apiKey === apiKey)
      if (range === undefined) return "close"
      if (version >= range.minVersion && version <= range.maxVersion) return "serve"
      return apiKey === 18 ? "unsupported" : "close"
    },
    unknownKey: "close",
    refusedVersions: listed.filter((each) => each.apiKey === 18),
    magic: 2,
    strictProducers: false,
    supportedFeatures: [],
    finalizedFeatures: []
  }
}
