/** Pure. Bytes that are compared. */

/** Whether they are the same bytes. Not for secrets: it takes as long as they agree. */
export const areSame = (a: Uint8Array, b: Uint8Array): boolean => {
  if (a.length !== b.length) return false
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false
  return true
}
