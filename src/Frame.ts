/**
 * Frames: a 4-byte big-endian length and that many bytes of UTF-8 JSON (docs/PROTOCOL.md, section 1). Encoding, and
 * decoding from bytes cut anywhere. Pure and synchronous: every byte of a connection passes here.
 *
 * @since 0.1.0
 */
import { endOfPlain } from "./internal/PlainText.js"
import { uninitialized } from "./internal/Uninitialized.js"
import { utf8Length, writeUtf8 } from "./internal/Utf8.js"

/**
 * Bytes of the length that stands before each body.
 *
 * @since 0.1.0
 * @category constants
 */
export const headerBytes = 4

/**
 * The longest body, in bytes, that may be sent before the receiver has accepted the sender's HELLO.
 *
 * @since 0.1.0
 * @category constants
 */
export const handshakeLimit = 8192

/**
 * The longest body, in bytes, that a node takes if its HELLO names no other limit: 1 MiB.
 *
 * @since 0.1.0
 * @category constants
 */
export const defaultLimit = 1_048_576

/**
 * Why no further frame can be found in the stream. `code` is the one for the wire; the connection must be closed.
 *
 * @since 0.1.0
 * @category models
 */
export interface Fault {
  readonly code: "MALFORMED_FRAME" | "FRAME_TOO_LARGE"
  readonly detail: string
  /** The length is how a TLS handshake, or its refusal, begins. */
  readonly isTls?: true
}

/** The first bytes of a TLS record that holds a handshake message, or an alert. */
const isTls = (length: number): boolean => length >>> 16 === 0x1603 || length >>> 16 === 0x1503

/**
 * Whether what {@link Decoder.next} gave is a fault.
 *
 * @since 0.1.0
 * @category guards
 */
export const isFault = (next: Uint8Array | Fault | undefined): next is Fault =>
  next !== undefined && !(next instanceof Uint8Array)

/**
 * A frame that is not encoded yet: its JSON text. What goes over one link alone waits as text, since many texts are
 * encoded into one array at the cost of a few; what goes over several is encoded once.
 *
 * @since 0.1.0
 * @category models
 */
export class Text {
  /** The text, or with a `payload` what comes before that. */
  readonly json: string
  /** A long payload apart, with the last brace behind it left out: to join texts so long costs as much as to write them. */
  readonly payload: string | undefined
  /** Bytes of the frame, its header included. */
  readonly length: number

  constructor(json: string, payload?: string) {
    this.json = json
    this.payload = payload
    const bytes = headerBytes + utf8Length(json)
    this.length = payload === undefined ? bytes : bytes + utf8Length(payload) + 1
  }
}

/**
 * A frame to be sent, as bytes or as its text. Either has its `length` in bytes.
 *
 * @since 0.1.0
 * @category models
 */
export type Frame = Uint8Array | Text

// Arrays up to `smallBytes` are parts of one of this length: one of its own costs more than the encoding. What waits can
// hold on to no more than one such array for each frame.
const slabBytes = 8192
const smallBytes = 2048

let slab = new ArrayBuffer(slabBytes)
let slabUsed = 0

/** So many bytes that are nobody's yet. */
const reserve: Memory = (bytes) => {
  if (bytes > smallBytes) return uninitialized(bytes)
  if (slabUsed + bytes > slabBytes) {
    slab = new ArrayBuffer(slabBytes)
    slabUsed = 0
  }
  const frames = new Uint8Array(slab, slabUsed, bytes)
  slabUsed += bytes
  return frames
}

const closingBrace = 0x7d

const writeFrame = (into: Uint8Array, at: number, { json, length, payload }: Text): void => {
  const bytes = length - headerBytes
  into[at] = bytes >>> 24
  into[at + 1] = bytes >>> 16
  into[at + 2] = bytes >>> 8
  into[at + 3] = bytes
  const written = writeUtf8(into, at + headerBytes, json)
  if (payload === undefined) return
  writeUtf8(into, at + headerBytes + written, payload)
  into[at + length - 1] = closingBrace
}

/**
 * Gives an array of so many bytes, all of which will be written.
 *
 * @since 0.1.0
 * @category models
 */
export type Memory = (bytes: number) => Uint8Array<ArrayBuffer>

/**
 * Frames one after the other, in one array, which may be a view of a larger one. A lone surrogate becomes U+FFFD.
 * `bytes`: their lengths together. `memory`: where they are put.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeAll = (texts: Iterable<Text>, bytes: number, memory: Memory = reserve): Uint8Array => {
  const frames = memory(bytes)
  let at = 0
  for (const text of texts) {
    writeFrame(frames, at, text)
    at += text.length
  }
  // What else was in memory before is nobody's business.
  if (at < bytes) frames.fill(0, at)
  return frames
}

/**
 * The frame of a JSON text as bytes, in an array that may be a view of a larger one. Frames made one after the other often
 * lie one after the other.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encode = (json: string): Uint8Array => encodeText(new Text(json))

/**
 * The same of a frame that is not encoded yet.
 *
 * @since 0.1.0
 * @category encoding
 */
