/** Bytes that show where they belong, and values as sentences show them. */
import * as Inspectable from "effect/Inspectable"

const byteAt = (offset: number): number => (offset * 7 + (offset >> 8)) & 0xff

/** A part of an endless text in which every place tells its offset. */
export const text = (from: number, length: number): Uint8Array => {
  const part = new Uint8Array(length)
  for (let index = 0; index < length; index++) part[index] = byteAt(from + index)
  return part
}

const number = (value: number): string => value.toLocaleString("en-US")

/** How the chunks differ from the first `length` bytes of that text; undefined where they do not. */
export const difference = (chunks: ReadonlyArray<Uint8Array>, length: number, from = 0): string | undefined => {
  let offset = 0
  for (const chunk of chunks) {
    for (const byte of chunk) {
      if (byte !== byteAt(from + offset)) {
        return `byte ${number(offset)} is ${byte} where ${byteAt(from + offset)} was written`
      }
      offset++
    }
  }
  return offset === length ? undefined : `${number(offset)} bytes came where ${number(length)} were written`
}

const longest = 400

const describe = (value: unknown): string => {
  if (value instanceof Error)
    return value.message.startsWith(value.name) ? value.message : `${value.name}: ${value.message}`
  if (typeof value === "number") return number(value)
  if (typeof value === "object" && value !== null && value.toString !== Object.prototype.toString) return String(value)
  return Inspectable.toStringUnknown(value, 0)
}

/** A value, in a line for people. */
export const show = (value: unknown): string => {
  const line = describe(value)
  return line.length <= longest ? line : `${line.slice(0, longest)}…`
}
