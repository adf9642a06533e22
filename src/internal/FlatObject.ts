/**
 * JSON objects of nothing but strings without escapes in ASCII, whole numbers, booleans and null, without white space: what
 * most payloads are, as most encoders write them. They are read from their bytes, four at a time, and each string is made
 * once: half the time of making a text of all the bytes and parsing that, and half the garbage.
 *
 * It answers only where `JSON.parse` would give the same.
 *
 * @internal
 */
import type { Json, JsonObject } from "../Message.js"
import { endOfPlain } from "./PlainText.js"
import { asciiText } from "./Utf8.js"

/** Members, and bytes of a name, that are worth it. */
const maxMembers = 32
const maxNameBytes = 64

/** All integers of so many digits are exact. */
const maxDigits = 15

/** So many objects after one that is not flat are not tried: they are likely to be its like. */
const pauseAfterMiss = 31

const quote = 0x22
const comma = 0x2c
const minus = 0x2d
const zero = 0x30
const nine = 0x39
const colon = 0x3a
const openBrace = 0x7b
const closeBrace = 0x7d

const literals: ReadonlyArray<readonly [text: string, value: true | false | null]> = [
  ["true", true],
  ["false", false],
  ["null", null]
]

const isAt = (text: string, bytes: Uint8Array, from: number, to: number): boolean => {
  if (from + text.length > to) return false
  for (let i = 0; i < text.length; i++) if (bytes[from + i] !== text.charCodeAt(i)) return false
  return true
}

export class FlatObjects {
  /** The names of the one before, which are most often those of the next. */
  private readonly names: Array<string> = []
  private pause = 0
  /** Where the value that was read last ends. */
  private end = 0

  /** The object, if the bytes are one and it is flat. `view` is of the memory that they lie in. */
  read(bytes: Uint8Array, view: DataView, from: number, to: number): JsonObject | undefined {
    if (this.pause > 0) {
      this.pause--
      return undefined
    }
    const object = this.object(bytes, view, from, to)
    if (object === undefined) this.pause = pauseAfterMiss
    return object
  }

  private object(bytes: Uint8Array, view: DataView, from: number, to: number): JsonObject | undefined {
    if (to - from < 2 || bytes[from] !== openBrace || bytes[to - 1] !== closeBrace) return undefined
    const object: Record<string, Json> = {}
    let at = from + 1
    if (at === to - 1) return object
    for (let index = 0; index < maxMembers; index++) {
      const name = this.name(index, bytes, view, at, to)
      if (name === undefined) return undefined
      const value = this.value(bytes, view, at + name.length + 3, to)
      if (value === undefined) return undefined
      object[name] = value
      at = this.end
      if (bytes[at] === closeBrace) return at === to - 1 ? object : undefined
      if (bytes[at] !== comma) return undefined
      at++
    }
    return undefined
  }

  /** The name that stands there with its quotes and a colon. */
  private name(index: number, bytes: Uint8Array, view: DataView, from: number, to: number): string | undefined {
    if (bytes[from] !== quote) return undefined
    const known = this.names[index]
    if (known !== undefined && isAt(known, bytes, from + 1, to) && isNameEnd(bytes, from + 1 + known.length))
      return known
    const end = endOfPlain(bytes, view, from + 1, Math.min(to, from + 1 + maxNameBytes))
    if (!isNameEnd(bytes, end)) return undefined
    const name = asciiText(bytes, from + 1, end)
    // To set that one is no matter of its own members.
    if (name === "__proto__") return undefined
    this.names[index] = name
    return name
  }

  private value(bytes: Uint8Array, view: DataView, from: number, to: number): Json | undefined {
    const first = bytes[from] ?? 0
    if (first === quote) {
      const end = endOfPlain(bytes, view, from + 1, to)
      if (end === to || bytes[end] !== quote) return undefined
      this.end = end + 1
      return asciiText(bytes, from + 1, end)
    }
    if (first === minus || (first >= zero && first <= nine)) return this.integer(bytes, from, to)
    for (const [text, value] of literals) {
      if (isAt(text, bytes, from, to)) {
        this.end = from + text.length
        return value
      }
    }
    return undefined
  }

  /** What follows is looked at by whoever reads on. */
  private integer(bytes: Uint8Array, from: number, to: number): number | undefined {
    const isNegative = bytes[from] === minus
    const begin = isNegative ? from + 1 : from
    let at = begin
    let value = 0
    for (let digit = bytes[at] ?? 0; at < to && digit >= zero && digit <= nine; digit = bytes[at] ?? 0) {
      value = value * 10 + (digit - zero)
      at++
    }
    // None begins with a zero but zero itself, and that has a sign of its own.
    if (at === begin || at - begin > maxDigits || (bytes[begin] === zero && (isNegative || at - begin > 1))) {
      return undefined
    }
    this.end = at
    return isNegative ? -value : value
  }
}

const isNameEnd = (bytes: Uint8Array, at: number): boolean => bytes[at] === quote && bytes[at + 1] === colon
