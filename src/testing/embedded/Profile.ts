/**
 * What a broker of a certain version offers: the APIs and versions that it lists, those that it serves, how it meets
 * what it does not know, and the record format that it stores.
 *
 * The tables are what real brokers of these releases answered to ApiVersions (0.8.2 and 0.9 have none: theirs are what
 * they serve); what this broker does not have is not listed.
 */
import * as Code from "./Code.ts"
import type * as Wire from "../../protocol/Wire.ts"

/** The releases that can be played. */
export type Release = "0.8.2" | "0.9" | "0.10.2" | "0.11" | "1.1" | "2.8" | "3.9" | "4.0" | "4.4"

/** From the oldest to the newest. */
export const releases: ReadonlyArray<Release> = ["0.8.2", "0.9", "0.10.2", "0.11", "1.1", "2.8", "3.9", "4.0", "4.4"]

/** What becomes of a request before its body is read. */
type Verdict = "serve" | "close" | "silent" | "unsupported"

/** What of a handler says which versions it serves. */
interface Served {
  readonly key: number
  readonly Request: Pick<Wire.Message<never>, "stable" | "versions">
}

interface Range {
  readonly apiKey: number
  readonly minVersion: number
  readonly maxVersion: number
}

export interface Profile {
  readonly name: Release | "everything"
  /** Whether it behaves as this release or a later one. */
  readonly since: (release: Release) => boolean
  /** As ApiVersions lists them. */
  readonly listed: ReadonlyArray<Range>
  readonly accepts: (apiKey: number, version: number) => Verdict
  /** The version that a request is read, and its response written, as. */
  readonly servedAs: (apiKey: number, version: number) => number
  /** A key that the broker does not know. */
  readonly unknownKey: "close" | "silent"
  /** What ApiVersions lists where its own version is not known (error 35). */
  readonly refusedVersions: ReadonlyArray<Range>
  /** The record format of the log. */
  readonly magic: 0 | 1 | 2
  /** Batches of a producer that are remembered. */
  readonly remembered: number
  /** The error for a sequence above 0 of a producer that is not known; 0 where it is taken, as since KIP-360. */
  readonly unknownProducer: number
  /** Any broker takes changes of topics, and forwards them to the controller (KRaft). */
  readonly forwards: boolean
  /** `group.max.session.timeout.ms` by default. */
  readonly maxSessionTimeout: number
  /** The highest level of the feature `group.version`, which is finalized; 0 where it has none. */
  readonly groupVersion: number
  /** Whether groups may speak the consumer protocol (KIP-848), if they are told to, or by default. */
  readonly consumerProtocol: "never" | "early access" | "default"
  /** How long a failed authentication is held back, in milliseconds: 100 by default since 2.0, 0 before. */
  readonly failureDelay: number
  /** A leader asks the coordinator whether a partition is in the transaction before it takes the first write (KIP-890). */
  readonly verifies: boolean
  /** The highest level of the feature `transaction.version`; 0 where it has none. */
  readonly transactionVersion: number
  /** Metadata names no broker until a topic is there (0.8.2). */
  readonly hidesBrokers: boolean
  readonly supportedFeatures: ReadonlyArray<{
    readonly name: string
    readonly minVersion: number
    readonly maxVersion: number
  }>
  readonly finalizedFeatures: ReadonlyArray<{ readonly name: string; readonly level: number }>
}

const apiVersionsKey = 18
const produceKey = 0

/** Everything that this broker can do, at every stable version from 0. */
export const everything = (handlers: ReadonlyMap<number, Served>): Profile => {
  const listed = Array.from(handlers.values(), (handler) => ({
    apiKey: handler.key,
    minVersion: handler.Request.stable[0],
    maxVersion: handler.Request.stable[1]
  })).sort((a, b) => a.apiKey - b.apiKey)
  return {
    name: "everything",
    since: () => true,
    listed,
    accepts: within(listed, "close", "unsupported"),
    servedAs: asAsked,
    unknownKey: "close",
    refusedVersions: listed.filter((each) => each.apiKey === apiVersionsKey),
    magic: 2,
    remembered: 5,
    unknownProducer: Code.none,
    forwards: true,
    maxSessionTimeout: 1_800_000,
    groupVersion: 1,
    consumerProtocol: "default",
    failureDelay: 0,
    hidesBrokers: false,
    verifies: true,
    transactionVersion: 2,
    supportedFeatures: [],
    finalizedFeatures: []
  }
}

const asAsked = (_: number, version: number) => version

const within = (
  ranges: ReadonlyArray<Range>,
  outside: Verdict,
  apiVersions: Verdict
): ((apiKey: number, version: number) => Verdict) => {
  const byKey = new Map(ranges.map((range) => [range.apiKey, range]))
  return (apiKey, version) => {
    const range = byKey.get(apiKey)
    if (range !== undefined && version >= range.minVersion && version <= range.maxVersion) return "serve"
    return apiKey === apiVersionsKey ? apiVersions : outside
  }
}

