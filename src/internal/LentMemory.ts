/**
 * Memory of long frames that one link writes and nobody else has: once it is written the next one is put there. Else V8
 * collects all of its heap for every thousand messages of 64 KiB that wait for a moment, since it counts what arrays hold
 * outside of it: half of the time of a sender over TLS.
 *
 * @internal
 */
import { uninitialized } from "./Uninitialized.js"

/** Of one length are all that need up to so much less. */
const stepBytes = 8192
/** Shorter and longer frames have memory of their own: those are cheap, and these are cut (`cutBytes` of Outbox). */
const leastBytes = 16_384
const mostBytes = 81_920
/** What is kept for frames to come, of all lengths. */
const keptBytes = 1_048_576

const kept = new Map<number, Array<ArrayBuffer>>()
let keptSum = 0
/** What may come back. */
const lent = new WeakSet<ArrayBufferLike>()

/** An array whose bytes are whatever was there before: all of them must be written. It may be given back, once. */
export const lend = (bytes: number): Uint8Array<ArrayBuffer> => {
  if (bytes < leastBytes || bytes > mostBytes) return uninitialized(bytes)
  const length = Math.ceil(bytes / stepBytes) * stepBytes
  let memory = kept.get(length)?.pop()
  if (memory === undefined) memory = uninitialized(length).buffer
  else keptSum -= length
  lent.add(memory)
  return new Uint8Array(memory, 0, bytes)
}

/** Nobody looks at the array any more. One that is not lent is left alone. */
export const giveBack = ({ buffer }: Uint8Array): void => {
  if (!lent.delete(buffer) || keptSum + buffer.byteLength > keptBytes) return
  const memory = buffer as ArrayBuffer
  keptSum += memory.byteLength
  const others = kept.get(memory.byteLength)
  if (others === undefined) kept.set(memory.byteLength, [memory])
  else others.push(memory)
}
