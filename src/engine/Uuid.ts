/** Pure. Random UUIDs (version 4) as text. */

/** `random` gives numbers in [0, 1). */
export const make = (random: () => number): string => {
  const hex = Array.from({ length: 32 }, (_, i) =>
    i === 12 ? "4" : Math.floor(i === 16 ? 8 + random() * 4 : random() * 16).toString(16)
  ).join("")
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`
}
