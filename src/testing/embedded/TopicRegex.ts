/**
 * Pure. Patterns of topic names as the coordinator reads them (RE2/J): the syntax of RE2, matched against the whole name,
 * and compiled here to what JavaScript has. What RE2 does not know (look-around, back references) is no pattern.
 */

/** A pattern, or what is wrong with it. */
export type Compiled = { readonly matches: (name: string) => boolean } | { readonly wrong: string }

/** RE2's names of classes in brackets, and of Perl's, in ASCII. */
const posix: { readonly [name: string]: string } = {
  alnum: "0-9A-Za-z",
  alpha: "A-Za-z",
  ascii: "\\x00-\\x7F",
  blank: "\\t ",
  cntrl: "\\x00-\\x1F\\x7F",
  digit: "0-9",
  graph: "!-~",
  lower: "a-z",
  print: " -~",
  punct: "!-\\/:-@\\[-`{-~",
  space: "\\t\\n\\v\\f\\r ",
  upper: "A-Z",
  word: "0-9A-Za-z_",
  xdigit: "0-9A-Fa-f"
}
const perl: { readonly [letter: string]: readonly [inside: string, outside: string, negated: boolean] } = {
  d: ["0-9", "[0-9]", false],
  D: ["0-9", "[^0-9]", true],
  s: ["\\t\\n\\f\\r ", "[\\t\\n\\f\\r ]", false],
  S: ["\\t\\n\\f\\r ", "[^\\t\\n\\f\\r ]", true],
  w: ["0-9A-Za-z_", "[0-9A-Za-z_]", false],
  W: ["0-9A-Za-z_", "[^0-9A-Za-z_]", true]
}
/** What those classes leave, in ASCII and beyond, for use inside brackets. */
const complement: { readonly [letter: string]: string } = {
  D: "\\x00-\\/:-\\u{10FFFF}",
  S: "\\x00-\\x08\\x0B\\x0E-\\x1F!-\\u{10FFFF}",
  W: "\\x00-\\/:-@\\[-\\^`{-\\u{10FFFF}"
}

class Wrong {
  readonly what: string
  constructor(what: string) {
    this.what = what
  }
}

const fail = (what: string): never => {
  throw new Wrong(what)
}

/** The most that RE2 repeats. */
const mostRepeats = 1000

interface Flags {
  readonly i: boolean
  readonly m: boolean
  readonly s: boolean
  readonly U: boolean
}

class Translator {
  private readonly text: string
  private at = 0
  private readonly names = new Set<string>()

  /** `(?<name>…)` is read beside `(?P<name>…)`. */
  private readonly short: boolean

  constructor(text: string, short: boolean) {
    this.text = text
    this.short = short
  }

  all(): string {
    const out = this.alternatives({ i: false, m: false, s: false, U: false })
    if (this.at < this.text.length) fail("unexpected )")
    return out
  }

  private get rest(): string {
    return this.text.slice(this.at)
  }

  private take(prefix: string): boolean {
    if (!this.text.startsWith(prefix, this.at)) return false
    this.at += prefix.length
    return true
  }

  /** Up to the end of the group, or of the text. Flags that are set within hold until there. */
  private alternatives(flags: Flags): string {
    let out = ""
    let own = flags
    while (this.at < this.text.length && this.text[this.at] !== ")") {
      if (this.take("|")) {
        out += "|"
        continue
      }
      const set = /^\(\?([imsU]*)(?:-([imsU]+))?\)/.exec(this.rest)
      if (set !== null) {
        this.at += set[0].length
        own = withFlags(own, set[1]!, set[2] ?? "")
        continue
      }
      out += this.repeated(this.atom(own), own)
    }
    return out
  }

