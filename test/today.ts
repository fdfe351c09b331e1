/** The seed of today: another one each day, which its own number brings again on any other. */
export const today = (): number => Number(new Date().toISOString().slice(0, 10).replaceAll("-", ""))
