/** Questions that the embedded broker answers otherwise, on purpose: why, and beside which releases. */
export const differences: {
  readonly [question: string]: { readonly why: string; readonly releases: ReadonlyArray<string> }
} = {}
