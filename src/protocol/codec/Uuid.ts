/** Pure. Uuids as Kafka shows them: 16 bytes in base64url, 22 characters without padding. */

const digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
const codes = Uint8Array.from(digits, (digit) => digit.charCodeAt(0))
const values = new Int8Array(128).fill(-1)
for (let value = 0; value < 64; value++) values[codes[value]!] = value

/** The uuid of 16 zero bytes: no uuid. */
export const zero = "AAAAAAAAAAAAAAAAAAAAAA"

/** The text of the 16 bytes at a position, which must be there. */
export const read = (bytes: Uint8Array, at: number): string => {
  let first = at
  while (first < at + 16 && bytes[first] === 0) first++
  // One text for all that have none.
  if (first === at + 16) return zero
  const out: Array<number> = []
  let bits = 0
  let held = 0
  for (let i = 0; i < 16; i++) {
    held = (held << 8) | bytes[at + i]!
    bits += 8
    while (bits >= 6) {
      bits -= 6
      out.push(codes[(held >>> bits) & 63]!)
    }
    held &= 255
  }
  out.push(codes[(held << 4) & 63]!)
  return String.fromCharCode(...out)
}

/** Writes the 16 bytes of a text; false where it is none of a uuid. */
export const write = (text: string, bytes: Uint8Array, at: number): boolean => {
  if (text.length !== 22) return false
  let bits = 0
  let held = 0
  for (let i = 0; i < 22; i++) {
    const code = text.charCodeAt(i)
    const value = code < 128 ? values[code]! : -1
    if (value < 0) return false
    held = ((held << 6) | value) & 0xffff
    bits += 6
    if (bits >= 8) {
      bits -= 8
      bytes[at++] = held >>> bits
    }
  }
  // 22 digits have four bits more than 16 bytes.
  return (held & 15) === 0
}
