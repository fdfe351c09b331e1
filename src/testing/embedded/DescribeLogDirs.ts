/** DescribeLogDirs, v0–v5: the one directory that each broker has, with the sizes of its replicas. */
import * as Api from "../../protocol/messages/DescribeLogDirs.ts"
import * as Code from "./Code.ts"
import { handler } from "./Handler.ts"

/** What there would be on a disk. */
const totalBytes = 1_000_000_000_000

export const describeLogDirs = handler("DescribeLogDirs", Api, (call) => {
  const { cluster, node, request } = call
  const asked =
    request.topics === null ? undefined : new Map(request.topics.map((each) => [each.topic, each.partitions]))
  const injected = call.injected()
  if (injected !== Code.none) return call.answer({ errorCode: injected, results: [] })
  let used = 0
  const topics = Array.from(cluster.topics.values()).flatMap((topic) => {
    const here = topic.partitions.filter(({ replicas }) => replicas.includes(node.id))
    const partitions = here
      .map((partition) => {
        const end = partition.endOf(node.id)
        const partitionSize = end >= partition.log.endOffset ? partition.log.size : partition.log.sizeBelow(end)
        used += partitionSize
        return {
          partitionIndex: partition.index,
          partitionSize,
          offsetLag: Math.max(0, partition.highWatermark - end),
          isFutureKey: false
        }
      })
      .filter(({ partitionIndex }) => asked === undefined || asked.get(topic.name)?.includes(partitionIndex) === true)
    // 2.x names topics of which it tells nothing.
    const told = partitions.length > 0 || (here.length > 0 && !cluster.settings.profile.since("3.9"))
    return !told ? [] : [{ name: topic.name, partitions }]
  })
  call.answer({
    errorCode: Code.none,
    results: [
      {
        errorCode: Code.none,
        logDir: `/embedded/broker-${node.id}`,
        topics,
        totalBytes,
        usableBytes: totalBytes - used,
        isCordoned: false
      }
    ]
  })
})
