/**
 * UpdateFeatures (key 57): changes finalized features (KIP-584).
 *
 * v0 flexible · v1 upgrade types and validateOnly (KIP-778) · v2 no results by feature
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("UpdateFeaturesRequest", { key: 57, versions: "0-2", flexible: "0+" }, () => ({
  timeoutMs: Wire.int32.pipe(Wire.byDefault(60000)),
  featureUpdates: Wire.array(
    Wire.struct({
      feature: Wire.string,
      /** Below 1 to delete the feature. */
      maxVersionLevel: Wire.int16,
      allowDowngrade: Wire.bool.pipe(Wire.at("0")),
      /** 1 upgrade, 2 safe downgrade, 3 unsafe downgrade. */
      upgradeType: Wire.int8.pipe(Wire.at("1+", { default: 1 }))
    })
  ),
  /** Check, and change nothing. */
  validateOnly: Wire.bool.pipe(Wire.at("1+"))
}))

export const Response = Wire.message("UpdateFeaturesResponse", { key: 57, versions: "0-2", flexible: "0+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16,
  errorMessage: Wire.string.pipe(Wire.nullable("0+")),
  results: Wire.array(
    Wire.struct({
      feature: Wire.string,
      errorCode: Wire.int16,
      errorMessage: Wire.string.pipe(Wire.nullable("0+"))
    })
  ).pipe(Wire.at("0-1", { ignorable: true }))
}))
