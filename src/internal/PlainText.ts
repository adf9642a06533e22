/**
 * Text that is the same within a JSON string as it is by itself: printable ASCII but for quotes and backslashes. Most long
 * strings are such text, and it is found out from their bytes.
 *
 * @internal
 */
const quote = 0x22
const backslash = 0x5c

const isPlain = (byte: number): boolean => byte >= 0x20 && byte < 0x80 && byte !== quote && byte !== backslash

/**
 * So much is looked at in one call. A loop over a text of 64 KiB would be compiled while it runs for the first time, without
 * knowing how it ends, and more than once, or for good, be left for slow code at its end.
 */
const blockBytes = 1024

/** Where the first four bytes are, from `at` on in steps of four up to `last`, of which one is not plain, or behind. */
const endOfFours = (view: DataView, from: number, last: number): number => {
  let at = from
  for (; at <= last; at += 4) {
    const four = view.getInt32(at, true)
    // The highest bit of a byte is set where it was, where the byte is below 0x20, a quote or a backslash; and perhaps in those
    // above such a byte.
    const others = four | (four - 0x20202020) | ((four ^ 0x22222222) - 0x01010101) | ((four ^ 0x5c5c5c5c) - 0x01010101)
    if ((others & 0x80808080) !== 0) break
  }
  return at
}

/**
 * Where the first byte from `from` on is that is not plain, or `to`. `view` is of the memory that the bytes lie in. Four are
 * looked at together, in a quarter of the time that it takes one by one.
 */
export const endOfPlain = (bytes: Uint8Array, view: DataView, from: number, to: number): number => {
  const offset = bytes.byteOffset
  const last = offset + to - 4
  let at = offset + from
  for (let end = at; at === end && at <= last;) {
    end += blockBytes
    at = endOfFours(view, at, Math.min(last, end - 4))
  }
  at -= offset
  while (at < to && isPlain(bytes[at] ?? 0)) at++
  return at
}
