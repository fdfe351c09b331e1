/** Pure. Who holds which partitions, as the members of a group say. */
import { kept } from "./Kept.ts"
import * as TopicPartition from "./TopicPartition.ts"

/** Everyone who says that he holds a partition, by its key. */
export const holdersOf = (
  members: ReadonlyArray<{ readonly memberId: string; readonly owned: ReadonlyArray<TopicPartition.TopicPartition> }>
): ReadonlyMap<string, ReadonlySet<string>> => {
  const holders = new Map<string, Set<string>>()
  for (const { memberId, owned } of members)
    for (const partition of owned) kept(holders, TopicPartition.key(partition), () => new Set<string>()).add(memberId)
  return holders
}
