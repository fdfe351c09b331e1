/**
 * Pure. The topics and partitions that requests and responses are about, by the names that Kafka's definitions give such
 * fields, so that a new API needs no code here.
 */

export type Fields = Record<string, unknown>

export const isFields = (value: unknown): value is Fields =>
  typeof value === "object" && value !== null && !(value instanceof Uint8Array) && !Array.isArray(value)

/** The topic that an entry names, or has the id of. */
export const topicOf = (entry: object, nameOf: (topicId: string) => string | undefined): string | undefined => {
  const { name, topic, topicId, topicName } = entry as { readonly [field: string]: string | undefined }
  return name || topic || topicName || (typeof topicId === "string" ? nameOf(topicId) : undefined)
}

/** The partition that an entry is about: a number by itself, or one of these fields. */
export const partitionOf = (entry: unknown): number | undefined => {
  const index = isFields(entry) ? (entry["partitionIndex"] ?? entry["partition"] ?? entry["index"]) : entry
  return typeof index === "number" ? index : undefined
}
