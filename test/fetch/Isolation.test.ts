/** What of transactions is shown. */
import { assert, it } from "@effect/vitest"
import { Isolation } from "../../src/fetch/Isolation.ts"
import type * as Records from "../../src/protocol/records/Records.ts"

type Batch = Records.DecodedBatch

const batch = (offset: number, producerId: number, marker?: "abort" | "commit") =>
  ({
    lastOffset: offset,
    producerId,
    isTransactional: true,
    isControl: marker !== undefined,
    records: [{ offset, key: Uint8Array.of(0, 0, 0, marker === "commit" ? 1 : 0) }]
  }) as unknown as Batch

it("behind the end of an aborted transaction its producer is shown again, as others are beside it", () => {
  const isolation = new Isolation([
    { producerId: 1, firstOffset: 4 },
    { producerId: 1, firstOffset: 0 }
  ])
  const shown = isolation.visible([
    batch(0, 1),
    batch(1, 2),
    batch(2, 1, "abort"),
    batch(3, 1),
    batch(4, 1),
    batch(5, 1, "abort"),
    batch(6, 1),
    batch(7, 1, "commit")
  ])
  assert.deepStrictEqual(
    shown.map(({ offset }) => offset),
    [1, 3, 6]
  )
})
