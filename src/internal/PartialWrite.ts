/**
 * A write of which a part has been taken.
 *
 * @internal
 */
export interface PartialWrite {
  readonly chunks: ReadonlyArray<Uint8Array>
  readonly done: (cause?: unknown) => void
  /** How far it has been taken: the chunk, and the offset in it. */
  index: number
  offset: number
}

export const make = (chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): PartialWrite => ({
  chunks,
  done,
  index: 0,
  offset: 0
})

/** Whether nothing is left to be taken. */
export const isTaken = ({ chunks, index }: PartialWrite): boolean => index >= chunks.length

/** The bytes that are left, counted up to `enough`. */
export const left = ({ chunks, index, offset }: PartialWrite, enough: number): number => {
  let bytes = -offset
  for (let at = index; at < chunks.length && bytes < enough; at++) bytes += chunks[at]?.length ?? 0
  return bytes
}

/** Copies what fits and gives how far the target is filled then. */
export const copy = (target: Uint8Array, from: number, write: PartialWrite): number => {
  let filled = from
  for (let chunk = write.chunks[write.index]; chunk !== undefined; chunk = write.chunks[write.index]) {
    const part = chunk.subarray(write.offset, write.offset + target.length - filled)
    target.set(part, filled)
    filled += part.length
    write.offset += part.length
    if (write.offset < chunk.length) break
    write.index++
    write.offset = 0
  }
  return filled
}
