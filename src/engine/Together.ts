/**
 * Pure. When the wait of one of many partitions ends: some later than it says, so that those which fail together are asked
 * for, or sent, together. Each at a time of its own would be a request each, some hundred in a second of a broker whose
 * disk is broken.
 */
export const wakeAt = (now: number, wait: number): number => {
  if (wait <= 0) return now
  const step = wait < 100 ? 10 : wait < 400 ? 50 : 100
  return Math.ceil((now + wait) / step) * step
}
