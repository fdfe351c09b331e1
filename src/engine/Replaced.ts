/**
 * Pure. Topics, by id, whose name others have taken by now. None comes back: who tells of one again lags behind, and is
 * believed only where nothing else is told for a while. What was believed before may then have come from such a broker.
 */

import { atMost, kept } from "../Kept.ts"

/** For how long answers must tell of one that has been replaced, in milliseconds; and how many of a name are remembered: more than are made while a broker lags. */
export const replacedFor = 10_000
const rememberedAtMost = 20

/** Of a name, in the order in which they were heard of first. */
export type Ids = ReadonlyArray<string>

export const remember = (ids: Ids, id: string): Ids => (ids.includes(id) ? ids : [...ids, id].slice(-rememberedAtMost))

/** Whether a topic that has been told of `since` then, and of no other, is one of those, and not to be believed yet. */
export const isBack = (ids: Ids, id: string, since: number, now: number): boolean =>
  ids.includes(id) && now - since < replacedFor

/** Those that the readers of a consumer have left, by name: also who is opened again later knows of them. */
export class Left {
  readonly #ids = new Map<string, Ids>()

  of(name: string): Ids {
    return this.#ids.get(name) ?? []
  }

  leave(name: string, id: string): void {
    const ids = kept(this.#ids, name, () => [], atMost)
    this.#ids.set(name, remember(ids, id))
  }
}
