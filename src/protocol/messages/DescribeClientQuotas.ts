/**
 * DescribeClientQuotas (key 48): the client quotas that fit a filter (KIP-546).
 *
 * v1 flexible
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message(
  "DescribeClientQuotasRequest",
  { key: 48, versions: "0-1", flexible: "1+" },
  () => ({
    components: Wire.array(
      Wire.struct({
        entityType: Wire.string,
        /** 0 exact name, 1 the default entity, 2 any name. */
        matchType: Wire.int8,
        /** Null unless the match is exact. */
        match: Wire.string.pipe(Wire.nullable("0+"))
      })
    ),
    /** Leave out entities of further types. */
    strict: Wire.bool
  })
)

export const Response = Wire.message(
  "DescribeClientQuotasResponse",
  { key: 48, versions: "0-1", flexible: "1+" },
  () => ({
    throttleTimeMs: Wire.int32,
    errorCode: Wire.int16,
    errorMessage: Wire.string.pipe(Wire.nullable("0+")),
    /** Null with an error. */
    entries: Wire.array(
      Wire.struct({
        entity: Wire.array(
          Wire.struct({
            entityType: Wire.string,
            /** Null for the default entity. */
            entityName: Wire.string.pipe(Wire.nullable("0+"))
          })
        ),
        values: Wire.array(
          Wire.struct({
            key: Wire.string,
            value: Wire.float64
          })
        )
      })
    ).pipe(Wire.nullable("0+"))
  })
)
