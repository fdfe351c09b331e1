/**
 * Client quotas (KIP-546), and how they throttle: bytes are counted over eleven samples of a second, as Kafka does
 * (`quota.window.num`), and what is over the rate is waited for. Obeyed are `producer_byte_rate` and
 * `consumer_byte_rate`; the others are kept and told.
 */

export const keys = {
  producer: "producer_byte_rate",
  consumer: "consumer_byte_rate"
} as const

/** What can be set, by the kind of entity. */
const settable = {
  client: ["producer_byte_rate", "consumer_byte_rate", "request_percentage", "controller_mutation_rate"],
  ip: ["connection_creation_rate"]
} as const

/** Names by kind; null is the default of all. */
export type Entity = ReadonlyMap<string, string | null>

/** As Kafka names them: the client id before the user, whatever was asked for. */
export const inOrder = <A extends { readonly entityType: string }>(components: ReadonlyArray<A>): ReadonlyArray<A> =>
  components.toSorted((a, b) => (a.entityType < b.entityType ? -1 : 1))

const keyOf = (entity: Entity): string => JSON.stringify(Array.from(entity).sort(([a], [b]) => (a < b ? -1 : 1)))

interface Kept {
  readonly entity: Entity
  readonly values: ReadonlyMap<string, number>
}

/** Where Java's hash tables have a name. */
const hashed = (name: string): number => {
  let hash = 0
  for (let i = 0; i < name.length; i++) hash = (Math.imul(31, hash) + name.charCodeAt(i)) | 0
  return (hash ^ (hash >>> 16)) >>> 0
}

const asHashed = (names: ReadonlyArray<string>, buckets: number): ReadonlyArray<string> =>
  names.toSorted((a, b) => (hashed(a) % buckets) - (hashed(b) % buckets))

/**
 * In the order of KRaft's controllers, of which clients' own tests have been seen to depend: a hash table, into which
 * what there was goes before what is new, and that in the order of a table of 16.
 */
const inTable = (before: ReadonlyArray<string>, added: ReadonlyArray<string>): ReadonlyArray<string> => {
  const names = [...before, ...asHashed(added, 16)]
  return asHashed(names, names.length > 3 ? 8 : 4)
}

const sampleMillis = 1000
const samples = 11

/** How much passed lately, as Kafka's `Rate` counts it. */
class Meter {
  private readonly kept: Array<{ readonly from: number; amount: number }> = []

  /** Counts, and gives for how long one has to wait until the rate is kept. */
  record(now: number, amount: number, rate: number): number {
    while (this.kept.length > 0 && now - this.kept[0]!.from >= samples * sampleMillis) this.kept.shift()
    const last = this.kept.at(-1)
    if (last !== undefined && now - last.from < sampleMillis) last.amount += amount
    else this.kept.push({ from: now, amount })
    // The window is never taken for shorter than all but one of its samples.
    const elapsed = Math.max(now - this.kept[0]!.from, (samples - 1) * sampleMillis) / 1000
    const total = this.kept.reduce((sum, each) => sum + each.amount, 0)
    return total <= rate * elapsed ? 0 : Math.round(((total - rate * elapsed) / Math.max(rate, 1e-9)) * 1000)
  }
}

/** The quotas of a cluster. */
export class Quotas {
  private readonly byKey = new Map<string, Kept>()
  private readonly meters = new Map<string, Meter>()

  get all(): ReadonlyArray<Kept> {
    return Array.from(this.byKey.values())
  }

  /** Sets and removes (undefined); what is left without any is gone. */
  alter(entity: Entity, changes: ReadonlyArray<readonly [key: string, value: number | undefined]>): void {
    const key = keyOf(entity)
    const kept = this.byKey.get(key)?.values ?? new Map<string, number>()
    const values = new Map(kept)
    for (const [name, value] of changes) {
      if (value === undefined) values.delete(name)
      else values.set(name, value)
    }
    const names = [...values.keys()]
    const order = inTable(
      names.filter((name) => kept.has(name)),
      names.filter((name) => !kept.has(name))
    )
    if (names.length === 0) this.byKey.delete(key)
    else
      this.byKey.set(key, {
        entity: this.byKey.get(key)?.entity ?? entity,
        values: new Map(order.map((name) => [name, values.get(name)!]))
      })
  }

