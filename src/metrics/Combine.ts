/** What several values of a gauge are together. Pure. */

export type Combine = "sum" | "max" | "mean"

/** 0 where there are none. */
export const combined = (values: ReadonlyArray<number>, combine: Combine): number => {
  if (combine === "max") return Math.max(0, ...values)
  const sum = values.reduce((sum, value) => sum + value, 0)
  return combine === "mean" && values.length > 0 ? sum / values.length : sum
}
