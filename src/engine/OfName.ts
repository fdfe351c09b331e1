/** What goes by a topic's name, and is of one topic alone. */
import type { Cluster } from "../Cluster.ts"
import type { TopicIdPartition } from "../TopicPartition.ts"

/**
 * Whether the topic of this id, where that matters, has the name, as far as is known. Of one that is told as gone, or that
 * the partition's leader does not know any more, another may have it when what goes by the name comes.
 */
export const isOfName = (
  { isDoubted, known }: Pick<Cluster["Service"], "isDoubted" | "known">,
  partition: TopicIdPartition
): boolean => {
  const { topic, topicId } = partition
  if (topicId === undefined) return true
  const info = known(topic)
  return info !== undefined && (info.id === undefined || (info.id === topicId && !isDoubted(partition)))
}
