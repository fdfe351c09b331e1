/** Pure. Numbers as brokers tell them: below 0 there is none. */

/** What is told, if anything is. */
export const fromZero = (number: number): number | undefined => (number < 0 ? undefined : number)
