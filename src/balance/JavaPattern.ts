/**
 * Pure. Regular expressions of Java, as the white and black lists of the JVM's consumers have them, matched in a bounded
 * way: what others have written in their ids must not stop us, and JavaScript's own engine may backtrack without an end.
 * An expression becomes a program; each of its instructions is tried once at each place of the text, and so many in all.
 *
 * What depends on more than that is not understood: references to groups, look-behind, possessive quantifiers and atomic
 * groups, flags, and unions and intersections of classes; of what Java refuses, nothing is either. What a letter is, is told
 * of ASCII, which the names of topics are of.
 */

/** An instruction goes on with the next one, unless it says where. */
type Instruction =
  | { readonly _tag: "Text"; readonly text: string }
  | { readonly _tag: "One"; readonly has: Has }
  | { readonly _tag: "Split"; readonly to: ReadonlyArray<number> }
  | { readonly _tag: "At"; readonly holds: (text: string, at: number) => boolean }
  | { readonly _tag: "Ahead"; readonly program: Program; readonly isNegative: boolean }
type Program = ReadonlyArray<Instruction>
/** Whether a character is one of a class. */
type Has = (char: string) => boolean

/** How long an expression may be, and what it may become: beyond it, it is not understood. A thousand topics are within. */
const maxLength = 100_000
const maxInstructions = 10_000
/** What a match may take; a list of a thousand topics takes two for each. */
const maxSteps = 200_000

const hasOf = (one: string | Has): Has => (typeof one === "string" ? (char) => char === one : one)
const isWord: Has = (char) => /^\w$/.test(char)
const not =
  (has: Has): Has =>
  (char) =>
    !has(char)