/** By key: first and last version, or the only one. */
const tables: { readonly [R in Release]: string } = {
  "0.8.2": "0:0-2 1:0 2:0 3:0 8:0-1 9:0-1 10:0",
  "0.9": "0:0-2 1:0-1 2:0 3:0 8:0-2 9:0-1 10:0 11:0 12:0 13:0 14:0 15:0 16:0",
  "0.10.2":
    "0:0-2 1:0-3 2:0-1 3:0-2 4:0 5:0 6:0-3 7:1 8:0-2 9:0-2 10:0 11:0-1 12:0 13:0 14:0 15:0 16:0 17:0 18:0 19:0-1 20:0",
  "0.11":
    "0:0-3 1:0-5 2:0-2 3:0-4 4:0 5:0 6:0-3 7:1 8:0-3 9:0-3 10:0-1 11:0-2 12:0-1 13:0-1 14:0-1 15:0-1 16:0-1 17:0 18:0-1 19:0-2 20:0-1 21:0 22:0 23:0 24:0 25:0 26:0 27:0 28:0 29:0 30:0 31:0 32:0 33:0",
  "1.1":
    "0:0-5 1:0-7 2:0-2 3:0-5 4:0-1 5:0 6:0-4 7:0-1 8:0-3 9:0-3 10:0-1 11:0-2 12:0-1 13:0-1 14:0-1 15:0-1 16:0-1 17:0-1 18:0-1 19:0-2 20:0-1 21:0 22:0 23:0 24:0 25:0 26:0 27:0 28:0 29:0 30:0 31:0 32:0-1 33:0 34:0 35:0 36:0 37:0 38:0 39:0 40:0 41:0 42:0",
  "2.8":
    "0:0-9 1:0-12 2:0-6 3:0-11 4:0-5 5:0-3 6:0-7 7:0-3 8:0-8 9:0-7 10:0-3 11:0-7 12:0-4 13:0-4 14:0-5 15:0-5 16:0-4 17:0-1 18:0-3 19:0-7 20:0-6 21:0-2 22:0-4 23:0-4 24:0-3 25:0-3 26:0-3 27:0-1 28:0-3 29:0-2 30:0-2 31:0-2 32:0-4 33:0-2 34:0-2 35:0-2 36:0-2 37:0-3 38:0-2 39:0-2 40:0-2 41:0-2 42:0-2 43:0-2 44:0-1 45:0 46:0 47:0 48:0-1 49:0-1 50:0 51:0 56:0 57:0 60:0 61:0",
  "3.9":
    "0:0-11 1:0-17 2:0-9 3:0-12 8:0-9 9:0-9 10:0-6 11:0-9 12:0-4 13:0-5 14:0-5 15:0-5 16:0-5 17:0-1 18:0-4 19:0-7 20:0-6 21:0-2 22:0-5 23:0-4 24:0-5 25:0-4 26:0-4 27:0-1 28:0-4 29:0-3 30:0-3 31:0-3 32:0-4 33:0-2 34:0-2 35:0-4 36:0-2 37:0-3 38:0-3 39:0-2 40:0-2 41:0-3 42:0-2 43:0-2 44:0-1 45:0 46:0 47:0 48:0-1 49:0-1 50:0 51:0 55:0-2 57:0-1 60:0-1 61:0 64:0 65:0 66:0-1 68:0 69:0 71:0 72:0 74:0 75:0 80:0 81:0",
  "4.0":
    "0:0-12 1:4-17 2:1-10 3:0-13 8:2-9 9:1-9 10:0-6 11:0-9 12:0-4 13:0-5 14:0-5 15:0-6 16:0-5 17:0-1 18:0-4 19:2-7 20:1-6 21:0-2 22:0-5 23:2-4 24:0-5 25:0-4 26:0-5 27:1 28:0-5 29:1-3 30:1-3 31:1-3 32:1-4 33:0-2 34:1-2 35:1-4 36:0-2 37:0-3 38:1-3 39:1-2 40:1-2 41:1-3 42:0-2 43:0-2 44:0-1 45:0 46:0 47:0 48:0-1 49:0-1 50:0 51:0 55:0-2 57:0-2 60:0-2 61:0 64:0 65:0 66:0-1 68:0-1 69:0-1 71:0 72:0 74:0 75:0 80:0 81:0",
  "4.4":
    "0:0-13 1:4-18 2:1-11 3:0-13 8:2-10 9:1-10 10:0-6 11:0-9 12:0-4 13:0-5 14:0-5 15:0-6 16:0-5 17:0-1 18:0-5 19:2-7 20:1-6 21:0-2 22:0-5 23:2-4 24:0-5 25:0-4 26:0-5 27:1-2 28:0-6 29:1-3 30:1-3 31:1-3 32:1-4 33:0-2 34:1-2 35:1-5 36:0-2 37:0-3 38:1-3 39:1-2 40:1-2 41:1-3 42:0-3 43:0-2 44:0-1 45:0-1 46:0 47:0 48:0-1 49:0-1 50:0 51:0 55:0-2 57:0-2 60:0-2 61:0 64:0 65:0 66:0-2 68:0-1 69:0-1 71:0 72:0 74:0-1 75:0 76:1 77:1 78:1-2 79:1-2 80:0-1 81:0 83:0 84:0 85:0-1 86:0 87:0-1 88:0-1 89:0-1 90:0-1 91:0 92:0 93:0 94:0"
}