export const encodeText = (text: Text, memory?: Memory): Uint8Array => encodeAll([text], text.length, memory)

/**
 * A frame as bytes, which it may be already.
 *
 * @since 0.1.0
 * @category encoding
 */
export const bytesOf = (frame: Frame, memory?: Memory): Uint8Array =>
  frame instanceof Uint8Array ? frame : encodeText(frame, memory)

/**
 * The frame of a JSON text in parts, of which every second one, the first not among them, is what a string holds and is
 * written as it is. `undefined` where one of those would not stand for itself: it needs escapes, or is not ASCII. To write a
 * long string first and look at its bytes then takes a third of the time of `JSON.stringify`.
 *
 * @example
 * ```ts
 * import { Frame } from "synapse-p2p"
 *
 * Frame.encodePlain([`{"text":"`, "x".repeat(65_536), `"}`])
 * ```
 * @since 0.1.0
 * @category encoding
 */
export const encodePlain = (parts: ReadonlyArray<string>, memory: Memory = uninitialized): Uint8Array | undefined => {
  let bytes = 0
  parts.forEach((part, index) => {
    bytes += index % 2 === 0 ? utf8Length(part) : part.length
  })
  const frame = memory(headerBytes + bytes)
  const view = new DataView(frame.buffer)
  view.setUint32(0, bytes)
  let at = headerBytes
  for (const [index, part] of parts.entries()) {
    const end = at + writeUtf8(frame, at, part)
    // What is not ASCII takes more bytes than it has characters, or else is seen in those that there was room for.
    if (index % 2 === 1 && (end !== at + part.length || endOfPlain(frame, view, at, end) !== end)) return undefined
    at = end
  }
  return frame
}

const nothing = new Uint8Array(0)

/** A part of a body stays where it is if it is as long, or the first: most of the chunk that it holds is of use then. */
const partBytes = 4096

/**
 * Finds the frames in a stream of bytes. {@link Decoder.push} gives it bytes as they come, {@link Decoder.next} takes
 * out one body at a time; who stops taking stops the work. Between the two it holds at most one unfinished frame, grown
 * as bytes come, and the chunk being taken apart.
 *
 * @since 0.1.0
 * @category decoding
 */
export class Decoder {
  /**
   * The longest body taken, in bytes. Looked at once a frame, when its length is read: it may be changed between two
   * calls of `next` and counts from the next frame on.
   */
  maxBytes: number

  #chunk: Uint8Array = nothing
  // Where the chunk lies: asked of each chunk once.
  #memory: ArrayBufferLike = nothing.buffer
  #memoryOffset = 0
  #offset = 0
  // Chunks pushed before the current one was used up.
  #waiting: Array<Uint8Array> = []
  #buffered = 0
  #headerRead = 0
  #header = 0
  // Of the frame begun; 0 until its header is read.
  #length = 0
  // The parts of a body that came in earlier chunks, views of these, so that a body is copied and given memory once. Growing
  // an array for them took a tenth of the time of messages of 64 KiB, and a fifth where they come by the 16 KiB of TLS.
  #parts: Array<Uint8Array> = []
  // What came before them by small parts, of which each would hold a chunk, is put together as they come.
  #body: Uint8Array | undefined
  #bodyFilled = 0
  #filled = 0
  #fault: Fault | undefined
  #discarding = false

  constructor(maxBytes: number) {
    this.maxBytes = maxBytes
  }

