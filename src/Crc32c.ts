/**
 * Who computes CRC-32C, the checksum of record batches. The default is plain JavaScript; a native implementation is
 * three to four times as fast on large batches. A service, so that each client has its own:
 *
 * ```ts ignore
 * import { crc32c } from "@node-rs/crc32"
 * import { Layer } from "effect"
 * import { Crc32c, Kafka } from "samsa"
 *
 * export const live = Kafka.layer({ bootstrap: ["b1:9092"] }).pipe(Layer.provideMerge(Crc32c.layer(crc32c)))
 * ```
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as KafkaError from "./KafkaError.ts"
import { type Compute, plain } from "./protocol/records/Crc32c.ts"

export type { Compute } from "./protocol/records/Crc32c.ts"

/**
 * What computes the checksums of the producers and consumers that are made with it.
 *
 * @since 0.1.0
 * @category services
 */
export const Crc32c: Context.Reference<Compute> = Context.Reference<Compute>("samsa/Crc32c", {
  defaultValue: () => plain
})

/**
 * The checksum of all the bytes: what native implementations are. Signed or unsigned.
 *
 * @since 0.1.0
 * @category models
 */
export type Native = (bytes: Uint8Array) => number

/** Below this a call into native code costs more than it saves. */
const nativeFrom = 512

/**
 * Another implementation, for batches of 512 bytes and more. Fails with `Misconfigured` where its result is not CRC-32C.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (native: Native): Effect.Effect<Compute, KafkaError.KafkaError> =>
  Effect.suspend(() => {
    const seen = native(Buffer.from("123456789"))
    if (seen >>> 0 !== 0xe3069283) {
      const mistake = `the native CRC-32C gives ${seen} for "123456789", not ${0xe3069283}`
      return Effect.fail(KafkaError.make({ _tag: "Misconfigured", mistakes: [mistake] }))
    }
    return Effect.succeed((bytes, from, to) =>
      to - from >= nativeFrom ? native(bytes.subarray(from, to)) >>> 0 : plain(bytes, from, to)
    )
  })

/**
 * The same as a Layer, for the producers and consumers that are made over it.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer = (native: Native): Layer.Layer<never, KafkaError.KafkaError> => Layer.effect(Crc32c, make(native))
