/** Pure. The nodes of an ensemble in memory, and their watches. Changes in place; holds no clock and no fiber. */
import { Code, type Node, type Stat } from "./Client.ts"

interface Entry {
  data: Uint8Array
  version: number
  readonly owner: string
  readonly created: string
  modified: string
  readonly children: Set<string>
}

/** A watch that fires once. */
type Watch = () => void

export type Answer<A> = { readonly code: number; readonly answer?: A }

const parentOf = (path: string): string => path.slice(0, path.lastIndexOf("/")) || "/"
const nameOf = (path: string): string => path.slice(path.lastIndexOf("/") + 1)

const first = "0".repeat(16)

export class Tree {
  readonly nodes = new Map<string, Entry>([
    ["/", { data: new Uint8Array(), version: 0, owner: "", created: first, modified: first, children: new Set() }]
  ])
  readonly dataWatches = new Map<string, Set<Watch>>()
  readonly childWatches = new Map<string, Set<Watch>>()
  readonly written = new Set<(path: string, data: Uint8Array) => void>()
  transactions = 0

  /** What is so now, for whoever hears of no change. */
  copy(): Tree {
    const copy = new Tree()
    for (const [path, entry] of this.nodes) copy.nodes.set(path, { ...entry, children: new Set(entry.children) })
    return copy
  }

  /** Every path and its data as text, sorted. */
  get snapshot(): Readonly<Record<string, string>> {
    return Object.fromEntries(
      [...this.nodes]
        .filter(([path]) => path !== "/")
        .sort(([a], [b]) => (a < b ? -1 : 1))
        .map(([path, { data }]) => [path, new TextDecoder().decode(data)])
    )
  }

  /** The paths that are watched, sorted. */
  get watched(): ReadonlyArray<string> {
    return [...new Set([...this.dataWatches.keys(), ...this.childWatches.keys()])].sort()
  }

  private statOf({ created, modified, owner, version }: Entry): Stat {
    return { version, owner, created, modified }
  }
  private transaction(): string {
    return (++this.transactions).toString(16).padStart(16, "0")
  }
  private tell(path: string, data: Uint8Array): void {
    for (const listener of this.written) listener(path, data)
  }
  private fire(watches: Map<string, Set<Watch>>, path: string): void {
    const fired = watches.get(path)
    watches.delete(path)
    for (const watch of fired ?? []) watch()
  }
  private keep(watches: Map<string, Set<Watch>>, path: string, watch: Watch | undefined): void {
    if (watch === undefined) return
    const kept = watches.get(path)
    if (kept === undefined) watches.set(path, new Set([watch]))
    else kept.add(watch)
  }

  get(path: string, watch?: Watch): Answer<Node> {
    const entry = this.nodes.get(path)
    this.keep(this.dataWatches, path, watch)
    return entry === undefined
      ? { code: Code.NO_NODE }
      : { code: Code.OK, answer: { data: entry.data, stat: this.statOf(entry) } }
  }
  children(path: string, watch?: Watch): Answer<ReadonlyArray<string>> {
    const entry = this.nodes.get(path)
    this.keep(entry === undefined ? this.dataWatches : this.childWatches, path, watch)
    return entry === undefined ? { code: Code.NO_NODE } : { code: Code.OK, answer: [...entry.children] }
  }
  exists(path: string): Answer<Stat> {
    const entry = this.nodes.get(path)
    return entry === undefined ? { code: Code.NO_NODE } : { code: Code.OK, answer: this.statOf(entry) }
  }
  create(path: string, data: Uint8Array, owner: string): Answer<void> {
    const parent = this.nodes.get(parentOf(path))
    if (parent === undefined) return { code: Code.NO_NODE }
    if (parent.owner !== "") return { code: Code.NO_CHILDREN_FOR_EPHEMERALS }
    if (this.nodes.has(path)) return { code: Code.NODE_EXISTS }
    const created = this.transaction()
    this.nodes.set(path, { data, version: 0, owner, created, modified: created, children: new Set() })
    parent.children.add(nameOf(path))
    this.tell(path, data)
    this.fire(this.dataWatches, path)
    this.fire(this.childWatches, parentOf(path))
    return { code: Code.OK }
  }
  set(path: string, data: Uint8Array, version: number): Answer<void> {
    const entry = this.nodes.get(path)
    if (entry === undefined) return { code: Code.NO_NODE }
    if (version !== -1 && version !== entry.version) return { code: Code.BAD_VERSION }
    entry.modified = this.transaction()
    entry.data = data
    entry.version++
    this.tell(path, data)
    this.fire(this.dataWatches, path)
    return { code: Code.OK }
  }
  remove(path: string, version: number): Answer<void> {
    const entry = this.nodes.get(path)
    if (entry === undefined) return { code: Code.NO_NODE }
    if (version !== -1 && version !== entry.version) return { code: Code.BAD_VERSION }
    if (entry.children.size > 0) return { code: Code.NOT_EMPTY }
    this.transactions++
    this.nodes.delete(path)
    this.nodes.get(parentOf(path))?.children.delete(nameOf(path))
    this.fire(this.dataWatches, path)
    this.fire(this.childWatches, path)
    this.fire(this.childWatches, parentOf(path))
    return { code: Code.OK }
  }
  /** Removes what a session has created. */
  removeOf(owner: string): void {
    for (const [path, entry] of Array.from(this.nodes)) if (entry.owner === owner) this.remove(path, -1)
  }
  /** Forgets watches that nobody waits for: of a connection that is gone, or of a Stream. */
  forget(isOf: (watch: Watch) => boolean): void {
    for (const watches of [this.dataWatches, this.childWatches])
      for (const [path, kept] of watches) {
        for (const watch of kept) if (isOf(watch)) kept.delete(watch)
        if (kept.size === 0) watches.delete(path)
      }
  }
}
