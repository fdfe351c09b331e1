/**
 * DescribeLogDirs (key 35): the log directories of a broker, and what is in them.
 *
 * v1 throttles after the response · v2 flexible · v3 top-level error · v4 total and usable bytes (KIP-827)
 * v5 isCordoned (KIP-1066)
 */
import * as Wire from "../Wire.ts"

export const Request = Wire.message("DescribeLogDirsRequest", { key: 35, versions: "0-5", flexible: "2+" }, () => ({
  /** Null for all. */
  topics: Wire.array(
    Wire.struct({
      topic: Wire.string,
      partitions: Wire.array(Wire.int32)
    })
  ).pipe(Wire.nullable("0+"))
}))

export const Response = Wire.message("DescribeLogDirsResponse", { key: 35, versions: "0-5", flexible: "2+" }, () => ({
  throttleTimeMs: Wire.int32,
  errorCode: Wire.int16.pipe(Wire.at("3+", { ignorable: true })),
  results: Wire.array(
    Wire.struct({
      errorCode: Wire.int16,
      logDir: Wire.string,
      topics: Wire.array(
        Wire.struct({
          name: Wire.string,
          partitions: Wire.array(
            Wire.struct({
              partitionIndex: Wire.int32,
              partitionSize: Wire.amount,
              /** How far it is behind the high watermark, or behind the log that it will replace. */
              offsetLag: Wire.int64,
              /** It will replace the current log. */
              isFutureKey: Wire.bool
            })
          )
        })
      ),
      /** -1 where it is not known. */
      totalBytes: Wire.amount.pipe(Wire.at("4+", { default: -1, ignorable: true })),
      /** -1 where it is not known. */
      usableBytes: Wire.amount.pipe(Wire.at("4+", { default: -1, ignorable: true })),
      isCordoned: Wire.bool.pipe(Wire.at("5+", { ignorable: true }))
    })
  )
}))