  private repeated(atom: string, flags: Flags): string {
    const operator = /^(?:[*+?]|\{(\d+)(?:,(\d*))?\})/.exec(this.rest)
    if (operator === null) return atom
    const [whole, from, to] = operator
    if (from !== undefined) {
      const least = Number(from)
      const most = to === undefined ? least : to === "" ? least : Number(to)
      if (least > mostRepeats || most > mostRepeats || most < least) fail("invalid repeat count")
    }
    this.at += whole.length
    const lazy = this.take("?") !== flags.U
    if (/^(?:[*+?]|\{\d+(?:,\d*)?\})/.test(this.rest)) fail("invalid nested repetition operator")
    return `${atom}${whole}${lazy ? "?" : ""}`
  }

  private atom(flags: Flags): string {
    const c = this.text[this.at]!
    if (c === "(") return this.group(flags)
    if (c === "[") return this.brackets(flags)
    if (c === "\\") return this.escape(flags)
    const char = String.fromCodePoint(this.text.codePointAt(this.at)!)
    if (/[*+?]/.test(c) || /^\{\d+(?:,\d*)?\}/.test(this.rest)) return fail("missing argument to repetition operator")
    this.at += char.length
    if (c === ".") return flags.s ? "[^]" : "[^\\n]"
    if (c === "^") return flags.m ? "(?:(?<![^])|(?<=\\n))" : "(?<![^])"
    if (c === "$") return flags.m ? "(?:(?![^])|(?=\\n))" : "(?![^])"
    return literal(char, flags)
  }

  private group(flags: Flags): string {
    this.at++
    let own = flags
    if (this.take("?")) {
      const name = (this.short ? /^P?<(\w+)>/ : /^P<(\w+)>/).exec(this.rest)
      if (name !== null) {
        if (this.names.has(name[1]!)) return fail("duplicate capture group name")
        this.names.add(name[1]!)
        this.at += name[0].length
      } else {
        const set = /^([imsU]*)(?:-([imsU]+))?:/.exec(this.rest)
        if (set === null) return fail("invalid or unsupported Perl syntax")
        this.at += set[0].length
        own = withFlags(flags, set[1]!, set[2] ?? "")
      }
    }
    const inner = this.alternatives(own)
    if (!this.take(")")) fail("missing closing )")
    return `(?:${inner})`
  }

  private escape(flags: Flags): string {
    if (this.take("\\Q")) {
      const end = this.text.indexOf("\\E", this.at)
      const quoted = this.text.slice(this.at, end < 0 ? undefined : end)
      this.at = end < 0 ? this.text.length : end + 2
      return `(?:${Array.from(quoted, (char) => literal(char, flags)).join("")})`
    }
    if (this.take("\\E")) return "(?:)"
    const letter = this.text[this.at + 1]
    if (letter !== undefined && letter in perl) {
      this.at += 2
      return perl[letter]![1]
    }
    if (letter === "A") return this.skip(2, "(?<![^])")
    if (letter === "z") return this.skip(2, "(?![^])")
    if (letter === "b" || letter === "B") return this.skip(2, `\\${letter}`)
    if (letter === "p" || letter === "P") return this.unicode()
    return literal(this.character(), flags)
  }

  private skip(count: number, out: string): string {
    this.at += count
    return out
  }

  private unicode(): string {
    const named = /^\\([pP])(?:([A-Z])|\{(\^?)([A-Za-z_]+)\})/.exec(this.rest)
    if (named === null) return fail("invalid character class range")
    const [whole, letter, short, not, long] = named
    const name = short ?? long!
    const negated = (letter === "P") !== (not === "^")
    if (name === "Any") return this.skip(whole.length, negated ? "[]" : "[^]")
    const known = [name, `Script=${name}`].map((each) => `\\${negated ? "P" : "p"}{${each}}`).find(isSyntax)
    if (known !== undefined) return this.skip(whole.length, known)
    return fail("invalid character class range")
  }

