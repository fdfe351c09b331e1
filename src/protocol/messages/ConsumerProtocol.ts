/**
 * What consumers tell each other through the group's leader: the bytes inside JoinGroup and SyncGroup, each behind its
 * version as an int16. A reader takes a newer version as the newest that it knows, and ignores what follows.
 *
 * v1 owned partitions (KIP-429) · v2 generation (KIP-792) · v3 rack (KIP-881)
 */
import * as Wire from "../Wire.ts"

export const Subscription = Wire.message(
  "ConsumerProtocolSubscription",
  { key: -1, versions: "0-3", flexible: "none" },
  () => ({
    topics: Wire.array(Wire.string),
    /** Of the assignor; null for none. */
    userData: Wire.bytes.pipe(Wire.nullable("0+"), Wire.byDefault(null)),
    /** What the member owned before the rebalance. */
    ownedPartitions: Wire.array(
      Wire.struct({
        topic: Wire.string,
        partitions: Wire.array(Wire.int32)
      })
    ).pipe(Wire.at("1+", { ignorable: true })),
    /** In which it owned them; -1 where it is not known. */
    generationId: Wire.int32.pipe(Wire.at("2+", { default: -1, ignorable: true })),
    /** Null where none is set. */
    rackId: Wire.string.pipe(Wire.nullable("3+"), Wire.at("3+", { default: null, ignorable: true }))
  })
)

export const Assignment = Wire.message(
  "ConsumerProtocolAssignment",
  { key: -1, versions: "0-3", flexible: "none" },
  () => ({
    assignedPartitions: Wire.array(
      Wire.struct({
        topic: Wire.string,
        partitions: Wire.array(Wire.int32)
      })
    ),
    /** Of the assignor; null for none. */
    userData: Wire.bytes.pipe(Wire.nullable("0+"), Wire.byDefault(null))
  })
)
