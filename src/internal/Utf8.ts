/**
 * Strings as the wire wants them: their lengths, and texts of others made harmless.
 *
 * @internal
 */

/** What Node's `Buffer` does with bytes and text, where there is one: it needs no view of the place, nor counts in JavaScript. */
const {
  byteLength,
  prototype: { latin1Slice = undefined, utf8Slice: slice = undefined, utf8Write: write = undefined } = {}
} =
  (
    globalThis as {
      readonly Buffer?: {
        readonly byteLength?: (text: string) => number
        readonly prototype?: {
          readonly latin1Slice?: (from: number, to: number) => string
          /** With U+FFFD for what is not UTF-8. */
          readonly utf8Slice?: (from: number, to: number) => string
          /** With U+FFFD for a lone surrogate. */
          readonly utf8Write?: (text: string, at: number) => number
        }
      }
    }
  ).Buffer ?? {}

/** {@link utf8Length} on any platform. */
export const utf8LengthAnywhere = (text: string): number => {
  const units = text.length
  let bytes = units
  for (let i = 0; i < units; i++) {
    const unit = text.charCodeAt(i)
    if (unit < 0x80) continue
    if (unit < 0x800) bytes += 1
    else {
      bytes += 2
      // A pair is four bytes: two more than its two units.
      if (unit >= 0xd800 && unit < 0xdc00 && (text.charCodeAt(i + 1) & 0xfc00) === 0xdc00) i++
    }
  }
  return bytes
}

/** The bytes of the string in UTF-8; a lone surrogate counts as the replacement character that stands in for it. */
export const utf8Length: (text: string) => number = byteLength ?? utf8LengthAnywhere

/** Whether the string has at least one and at most `max` characters (Unicode code points). */
export const hasCharacters = (text: string, max: number): boolean =>
  text.length > 0 && (text.length <= max || (text.length <= 2 * max && Array.from(text).length <= max))

/** At most `max` units of the text, with U+FFFD in place of half a surrogate pair: fit to be sent on by any node. */
export const plain = (text: string, max: number): string => text.slice(0, max).replace(/\p{Surrogate}/gu, "\ufffd")

const textDecoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

/** The text of bytes, where they are UTF-8. A byte order mark is part of it. */
const decoded = (bytes: Uint8Array): string | undefined => {
  try {
    return textDecoder.decode(bytes)
  } catch {
    return undefined
  }
}

/** {@link utf8Text} on any platform. */
export const utf8TextAnywhere = (bytes: Uint8Array, from: number, to: number): string | undefined =>
  decoded(bytes.subarray(from, to))

/**
 * The text of the bytes from `from` up to `to`, both within the array, a byte order mark included; `undefined` where they
 * are not UTF-8. Node's own way takes half the time: no view of the part is made, and only a text with U+FFFD is read again.
 */
export const utf8Text: (bytes: Uint8Array, from: number, to: number) => string | undefined =
  slice === undefined
    ? utf8TextAnywhere
    : (bytes, from, to) => {
        const text = slice.call(bytes, from, to)
        return text.includes("\ufffd") ? utf8TextAnywhere(bytes, from, to) : text
      }

/** {@link asciiText} on any platform. */
export const asciiTextAnywhere = (bytes: Uint8Array, from: number, to: number): string =>
  textDecoder.decode(bytes.subarray(from, to))

/** The text of bytes that are known to be ASCII. */
export const asciiText: (bytes: Uint8Array, from: number, to: number) => string =
  latin1Slice === undefined ? asciiTextAnywhere : (bytes, from, to) => latin1Slice.call(bytes, from, to)

const textEncoder = new TextEncoder()

/** {@link writeUtf8} on any platform. */
export const writeUtf8Anywhere = (bytes: Uint8Array, at: number, text: string): number =>
  textEncoder.encodeInto(text, bytes.subarray(at)).written

/** Writes the text into the array from `at` on, where there is room for it: so many bytes. U+FFFD for a lone surrogate. */
export const writeUtf8: (bytes: Uint8Array, at: number, text: string) => number =
  write === undefined ? writeUtf8Anywhere : (bytes, at, text) => write.call(bytes, text, at)