  /**
   * Adds bytes, which must not be changed afterwards: bodies may be views of them. Best called when `next` has given
   * `undefined`; earlier is right too, but adds to what is held. After a fault or `discard` they are dropped.
   */
  push(chunk: Uint8Array): void {
    if (chunk.length === 0 || this.#discarding || this.#fault !== undefined) return
    this.#buffered += chunk.length
    if (this.#offset === this.#chunk.length && this.#waiting.length === 0) this.#take(chunk)
    else this.#waiting.push(chunk)
  }

  /**
   * The next body; `undefined`: it is not complete yet; a {@link Fault}: there will be none, which every later call
   * says again until `discard`. A body that came in one chunk is a view of that chunk, any other an array of its own.
   */
  next(): Uint8Array | Fault | undefined {
    if (this.#fault !== undefined) return this.#fault
    while (this.#offset < this.#chunk.length || this.#nextChunk()) {
      if (this.#length === 0) {
        this.#readHeader()
        if (this.#fault !== undefined) return this.#fault
        continue
      }
      const body = this.#takeBody()
      if (body !== undefined) return body
    }
    return undefined
  }

  /** Whether at least one byte of a frame is held that `next` cannot complete: more bytes are owed. */
  get isMidFrame(): boolean {
    if (this.#buffered === 0) return false
    if (this.#buffered < headerBytes || this.#length > 0) return this.#buffered < headerBytes + this.#length
    const length = this.#peekLength()
    return length <= this.maxBytes && this.#buffered < headerBytes + length
  }

  /** The length that the first frame held announces, in bytes; 0 while it is not known. */
  get frameLength(): number {
    if (this.#length > 0) return this.#length
    return this.#buffered < headerBytes ? 0 : this.#peekLength()
  }

  /** Bytes held: those of an unfinished frame, its header included, and of whole frames not yet taken. */
  get buffered(): number {
    return this.#buffered
  }

  /**
   * Drops what is held and all that will be pushed, for a stream that is of no interest any more. `next` gives
   * `undefined` from then on, after a fault too.
   */
  discard(): void {
    this.#discarding = true
    this.#fault = undefined
    this.#release()
  }

  #take(chunk: Uint8Array): void {
    this.#chunk = chunk
    this.#memory = chunk.buffer
    this.#memoryOffset = chunk.byteOffset
    this.#offset = 0
  }

  /** Part of the chunk. That of a platform's own kind of array, as Node's `Buffer`, would take twice as long to make. */
  #part(start: number, end: number): Uint8Array {
    return new Uint8Array(this.#memory, this.#memoryOffset + start, end - start)
  }

  #release(): void {
    this.#take(nothing)
    this.#waiting = []
    this.#buffered = 0
    this.#headerRead = 0
    this.#header = 0
    this.#length = 0
    this.#forgetBody()
  }

  #forgetBody(): void {
    this.#parts = []
    this.#body = undefined
    this.#bodyFilled = 0
    this.#filled = 0
  }

  #fail(code: Fault["code"], detail: string, isTls = false): void {
    this.#fault = isTls ? { code, detail, isTls } : { code, detail }
    this.#release()
  }

  #nextChunk(): boolean {
    const chunk = this.#waiting.shift()
    // A chunk used up is let go even where none follows.
    this.#take(chunk ?? nothing)
    return chunk !== undefined
  }

  #readHeader(): void {
    const end = Math.min(this.#chunk.length, this.#offset + headerBytes - this.#headerRead)
    while (this.#offset < end) {
      this.#header = this.#header * 256 + (this.#chunk[this.#offset] ?? 0)
      this.#offset++
      this.#headerRead++
    }
    if (this.#headerRead < headerBytes) return
    const length = this.#header
    this.#header = 0
    this.#headerRead = 0
    if (length === 0) this.#fail("MALFORMED_FRAME", "a frame of length 0")
    else if (length > this.maxBytes) {
      this.#fail("FRAME_TOO_LARGE", `a frame of ${length} bytes, ${this.maxBytes} are allowed`, isTls(length))
    } else this.#length = length
  }

  #takeBody(): Uint8Array | undefined {
    const length = this.#length
    const start = this.#offset
    if (this.#filled === 0 && this.#chunk.length - start >= length) {
      this.#offset = start + length
      this.#delivered()
      return this.#part(start, start + length)
    }
    const end = Math.min(this.#chunk.length, start + length - this.#filled)
    const filled = this.#filled + end - start
    const part = this.#part(start, end)
    this.#offset = end
    const isFirst = this.#filled === 0
    this.#parts.push(part)
    this.#filled = filled
    if (filled < length) {
      if (!isFirst && part.length < partBytes) this.#join()
      return undefined
    }
    const body = this.#join()
    this.#forgetBody()
    this.#delivered()
    return body
  }

  #delivered(): void {
    this.#buffered -= headerBytes + this.#length
    this.#length = 0
  }

  // Doubled as bytes come: memory is given for bytes received, not for a length announced.
  #join(): Uint8Array {
    const old = this.#body ?? nothing
    let body = old
    if (old.length < this.#filled) {
      body = uninitialized(Math.min(this.#length, Math.max(this.#filled, 2 * old.length)))
      body.set(old.subarray(0, this.#bodyFilled))
    }
    let at = this.#bodyFilled
    for (const part of this.#parts) {
      body.set(part, at)
      at += part.length
    }
    this.#parts = []
    this.#body = body
    this.#bodyFilled = at
    return body
  }

  #peekLength(): number {
    let length = this.#header
    let missing = headerBytes - this.#headerRead
    let offset = this.#offset
    for (const chunk of [this.#chunk, ...this.#waiting]) {
      for (; missing > 0 && offset < chunk.length; offset++, missing--) length = length * 256 + (chunk[offset] ?? 0)
      offset = 0
    }
    return length
  }
}