  /** One character that is written by an escape. */
  private character(): string {
    const escape =
      /^\\(?:x\{([0-9A-Fa-f]+)\}|x([0-9A-Fa-f]{2})|(0[0-7]{0,2}|[1-7][0-7]{1,2})|([afnrtv])|([^0-9A-Za-z]))/u.exec(
        this.rest
      )
    if (escape === null)
      return fail(this.rest.length < 2 ? "trailing backslash at end of expression" : "invalid escape sequence")
    this.at += escape[0].length
    const [, braced, hex, octal, control, sign] = escape
    if (sign !== undefined) return sign
    if (control !== undefined) return String.fromCodePoint("\x07\f\n\r\t\v".codePointAt("afnrtv".indexOf(control))!)
    const code = octal === undefined ? parseInt(braced ?? hex!, 16) : parseInt(octal, 8)
    return code > 0x10ffff ? fail("invalid escape sequence") : String.fromCodePoint(code)
  }

  private brackets(flags: Flags): string {
    this.at++
    const negated = this.take("^")
    let out = ""
    let first = true
    for (;;) {
      if (this.at >= this.text.length) return fail("missing closing ]")
      if (this.text[this.at] === "]" && !first) break
      first = false
      out += this.member(flags)
    }
    this.at++
    return negated ? `[^${out}]` : `[${out}]`
  }

  private member(flags: Flags): string {
    const named = /^\[:(\^?)([a-z]+):\]/.exec(this.rest)
    if (named !== null) {
      const set = posix[named[2]!]
      if (set === undefined) return fail("invalid character class range")
      this.at += named[0].length
      if (named[1] === "") return set
      return Array.from({ length: 128 }, (_, code) => String.fromCharCode(code))
        .filter((char) => !new RegExp(`[${set}]`, "u").test(char))
        .map(escaped)
        .join("")
        .concat("\\x80-\\u{10FFFF}")
    }
    const letter = /^\\([dDsSwW])/.exec(this.rest)?.[1]
    if (letter !== undefined) {
      this.at += 2
      return complement[letter] ?? perl[letter]![0]
    }
    if (/^\\[pP]/.test(this.rest)) return this.unicode()
    const low = this.single()
    if (this.text[this.at] !== "-" || this.text[this.at + 1] === "]") return fold(low, low, flags)
    this.at++
    if (this.at >= this.text.length) return fail("missing closing ]")
    const high = this.single()
    if (high.codePointAt(0)! < low.codePointAt(0)!) fail("invalid character class range")
    return fold(low, high, flags)
  }

  private single(): string {
    if (this.text[this.at] === "\\") return this.character()
    const char = String.fromCodePoint(this.text.codePointAt(this.at)!)
    this.at += char.length
    return char
  }
}

/** Whether JavaScript reads it. */
const isSyntax = (source: string): boolean => {
  try {
    return new RegExp(source, "u").source !== ""
  } catch {
    return false
  }
}

const withFlags = (flags: Flags, on: string, off: string): Flags => {
  const value = (name: keyof Flags) => (off.includes(name) ? false : on.includes(name) || flags[name])
  return { i: value("i"), m: value("m"), s: value("s"), U: value("U") }
}

/** A character by its number, which means itself anywhere in JavaScript's syntax. */
const escaped = (char: string): string => `\\u{${char.codePointAt(0)!.toString(16)}}`

const literal = (char: string, flags: Flags): string => {
  const [lower, upper] = [char.toLowerCase(), char.toUpperCase()]
  return flags.i && lower !== upper ? `[${escaped(lower)}${escaped(upper)}]` : escaped(char)
}

/** A range inside brackets; without regard to case the letters of the other case too. */
const fold = (low: string, high: string, flags: Flags): string => {
  const range = `${escaped(low)}-${escaped(high)}`
  if (!flags.i) return range
  const others = Array.from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
    .filter((char) => char >= low && char <= high)
    .map((char) => (char === char.toLowerCase() ? char.toUpperCase() : char.toLowerCase()))
  return range + others.map(escaped).join("")
}

/** Reads a pattern; RE2/J 1.8 has a short form of names of groups too. */
export const compile = (pattern: string, options: { readonly shortNames: boolean }): Compiled => {
  try {
    const regex = new RegExp(`^(?:${new Translator(pattern, options.shortNames).all()})$`, "u")
    return { matches: (name) => regex.test(name) }
  } catch (error) {
    return { wrong: error instanceof Wrong ? error.what : "invalid expression" }
  }
}
