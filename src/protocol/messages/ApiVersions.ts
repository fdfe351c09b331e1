/**
 * ApiVersions (key 18): the versions that a broker serves. Its response has header v0 at every version, and is of
 * v0 where the broker does not know the version of the request (error 35).
 *
 * v1 throttle time · v3 flexible in the body, client software, features (KIP-584)
 * v4 features may start at 0 (KAFKA-17011) · v5 checks cluster and node id, REBOOTSTRAP_REQUIRED (KIP-1242)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("ApiVersionsRequest", { key: 18, versions: "0-5", flexible: "3+" }, () => ({
  /** Letters, digits, dots and hyphens; it begins and ends with a letter or digit. */
  clientSoftwareName: Wire.string.pipe(Wire.at("3+", { ignorable: true })),
  clientSoftwareVersion: Wire.string.pipe(Wire.at("3+", { ignorable: true })),
  /** The cluster that is meant, together with the node; null where it is not known. */
  clusterId: Wire.string.pipe(Wire.nullable("5+"), Wire.at("5+", { default: null, ignorable: true })),
  /** -1 where it is not known. */
  nodeId: Wire.int32.pipe(Wire.at("5+", { default: -1, ignorable: true }))
}))

/** What this client tells of itself: a broker keeps what it was told last. */
export const software = { clientSoftwareName: "samsa", clientSoftwareVersion: "0.1.0" }

export const Response = Wire.message("ApiVersionsResponse", { key: 18, versions: "0-5", flexible: "3+" }, () => ({
  errorCode: Wire.int16,
  apiKeys: Wire.array(
    Wire.struct({
      apiKey: Wire.int16,
      minVersion: Wire.int16,
      maxVersion: Wire.int16
    })
  ),
  throttleTimeMs: Wire.int32.pipe(Wire.at("1+", { ignorable: true })),
  /** Below v4 without those that start at 0. */
  supportedFeatures: Wire.array(
    Wire.struct({
      name: Wire.string,
      minVersion: Wire.int16,
      maxVersion: Wire.int16
    })
  ).pipe(Wire.tagged(0, "3+", { ignorable: true })),
  /** Grows with every change; -1 where it is not known, and then the features say nothing. */
  finalizedFeaturesEpoch: Wire.int64.pipe(Wire.tagged(1, "3+", { default: -1, ignorable: true })),
  finalizedFeatures: Wire.array(
    Wire.struct({
      name: Wire.string,
      /** The level that is in force. */
      maxVersionLevel: Wire.int16,
      minVersionLevel: Wire.int16
    })
  ).pipe(Wire.tagged(2, "3+", { ignorable: true })),
  zkMigrationReady: Wire.bool.pipe(Wire.tagged(3, "3+", { ignorable: true }))
}))
