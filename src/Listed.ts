/** Pure. The first of many words, and how many more there are: a message that a log can carry. */
export const listed = (words: ReadonlyArray<string>, most: number): string =>
  words.length > most ? `${words.slice(0, most).join(", ")} and ${words.length - most} more` : words.join(", ")

/** So many partitions, or what else there may be thousands of, are named in a line of the log. */
export const toldAtMost = 20
