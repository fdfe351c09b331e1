/** What sends records from the command line: how their batches are compressed, and how large and how late they may be. */
import * as Flag from "effect/cli/Flag"
import * as Producer from "../Producer.ts"
import { defaulting } from "./Defaulting.ts"
import * as Records from "./records.ts"

export const compression = Flag.Literals("compression", ["none", "gzip", "snappy", "lz4", "zstd"]).pipe(
  Flag.withAlias("z"),
  defaulting("How batches are compressed", "none")
)

/** `timeout` is that of the flags, in seconds. */
export const layer = ({ compression, timeout }: Pick<Producer.Options, "compression"> & { readonly timeout: number }) =>
  Producer.layer({ compression, deliveryTimeout: timeout * 1000, maxRequestBytes: Records.longest })