  /** Counts bytes of a client, and gives for how long it is throttled, in milliseconds. */
  throttle(now: number, key: string, user: string, clientId: string, bytes: number): number {
    if (this.byKey.size === 0) return 0
    // From the closest to the most general.
    const candidates: ReadonlyArray<readonly [Entity, meter: string]> = [
      [
        new Map([
          ["user", user],
          ["client-id", clientId]
        ]),
        `u${user} c${clientId}`
      ],
      [
        new Map<string, string | null>([
          ["user", user],
          ["client-id", null]
        ]),
        `u${user} c${clientId}`
      ],
      [new Map([["user", user]]), `u${user}`],
      [
        new Map<string, string | null>([
          ["user", null],
          ["client-id", clientId]
        ]),
        `u${user} c${clientId}`
      ],
      [
        new Map([
          ["user", null],
          ["client-id", null]
        ]),
        `u${user} c${clientId}`
      ],
      [new Map([["user", null]]), `u${user}`],
      [new Map([["client-id", clientId]]), `c${clientId}`],
      [new Map([["client-id", null]]), `c${clientId}`]
    ]
    for (const [entity, name] of candidates) {
      const rate = this.byKey.get(keyOf(entity))?.values.get(key)
      if (rate === undefined) continue
      const meterKey = `${key} ${name}`
      let meter = this.meters.get(meterKey)
      if (meter === undefined) this.meters.set(meterKey, (meter = new Meter()))
      return meter.record(now, bytes, rate)
    }
    return 0
  }
}

/** Whether it may be a host, which is not looked up: of numbers it is an address, whose last may be several bytes. */
const isHost = (name: string): boolean => {
  const parts = name.split(".")
  return (
    !/^[\d.]*$/.test(name) ||
    (parts.length <= 4 &&
      parts.every((part, i) => part !== "" && Number(part) < (i < parts.length - 1 ? 256 : 256 ** (5 - parts.length))))
  )
}

/** What is wrong with an entity; undefined where nothing is. */
export const wrongEntity = (
  components: ReadonlyArray<{ readonly entityType: string; readonly entityName: string | null }>
) => {
  if (components.length === 0) return "Invalid empty client quota entity"
  const kinds = components.map(({ entityType }) => entityType)
  const unknown = kinds.find((kind) => kind !== "user" && kind !== "client-id" && kind !== "ip")
  if (unknown !== undefined) return `Unhandled client quota entity type: ${unknown}`
  if (new Set(kinds).size < kinds.length) return "Duplicate client quota entity type"
  if (components.some(({ entityName }) => entityName === "")) return "Empty client quota entity name"
  if (!kinds.includes("ip")) return undefined
  if (kinds.length > 1) return "An ip has quotas of its own alone"
  const ip = components[0]!.entityName
  return ip === null || isHost(ip) ? undefined : `${ip} is not a valid IP or resolvable host.`
}

/** What is wrong with a quota; undefined where nothing is. */
export const wrongQuota = (
  entity: Entity,
  key: string,
  value: number | undefined,
  mustBePositive: boolean
): string | undefined => {
  const known: ReadonlyArray<string> = entity.has("ip") ? settable.ip : settable.client
  if (!known.includes(key)) return `Invalid configuration key ${key}`
  if (value === undefined) return undefined
  if (mustBePositive && !(value > 0)) return `Quota ${key} must be greater than 0`
  return wholes.has(key) && !Number.isInteger(value) ? `${key} cannot be a fractional value` : undefined
}

/** Those that are whole numbers. */
const wholes: ReadonlySet<string> = new Set([keys.producer, keys.consumer, "connection_creation_rate"])
