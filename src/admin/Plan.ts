/** Pure. What is asked of whom: the items that are still open, by the broker that each goes to, in requests of a bounded size. */

/** Whom an item belongs to. */
export type Route =
  /** Whoever changes the cluster. */
  | { readonly _tag: "Controller" }
  /** Any broker that answers. */
  | { readonly _tag: "Any" }
  | { readonly _tag: "Broker"; readonly id: number }
  | { readonly _tag: "Leader"; readonly topic: string; readonly partition: number }
  | { readonly _tag: "Coordinator"; readonly kind: "group" | "transaction"; readonly key: string }

export const controller: Route = { _tag: "Controller" }
export const any: Route = { _tag: "Any" }
export const broker = (id: number): Route => ({ _tag: "Broker", id })
export const leader = ({ partition, topic }: { readonly topic: string; readonly partition: number }): Route => ({
  _tag: "Leader",
  topic,
  partition
})
export const coordinator = (kind: "group" | "transaction", key: string): Route => ({ _tag: "Coordinator", kind, key })

/** What is found once for all items that have it in common. */
export const nameOf = (route: Route): string => {
  switch (route._tag) {
    case "Controller":
    case "Any":
      return route._tag
    case "Broker":
      return `broker ${route.id}`
    case "Leader":
      return `leader ${route.topic}-${route.partition}`
    case "Coordinator":
      return `coordinator ${route.kind} ${route.key}`
  }
}

/** One request: whom it goes to, and what of. */
export interface Batch<B, I> {
  readonly broker: B
  readonly items: ReadonlyArray<I>
}

/**
 * Items as requests: those of a broker together, `most` at the most, and none twice of one key, which brokers refuse.
 * The requests of a broker keep the order of the items.
 */
export const batches = <B, I>(
  items: Iterable<readonly [broker: B, item: I]>,
  keyOf: (item: I) => string,
  most: number
): ReadonlyArray<Batch<B, I>> => {
  const all: Array<{ readonly broker: B; readonly items: Array<I>; readonly keys: Set<string> }> = []
  const byBroker = new Map<B, typeof all>()
  for (const [broker, item] of items) {
    let own = byBroker.get(broker)
    if (own === undefined) byBroker.set(broker, (own = []))
    const key = keyOf(item)
    // Not into an earlier one than that of its key: what is asked twice is asked in order.
    const after = own.findLastIndex((batch) => batch.keys.has(key)) + 1
    let batch = own.slice(after).find((batch) => batch.items.length < most)
    if (batch === undefined) {
      batch = { broker, items: [], keys: new Set() }
      own.push(batch)
      all.push(batch)
    }
    batch.items.push(item)
    batch.keys.add(key)
  }
  return all
}
