/** Pure. A request in two: what names partitions that a fault is about, and the rest; and two responses in one. */
import { type Fields, isFields, partitionOf, topicOf } from "../embedded/Entries.ts"

/** What lists topics in an entry of its own: a group of OffsetFetch, a transaction of AddPartitionsToTxn. */
const nests = (field: string): boolean => field === "groups" || field === "transactions"

/** A copy of the request with those partitions alone that `keeps`; undefined where none is left of those it had. */
export const only = (
  request: Fields,
  keeps: (topic: string, partition: number) => boolean,
  nameOf: (topicId: string) => string | undefined
): Fields | undefined => {
  let had = false
  let left = false
  const topics = (list: ReadonlyArray<unknown>): ReadonlyArray<unknown> =>
    list.flatMap((entry) => {
      const topic = isFields(entry) ? topicOf(entry, nameOf) : undefined
      if (!isFields(entry) || topic === undefined) return [entry]
      const copy = { ...entry }
      let some = false
      let kept = false
      for (const [field, inner] of Object.entries(entry)) {
        if (!Array.isArray(inner) || inner.length === 0 || partitionOf(inner[0]) === undefined) continue
        some = true
        const rest = inner.filter((each) => keeps(topic, partitionOf(each) ?? -1))
        if (rest.length > 0) kept = true
        copy[field] = rest
      }
      const stays = some ? kept : keeps(topic, -1)
      had = true
      if (stays) left = true
      return stays ? [copy] : []
    })
  const within = (value: Fields): Fields => {
    const copy = { ...value }
    for (const [field, list] of Object.entries(value)) {
      if (!Array.isArray(list)) continue
      copy[field] = nests(field) ? list.map((each) => (isFields(each) ? within(each) : each)) : topics(list)
    }
    return copy
  }
  const copy = within(request)
  return had && !left ? undefined : copy
}

/** What tells entries of two responses as one: a topic, a group, a transaction. */
const names = ["name", "topic", "topicName", "topicId", "groupId", "transactionalId"] as const

const isSame = (a: Fields, b: Fields): boolean =>
  names.some((name) => name in a) && names.every((name) => a[name] === b[name])

/** Two responses to the parts of one request as one: what stands once is the first one's. */
export const merged = (first: Fields, second: Fields): Fields => {
  const both: Fields = { ...first }
  for (const [field, list] of Object.entries(second)) {
    const own = both[field]
    if (!Array.isArray(list) || !Array.isArray(own)) continue
    const all: Array<unknown> = [...own]
    for (const entry of list) {
      const at = isFields(entry) ? all.findIndex((each) => isFields(each) && isSame(each, entry)) : -1
      if (at < 0) all.push(entry)
      else all[at] = merged(all[at] as Fields, entry as Fields)
    }
    both[field] = all
  }
  return both
}
