/** A mutant: one plausible mistake in the sources, as a small edit. Some are faults that there were. */
export interface Mutant {
  /** Of its folder and itself: `produce/halves-go-last`. */
  readonly name: string
  /** The file, from the root of the project. */
  readonly file: string
  /** What is changed: it stands in the file exactly once. */
  readonly find: string
  readonly replace: string
  /** What it breaks, or what was broken once. */
  readonly breaks: string
}

/** One of a file: its name, what it breaks, what stands there, and what is put in its place. */
export type Row = readonly [name: string, breaks: string, find: string, replace: string]

/** Those of a folder, by file. */
export const of = (folder: string, files: { readonly [file: string]: ReadonlyArray<Row> }): ReadonlyArray<Mutant> =>
  Object.entries(files).flatMap(([file, rows]) =>
    rows.map(([name, breaks, find, replace]) => ({
      name: `${folder}/${name}`,
      file: `src/${folder}/${file}`,
      find,
      replace,
      breaks
    }))
  )

/** The source with the mistake in it; throws where it does not apply. */
export const applied = ({ file, find, name, replace }: Mutant, source: string): string => {
  const at = source.indexOf(find)
  const times = at < 0 ? 0 : source.indexOf(find, at + 1) < 0 ? 1 : 2
  if (times !== 1) throw new Error(`${name}: ${file} has it ${times === 0 ? "nowhere" : "more than once"}: ${find}`)
  return source.slice(0, at) + replace + source.slice(at + find.length)
}
