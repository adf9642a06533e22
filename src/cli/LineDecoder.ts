/**
 * Bytes into lines, in bounded memory: a line that is too long is dropped up to its newline.
 *
 * @since 0.1.0
 */

/**
 * What stood on a line: text without its newline; more than `maxBytes` (told as soon as it is known); or bytes that are
 * no UTF-8.
 *
 * @since 0.1.0
 * @category models
 */
export type Line = { readonly _tag: "Text"; readonly text: string } | { readonly _tag: "TooLong" | "NotUtf8" }

/**
 * Give it the bytes as they come, in any split, and at the end {@link LineDecoder.end}.
 *
 * @since 0.1.0
 * @category models
 */
export interface LineDecoder {
  readonly push: (chunk: Uint8Array) => ReadonlyArray<Line>
  /** The last line, where it has no newline. */
  readonly end: () => ReadonlyArray<Line>
}

const newline = 0x0a
const smallest = 4096
const nothing = new Uint8Array(0)
const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true })

const decode = (bytes: Uint8Array): Line => {
  try {
    return { _tag: "Text", text: utf8.decode(bytes) }
  } catch {
    return { _tag: "NotUtf8" }
  }
}

/**
 * A decoder of lines of up to `maxBytes` bytes each, newline not counted. It holds at most twice that much.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (maxBytes: number): LineDecoder => {
  // The line begun, copied: views of chunks of a byte each would weigh a hundred times what they show.
  let begun = nothing
  let length = 0
  let skipping = false

  const keep = (part: Uint8Array): void => {
    if (length + part.length > begun.length) {
      const grown = new Uint8Array(Math.max(smallest, 2 * begun.length, length + part.length))
      grown.set(begun.subarray(0, length))
      begun = grown
    }
    begun.set(part, length)
    length += part.length
  }

  const reset = (): void => {
    begun = nothing
    length = 0
    skipping = false
  }

  const tooLong = (part: Uint8Array): boolean => !skipping && length + part.length > maxBytes

  const finish = (part: Uint8Array): Line => {
    if (length === 0) return decode(part)
    keep(part)
    return decode(begun.subarray(0, length))
  }

  return {
    push: (chunk) => {
      const lines: Array<Line> = []
      let from = 0
      for (let at = chunk.indexOf(newline); at !== -1; at = chunk.indexOf(newline, from)) {
        const part = chunk.subarray(from, at)
        if (tooLong(part)) lines.push({ _tag: "TooLong" })
        else if (!skipping) lines.push(finish(part))
        reset()
        from = at + 1
      }
      const rest = chunk.subarray(from)
      if (tooLong(rest)) {
        lines.push({ _tag: "TooLong" })
        reset()
        skipping = true
      } else if (!skipping) {
        keep(rest)
      }
      return lines
    },
    end: () => {
      const lines = length > 0 ? [finish(nothing)] : []
      reset()
      return lines
    }
  }
}
