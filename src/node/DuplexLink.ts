/**
 * A link over any duplex stream: a thin object around it, without a fiber, a queue or a timer of its own. Bytes are read as
 * fast as the receiver takes them, and what is written waits in the stream until the operating system takes it.
 *
 * @internal
 */
import type { Duplex } from "node:stream"
import type * as PeerAddress from "../PeerAddress.js"
import { closedForWriting, tellDone } from "../internal/Told.js"
import type { Link, LinkReceiver } from "../Transport.js"

/** Chunks that together are no longer than this are joined: one copy costs less than a trip through the stream for each. */
const joinBytes = 65_536

/**
 * After so many bytes the event loop gets a turn. An operating system that takes all there is, since the other end keeps
 * up, has each write done before the next: timers and sockets, the answers to heartbeats among them, would wait for as
 * long as there is something to send. (Half a second and more of them, with messages of 64 KiB over loopback.)
 */
const turnBytes = 262_144

/** What all links have written since the event loop last had its turn, and what goes on after the next one. */
let writtenInTurn = 0
let afterTurn: Array<() => void> = []

const nextTurn = (): void => {
  const all = afterTurn
  afterTurn = []
  writtenInTurn = 0
  for (const goOn of all) goOn()
}

/** The process has dealt with what it has at hand when the event loop comes to what is to be done at once. */
export const whenIdle = (run: () => void): void => void setImmediate(run)

class DuplexLink<S extends Duplex> implements Link {
  readonly remote: PeerAddress.PeerAddress
  readonly local: PeerAddress.PeerAddress
  private readonly stream: S
  private readonly abort: (stream: S) => void
  private receiver: LinkReceiver | undefined = undefined
  /** Who waits for a write to be taken, oldest first: the stream takes them in this order. */
  private readonly waiting: Array<(cause?: unknown) => void> = []
  private cause: unknown = undefined
  private paused = false
  private destroyedHere = false
  private ended: boolean
  private endTold = false
  private closed: boolean
  private closeTold = false

  constructor(stream: S, addresses: Addresses, abort: (stream: S) => void) {
    this.stream = stream
    this.remote = addresses.remote
    this.local = addresses.local
    this.abort = abort
    this.ended = stream.readableEnded
    this.closed = stream.closed
    if (this.closed) this.cause = stream.errored ?? lostEarly()
    // Else a socket reads from the moment it is connected.
    stream.pause()
    stream.on("error", (cause) => {
      this.cause ??= cause
      // A TLS stream that has met a record it cannot read tells so, and goes on as if nothing were.
      stream.destroy()
    })
    stream.on("end", () => {
      this.ended = true
      this.report()
    })
    stream.on("close", () => {
      this.closed = true
      if (!this.destroyedHere && !(this.ended && stream.writableFinished)) this.cause ??= lostEarly()
      for (const done of this.waiting.splice(0)) this.settle(done, this.closedCause())
      this.report()
    })
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    this.stream.on("data", (chunk: Uint8Array) => {
      if (this.stream.destroyed) return
      try {
        receiver.onData(chunk)
      } catch (cause) {
        this.destroy(cause)
      }
    })
    if (!this.paused) this.stream.resume()
    // What happened before is told too, though not from within this call.
    if (this.ended || this.closed) queueMicrotask(() => this.report())
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    const { stream } = this
    if (!stream.writable) {
      // A stream would take this for an error of its own and destroy itself.
      queueMicrotask(() => this.settle(done, this.closedCause()))
      return
    }
    this.waiting.push(done)
    for (const chunk of chunks) writtenInTurn += chunk.length
    const only = chunks.length === 1 ? chunks[0] : joined(chunks)
    if (only !== undefined) {
      stream.write(only, this.written)
      return
    }
    stream.cork()
    const last = chunks.length - 1
    chunks.forEach((chunk, index) => {
      if (index === last) stream.write(chunk, this.written)
      else stream.write(chunk)
    })
    stream.uncork()
  }

  get isTaken(): boolean {
    return this.stream.writableLength === 0
  }

  whenIdle(run: () => void): void {
    whenIdle(run)
  }