const named: Readonly<Record<string, Has>> = {
  d: (char) => /^\d$/.test(char),
  s: (char) => /^[ \t\n\v\f\r]$/.test(char),
  w: isWord
}
const posix: Readonly<Record<string, Has>> = {
  Lower: (char) => /^[a-z]$/.test(char),
  Upper: (char) => /^[A-Z]$/.test(char),
  Alpha: (char) => /^[a-zA-Z]$/.test(char),
  Digit: (char) => /^[0-9]$/.test(char),
  Alnum: (char) => /^[a-zA-Z0-9]$/.test(char),
  Punct: (char) => /^[!-/:-@[-`{-~]$/.test(char)
}
const controls: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" }
const atEdge = (text: string, at: number): boolean => isWord(text[at - 1] ?? "") !== isWord(text[at] ?? "")
const places: Readonly<Record<string, (text: string, at: number) => boolean>> = {
  b: atEdge,
  B: (text, at) => !atEdge(text, at),
  A: (_, at) => at === 0,
  z: (text, at) => at === text.length,
  Z: (text, at) => at === text.length
}

/** Of a program that is a text alone. */
const textOf = (program: Program | undefined): string | undefined => {
  const [one] = program ?? []
  return program?.length === 1 && one?._tag === "Text" ? one.text : undefined
}

/** Reads an expression from its beginning; throws at what is not understood. */
class Compiler {
  readonly #source: string
  readonly #names = new Set<string>()
  #at = 0
  #size = 0

  constructor(source: string) {
    this.#source = source
  }

  whole(): Program {
    const program = this.#alternatives()
    return this.#at === this.#source.length ? program : this.#refuse()
  }

  #refuse(): never {
    throw new SyntaxError(`not understood at ${this.#at}: ${this.#source.slice(0, 100)}`)
  }
  #take(text: string): boolean {
    if (!this.#source.startsWith(text, this.#at)) return false
    this.#at += text.length
    return true
  }
  #next(): string {
    return this.#source[this.#at++] ?? this.#refuse()
  }
  /** A copy whose places are from where it is put; what is copied counts. */
  #placed(program: Program, from: number): Program {
    this.#size += program.length
    if (this.#size > maxInstructions) this.#refuse()
    return program.map((one) => (one._tag === "Split" ? { ...one, to: one.to.map((to) => to + from) } : one))
  }
  /** One after the other. Places within a program are from its own beginning. */
  #sequence(programs: ReadonlyArray<Program>): Program {
    const out: Array<Instruction> = []
    for (const program of programs) out.push(...this.#placed(program, out.length))
    return out
  }
  #orNothing(program: Program): Program {
    return this.#sequence([[{ _tag: "Split", to: [1, program.length + 1] }], program])
  }
  #orMore(program: Program): Program {
    const { length } = program
    return this.#sequence([[{ _tag: "Split", to: [1, length + 2] }], program, [{ _tag: "Split", to: [-length - 1] }]])
  }

  #alternatives(): Program {
    const all = [this.#branch()]
    while (this.#take("|")) all.push(this.#branch())
    if (all.length === 1) return all[0]!
    // First where each of them begins; after each the way to the end.
    const starts: Array<number> = []
    let end = 1
    for (const one of all) {
      starts.push(end)
      end += one.length + 1
    }
    const ways = all.flatMap((one, i) => [...this.#placed(one, starts[i]!), { _tag: "Split", to: [end] } as const])
    return [{ _tag: "Split", to: starts }, ...ways]
  }

  #branch(): Program {
    const all: Array<Program> = []
    while (this.#at < this.#source.length && !"|)".includes(this.#source[this.#at]!)) {
      const next = this.#repeated()
      const [text, more] = [textOf(all.at(-1)), textOf(next)]
      if (text !== undefined && more !== undefined) all[all.length - 1] = [{ _tag: "Text", text: text + more }]
      else all.push(next)
    }
    return this.#sequence(all)
  }

  #repeated(): Program {
    const one = this.#atom()
    const [least, most] = this.#times()
    // Whether it takes much or little is the same to whole matches; that it gives nothing back is not.
    if (!this.#take("?") && this.#take("+")) this.#refuse()
    if (most !== undefined && (most < least || most > maxInstructions)) this.#refuse()
    if (least > maxInstructions) this.#refuse()
    if (least === 1 && most === 1) return one
    const must = Array.from({ length: least }, () => one)
    if (most === undefined) return this.#sequence([...must, this.#orMore(one)])
    const may = Array.from({ length: most - least }, () => this.#orNothing(one))
    return this.#sequence([...must, ...may])
  }
  #times(): readonly [least: number, most: number | undefined] {
    if (this.#take("*")) return [0, undefined]
    if (this.#take("+")) return [1, undefined]
    if (this.#take("?")) return [0, 1]
    if (!this.#take("{")) return [1, 1]
    const [all, least, comma, most] = /^(\d{1,9})(,?)(\d{0,9})\}/.exec(this.#source.slice(this.#at)) ?? this.#refuse()
    this.#at += all.length
    if (comma === "" && most !== "") this.#refuse()
    return [Number(least), comma === "" ? Number(least) : most === "" ? undefined : Number(most)]
  }

  #atom(): Program {
    if (this.#take("(")) return this.#group()
    const char = this.#next()
    switch (char) {
      case ".":
        return [{ _tag: "One", has: (one) => !/[\n\r\u0085\u2028\u2029]/.test(one) }]
      case "^":
        return [{ _tag: "At", holds: places.A! }]
      case "$":
        return [{ _tag: "At", holds: places.z! }]
      case "[":
        return [{ _tag: "One", has: this.#class() }]
      case "\\":
        return this.#escaped()
      case "*":
      case "+":
      case "?":
      case "{":
        return this.#refuse()
      default:
        return [{ _tag: "Text", text: char }]
    }
  }
  #group(): Program {
    const isNegative = this.#take("?!")
    const isAhead = isNegative || this.#take("?=")
    if (!isAhead && !this.#take("?:") && this.#source[this.#at] === "?") {
      const name = /^\?<[a-zA-Z][a-zA-Z0-9]*>/.exec(this.#source.slice(this.#at)) ?? this.#refuse()
      if (this.#names.has(name[0])) this.#refuse()
      this.#names.add(name[0])
      this.#at += name[0].length
    }
    const program = this.#alternatives()
    if (!this.#take(")")) this.#refuse()
    return isAhead ? [{ _tag: "Ahead", program, isNegative }] : program
  }
  #escaped(): Program {
    const holds = places[this.#source[this.#at] ?? ""]
    if (holds === undefined) return [{ _tag: "One", has: hasOf(this.#escapedOne()) }]
    this.#at++
    return [{ _tag: "At", holds }]
  }
  /** What follows a backslash, within a class or without: a character, or a class. */
  #escapedOne(): string | Has {
    const char = this.#next()
    if (char === "p" || char === "P") {
      const [all, name] = /^\{(\w+)\}/.exec(this.#source.slice(this.#at)) ?? this.#refuse()
      this.#at += all.length
      const has = posix[name!] ?? this.#refuse()
      return char === "p" ? has : not(has)
    }
    const known = named[char.toLowerCase()]
    if (known !== undefined) return char === char.toLowerCase() ? known : not(known)
    if (/^[a-zA-Z0-9]$/.test(char) && controls[char] === undefined) this.#refuse()
    return controls[char] ?? char
  }
  #ofClass(): string | Has {
    const char = this.#next()
    return char === "\\" ? this.#escapedOne() : char
  }
  #class(): Has {
    const isNegative = this.#take("^")
    const parts: Array<Has> = []
    while (!this.#take("]")) {
      if (this.#source.startsWith("&&", this.#at) || this.#source[this.#at] === "[") this.#refuse()
      if (++this.#size > maxInstructions) this.#refuse()
      const from = this.#ofClass()
      if (typeof from === "string" && /^-[^\][]/.test(this.#source.slice(this.#at))) {
        this.#at++
        const to = this.#ofClass()
        if (typeof to !== "string" || to < from) this.#refuse()
        parts.push((one) => one >= from && one <= to)
      } else parts.push(hasOf(from))
    }
    if (parts.length === 0) this.#refuse()
    const has: Has = (one) => parts.some((part) => part(one))
    return isNegative ? not(has) : has
  }
}

/** What stands between \Q and \E, each character of it by itself: what follows is of the last one. */
const unquoted = (source: string): string =>
  source.replace(/\\Q([^]*?)(?:\\E|$)|\\[^]/g, (all, quoted: string | undefined) =>
    quoted === undefined ? all : quoted.replace(/[^a-zA-Z0-9]/g, "\\$&")
  )

/** Whether a program matches from a place on: up to the end of the text, or anything. Throws where it takes too long. */
const matches = (program: Program, text: string, from: number, isWhole: boolean, steps: { left: number }): boolean => {
  const places = text.length + 1
  const tried = new Set<number>()
  const todo = [from]
  while (todo.length > 0) {
    const next = todo.pop()!
    if (tried.has(next)) continue
    if (steps.left-- <= 0) throw new RangeError("it takes too long")
    tried.add(next)
    const [pc, at] = [Math.floor(next / places), next % places]
    const one = program[pc]
    if (one === undefined) {
      if (!isWhole || at === text.length) return true
      continue
    }
    const after = next + places
    switch (one._tag) {
      case "Text":
        if (text.startsWith(one.text, at)) todo.push(after + one.text.length)
        break
      case "One":
        if (at < text.length && one.has(text[at]!)) todo.push(after + 1)
        break
      case "Split":
        for (const to of one.to) todo.push(to * places + at)
        break
      case "At":
        if (one.holds(text, at)) todo.push(after)
        break
      case "Ahead":
        if (matches(one.program, text, at, false, steps) !== one.isNegative) todo.push(after)
    }
  }
  return false
}

/** Whether a whole text is what an expression says; undefined where that is not understood, or takes too long to find out. */
export const test = (source: string, text: string): boolean | undefined => {
  if (source.length > maxLength) return undefined
  try {
    return matches(new Compiler(unquoted(source)).whole(), text, 0, true, { left: maxSteps })
  } catch {
    return undefined
  }
}
