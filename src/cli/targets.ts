/** Pure. What commands are about, as words: partitions, entities of quotas, changes of settings. */
import type { QuotaEntity, QuotaKind } from "../Admin.ts"
import { key, type TopicPartition } from "../TopicPartition.ts"

/** `orders-0` or `orders:0`; undefined for what is no partition. */
export const partition = (text: string): TopicPartition | undefined => {
  const match = /^(.+)[-:](\d{1,9})$/.exec(text)
  return match === null ? undefined : { topic: match[1]!, partition: Number(match[2]) }
}

/** Each word once, as a change of the same thing twice is one. */
export const distinct = <A extends string>(words: ReadonlyArray<A>): ReadonlyArray<A> => [...new Set(words)]

/** Each partition once. */
export const distinctPlaces = <A extends TopicPartition>(places: ReadonlyArray<A>): ReadonlyArray<A> => [
  ...new Map(places.map((one) => [key(one), one])).values()
]

/** `orders-0=1,2,3`: a partition and the brokers that are to have it. */
export const placement = (
  text: string
): (TopicPartition & { readonly replicas: ReadonlyArray<number> }) | undefined => {
  const at = text.lastIndexOf("=")
  const found = at < 0 ? undefined : partition(text.slice(0, at))
  return found === undefined || !/^\d{1,9}(,\d{1,9})*$/.test(text.slice(at + 1))
    ? undefined
    : {
        ...found,
        replicas: text
          .slice(at + 1)
          .split(",")
          .map(Number)
      }
}

const kinds: ReadonlyArray<string> = ["user", "client-id", "ip"] satisfies ReadonlyArray<QuotaKind>

/** Words of quotas: `user=alice`, `client-id` (the default of all), `producer_byte_rate=1048576`, `request_percentage-`. */
interface QuotaWords {
  readonly entity: QuotaEntity
  readonly set: { readonly [name: string]: number }
  readonly remove: ReadonlyArray<string>
  readonly mistakes: ReadonlyArray<string>
}

/** Reads words of quotas. */
export const quotas = (texts: ReadonlyArray<string>): QuotaWords => {
  const entity: { [kind in QuotaKind]?: string | null } = {}
  const set = new Map<string, number>()
  const remove: Array<string> = []
  const mistakes: Array<string> = []
  const told = new Set<string>()
  for (const text of texts) {
    const [, kind, value] = /^(user|client-id|ip)(?:=(.*))?$/s.exec(text) ?? []
    const [, name, number] = /^([a-z_]+)=([0-9.eE+-]+)$/.exec(text) ?? []
    const what = kind ?? name ?? text.slice(0, -1)
    if (told.has(what)) mistakes.push(`${what} is given twice`)
    told.add(what)
    if (kind !== undefined) {
      if (value === "") mistakes.push(`${text} has no name; ${kind} alone is the default of all`)
      entity[kind as QuotaKind] = value ?? null
    } else if (name !== undefined && Number.isFinite(Number(number))) set.set(name, Number(number))
    else if (/^[a-z_]+-$/.test(text)) remove.push(text.slice(0, -1))
    else mistakes.push(`${text} is no ${kinds.join(", ")} (with =NAME, or alone), and no QUOTA=NUMBER or QUOTA-`)
  }
  return { entity, set: Object.fromEntries(set), remove, mistakes }
}

/** Words of settings: `a=1` sets, `a+=1` and `a-=1` change a list, `a-` takes back the default. */
export const changes = (texts: ReadonlyArray<string>) => {
  const [set, append, subtract] = [new Map<string, string>(), new Map<string, string>(), new Map<string, string>()]
  const remove: Array<string> = []
  const mistakes: Array<string> = []
  for (const text of texts) {
    const [, name, how, value] = /^([a-zA-Z0-9._$-]+?)(\+=|-=|=)(.*)$/s.exec(text) ?? []
    if (name !== undefined) {
      const to = how === "=" ? set : how === "+=" ? append : subtract
      if (to.has(name)) mistakes.push(`${name} is to be changed twice`)
      to.set(name, value!)
    } else if (/^[a-zA-Z0-9._$-]+-$/.test(text)) remove.push(text.slice(0, -1))
    else mistakes.push(`${text} is no change: NAME=VALUE, NAME+=VALUE, NAME-=VALUE or NAME-`)
  }
  return {
    set: Object.fromEntries(set),
    append: Object.fromEntries(append),
    subtract: Object.fromEntries(subtract),
    delete: remove,
    mistakes
  }
}

/** An entity as its words. */
export const entity = (one: QuotaEntity): string =>
  Object.entries(one)
    .map(([kind, value]) => (value === null ? kind : `${kind}=${value}`))
    .join(" ")

/**
 * Partitions of a plan in the form of kafka-reassign-partitions: `{"partitions":[{"topic","partition","replicas"}]}`.
 * Its `log_dirs` may be `any` alone: in which directory of a broker a replica is, is not said here.
 */
export const plan = (
  text: string
): ReadonlyArray<TopicPartition & { readonly replicas: ReadonlyArray<number> }> | undefined => {
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch {
    return undefined
  }
  const partitions = (read as { readonly partitions?: unknown } | null)?.partitions
  if (!Array.isArray(partitions)) return undefined
  const whole = (one: unknown): one is number => Number.isSafeInteger(one) && (one as number) >= 0
  const found = partitions.flatMap((one: unknown) => {
    const { log_dirs: dirs = [], partition, replicas, topic } = (one ?? {}) as { readonly [name: string]: unknown }
    const anywhere = Array.isArray(dirs) && dirs.every((dir) => dir === "any")
    return anywhere && typeof topic === "string" && whole(partition) && Array.isArray(replicas) && replicas.every(whole)
      ? [{ topic, partition, replicas }]
      : []
  })
  return found.length === partitions.length ? found : undefined
}