  pause(): void {
    this.paused = true
    this.stream.pause()
  }

  resume(): void {
    this.paused = false
    if (this.receiver !== undefined) this.stream.resume()
  }

  end(): void {
    this.stream.end()
  }

  destroy(cause?: unknown): void {
    const { stream } = this
    if (stream.destroyed || this.destroyedHere) return
    this.destroyedHere = true
    this.cause = cause
    // With everything up to our FIN in its hands the operating system may go on delivering. A stream cut short must not
    // look like a whole one: the other end is told by a reset, which also frees what a peer that does not read holds
    // up. (A socket that is reset while its FIN is on the way would never close: Node loses it.)
    if (stream.writableEnded && stream.writableLength === 0) stream.destroy()
    else this.abort(stream)
  }

  private readonly written = (error?: Error | null): void => {
    if (writtenInTurn < turnBytes) return this.taken(error)
    if (afterTurn.push(() => this.taken(error)) === 1) setImmediate(nextTurn)
  }

  private taken(error: Error | null | undefined): void {
    const done = this.waiting.shift()
    if (done === undefined) return
    // Node calls back without an error, or with one of its own, for writes that a destroy cut off.
    const isCutOff = this.stream.destroyed || this.destroyedHere
    this.settle(done, isCutOff ? (this.cause ?? error ?? this.closedCause()) : (error ?? undefined))
  }

  private settle(done: (cause?: unknown) => void, cause: unknown): void {
    tellDone(done, cause, (thrown) => this.destroy(thrown))
  }

  private closedCause(): unknown {
    return this.cause ?? closedForWriting()
  }

  private report(): void {
    const { receiver } = this
    if (receiver === undefined) return
    if (this.ended && !this.endTold) {
      this.endTold = true
      try {
        receiver.onEnd()
      } catch (cause) {
        this.destroy(cause)
      }
    }
    if (this.closed && !this.closeTold) {
      this.closeTold = true
      if (this.cause === undefined) receiver.onClose()
      else receiver.onClose(this.cause)
    }
  }
}

const lostEarly = (): Error => new Error("the stream closed before both ends had ended it")

/** What was joined last. */
let joinedChunks: ReadonlyArray<Uint8Array> = []
let joinedWhole: Uint8Array | undefined

const isSamePlace = (a: Uint8Array, b: Uint8Array | undefined): boolean =>
  b !== undefined && a.buffer === b.buffer && a.byteOffset === b.byteOffset && a.length === b.length

/**
 * The chunks as one, unless they are too long for that. What goes to many, as a broadcast does, is often the same for one
 * after the other, and joined once.
 */
const joined = (chunks: ReadonlyArray<Uint8Array>): Uint8Array | undefined => {
  let length = 0
  for (const chunk of chunks) length += chunk.length
  if (length > joinBytes) return undefined
  const isSame =
    chunks.length === joinedChunks.length && chunks.every((chunk, at) => isSamePlace(chunk, joinedChunks[at]))
  if (!isSame || joinedWhole === undefined) {
    joinedWhole = Buffer.concat(chunks, length)
    joinedChunks = chunks
  }
  return joinedWhole
}

/**
 * Where the two ends of a link are.
 *
 * @since 0.1.0
 * @category models
 */
export interface Addresses {
  readonly remote: PeerAddress.PeerAddress
  readonly local: PeerAddress.PeerAddress
}

/**
 * Makes a link of an open duplex stream and takes it over: nothing else may read, write or destroy the stream. The stream
 * must be half-open (`allowHalfOpen`), destroy itself once both directions have ended (`autoDestroy`), and emit nothing
 * from within a call of its own methods, as TCP and TLS sockets do.
 *
 * `abort` destroys the stream where the other end is to see that it was cut short; by default that is `stream.destroy()`.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromDuplex = <S extends Duplex>(
  stream: S,
  addresses: Addresses,
  abort: (stream: S) => void = destroyStream
): Link => new DuplexLink(stream, addresses, abort)

const destroyStream = (stream: Duplex): void => {
  stream.destroy()
}
