/** Pure. Texts that a terminal shows as they are. */

/** Names come from anybody: what would move a terminal's cursor is shown as its code. */
// oxlint-disable-next-line no-control-regex
const controls = /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g

/** A text without what would move a terminal's cursor. */
export const printable = (text: string): string =>
  text.replace(controls, (one) => `\\u${one.charCodeAt(0).toString(16).padStart(4, "0")}`)