/** What a release lists, whether this broker has it or not. */
const tableOf = (release: Release): ReadonlyArray<Range> =>
  tables[release].split(" ").map((row) => {
    const [key, range] = row.split(":") as [string, string]
    const [from, to] = range.split("-") as [string, string?]
    return { apiKey: Number(key), minVersion: Number(from), maxVersion: Number(to ?? from) }
  })

interface Quirks {
  readonly magic: 0 | 1 | 2
  readonly maxSessionTimeout: number
  readonly unknownKey?: "silent"
  /** The answer to an unknown version of ApiVersions has an empty list (before KIP-511). */
  readonly refusesBare?: true
  readonly remembered?: number
  readonly unknownProducer?: number
  readonly metadataVersion?: readonly [min: number, max: number]
}

const quirks: { readonly [R in Release]: Quirks } = {
  "0.8.2": { magic: 0, maxSessionTimeout: 30_000 },
  "0.9": { magic: 0, maxSessionTimeout: 30_000, unknownKey: "silent" },
  "0.10.2": { magic: 1, maxSessionTimeout: 300_000, refusesBare: true },
  "0.11": {
    magic: 2,
    maxSessionTimeout: 300_000,
    refusesBare: true,
    remembered: 1,
    unknownProducer: Code.outOfOrderSequenceNumber
  },
  "1.1": { magic: 2, maxSessionTimeout: 300_000, refusesBare: true, unknownProducer: Code.unknownProducerId },
  "2.8": { magic: 2, maxSessionTimeout: 1_800_000 },
  "3.9": { magic: 2, maxSessionTimeout: 1_800_000, metadataVersion: [1, 21] },
  "4.0": { magic: 2, maxSessionTimeout: 1_800_000, metadataVersion: [7, 25] },
  "4.4": { magic: 2, maxSessionTimeout: 1_800_000, metadataVersion: [7, 33] }
}

/** A broker of a release: its versions and its quirks. */
export const asVersion = (release: Release, handlers: ReadonlyMap<number, Served>): Profile => {
  const own = quirks[release]
  const listed = tableOf(release)
    .filter((range) => handlers.has(range.apiKey))
    .map((range) => {
      const [from, to] = handlers.get(range.apiKey)!.Request.versions
      return { ...range, minVersion: Math.max(range.minVersion, from), maxVersion: Math.min(range.maxVersion, to) }
    })
  const old = release === "0.8.2" || release === "0.9"
  const modern = release === "4.0" || release === "4.4"
  // 4.x lists Produce from 0 for old librdkafka (KAFKA-18659), and closes on what is below 3
  const served = modern
    ? listed.map((range) => (range.apiKey === produceKey ? { ...range, minVersion: 3 } : range))
    : listed
  const unknownKey = own.unknownKey ?? "close"
  return {
    name: release,
    since: (other) => releases.indexOf(release) >= releases.indexOf(other),
    listed,
    accepts: within(served, unknownKey, old ? unknownKey : "unsupported"),
    // neither looks at Produce's version: each answers in the newest layout that it has
    servedAs: (apiKey, version) =>
      old && apiKey === produceKey ? Math.min(version, release === "0.8.2" ? 0 : 1) : version,
    unknownKey,
    refusedVersions: own.refusesBare === true ? [] : listed.filter((range) => range.apiKey === apiVersionsKey),
    magic: own.magic,
    remembered: own.remembered ?? 5,
    unknownProducer: own.unknownProducer ?? Code.none,
    forwards: own.metadataVersion !== undefined,
    maxSessionTimeout: own.maxSessionTimeout,
    groupVersion: modern ? 1 : 0,
    consumerProtocol: modern ? "default" : release === "3.9" ? "early access" : "never",
    failureDelay: own.refusesBare === true || old ? 0 : 100,
    hidesBrokers: release === "0.8.2",
    verifies: release === "3.9" || modern,
    transactionVersion: modern ? 2 : 0,
    supportedFeatures:
      own.metadataVersion === undefined
        ? []
        : [
            { name: "kraft.version", minVersion: 0, maxVersion: 1 },
            { name: "metadata.version", minVersion: own.metadataVersion[0], maxVersion: own.metadataVersion[1] }
          ],
    finalizedFeatures:
      own.metadataVersion === undefined ? [] : [{ name: "metadata.version", level: own.metadataVersion[1] }]
  }
}
