/** DeleteTopics, v0–v6: by name, or from v6 by id. The topic is gone with the answer. */
import * as Api from "../../protocol/messages/DeleteTopics.ts"
import * as Code from "./Code.ts"
import { zeroId } from "./Runtime.ts"
import { handler } from "./Handler.ts"

export const deleteTopics = handler("DeleteTopics", Api, (call) => {
  const { cluster, node, request, version } = call
  const remove = (name: string | null, id: string) => {
    const topic = name === null ? cluster.topicsById.get(id) : cluster.topics.get(name)
    const injected = call.injected(topic?.name ?? name ?? undefined)
    const missing = name === null ? Code.unknownTopicId : Code.unknownTopicOrPartition
    const refused = injected === Code.none && !cluster.mayChange(node) ? Code.notController : injected
    const errorCode = refused !== Code.none ? refused : topic === undefined ? missing : Code.none
    if (errorCode === Code.none && topic !== undefined) cluster.deleteTopic(topic.name)
    return { name: topic?.name ?? name, topicId: topic?.id ?? id, errorCode }
  }
  const asked: ReadonlyArray<{ readonly name: string | null; readonly topicId: string }> =
    version >= 6 ? request.topics : request.topicNames.map((name) => ({ name, topicId: zeroId }))
  // by name or by id, and each once: what is asked for otherwise is answered once, and stays
  const keyOf = (each: (typeof asked)[number]) => `${each.name} ${each.topicId}`
  call.answer({
    responses: Array.from(new Map(asked.map((each) => [keyOf(each), each])).values(), (each) => {
      const { name, topicId } = each
      const unclear = (name === null) === (topicId === zeroId)
      const isTwice = asked.filter((other) => keyOf(other) === keyOf(each)).length > 1
      return unclear || isTwice ? { name, topicId, errorCode: Code.invalidRequest } : remove(name, topicId)
    })
  })
})
