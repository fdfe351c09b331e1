/** What is made once for each key, and kept. Pure. */

/** How many are kept of what comes and goes for as long as a process lives, as topics do. */
export const atMost = 2000

/** What stands under a key, made where nothing does yet. Of more than `most` the oldest is forgotten. */
export const kept = <K, A>(all: Map<K, A>, key: K, make: () => A, most = Infinity): A => {
  let one = all.get(key)
  if (one !== undefined) return one
  all.set(key, (one = make()))
  if (all.size > most) all.delete(all.keys().next().value as K)
  return one
}
