/**
 * The frames on their way out over one link: control frames before data, data bounded in messages and bytes, written in
 * batches of at most one slice, so that what is handed to the operating system at a time stays small and a heartbeat
 * never waits for more than that here (docs/PROTOCOL.md, section 4), nor for much more beyond (see {@link Flight}).
 *
 * @internal
 */
import * as Frame from "../Frame.js"
import type { Link } from "../Transport.js"
import { Flight } from "./Flight.js"
import { giveBack } from "./LentMemory.js"
import { OrderedQueue } from "./OrderedQueue.js"
import { soon } from "./soon.js"

/** A message to be sent: its frame, and its id where an application gave it. */
export interface Outgoing {
  readonly frame: Frame.Frame
  readonly id: string | undefined
  /**
   * It goes to many: neither held back for what one of them has not read yet, nor counted there. Written to all in turn,
   * what waits for each is joined once and at hand; one at a time that takes twice the processor time.
   */
  readonly isShared?: true
  /** Nobody has the frame but the outbox that writes it: its memory may be used again. */
  readonly isOnly?: true
}

export interface OutboxLimits {
  readonly messages: number
  readonly bytes: number
}

interface Waiter {
  readonly message: Outgoing
  readonly settle: (taken: boolean) => void
  cancelled: boolean
  /** The outbox whose line it stands in. */
  at: Outbox
}

/** What one write to the operating system holds at most, unless it holds one frame, or what is left of one. */
export const sliceBytes = 65_536

/** A frame is cut where it is longer: for a few bytes more a write of their own costs more than they are worth. */
export const cutBytes = sliceBytes + sliceBytes / 4

/**
 * Of messages that are waited for no more are gathered before a write begins: while the rest are made, the other end is at
 * work on these. With 64 requests in flight the two ends otherwise take turns, and one of them is always idle.
 */
const awaitedGathered = 24

/** Whether the message takes long enough to make for its sender to wait for a turn of the event loop. */
const isLong = (message: Outgoing | undefined): boolean =>
  message !== undefined && message.isShared !== true && message.frame.length >= sliceBytes / 4

/** How long a sender is held back at most for an end that does not read, milliseconds. */
const heldMillis = 1

const controlLimits: OutboxLimits = { messages: 1024, bytes: 1_048_576 }

export class Outbox {
  /** Frames and bytes handed to the operating system so far. */
  framesOut = 0
  bytesOut = 0
  /** Completed writes: as long as this stands still while `isWriting`, the other end takes nothing. */
  writes = 0
  /** For whoever broadcasts: there was no room for one within `sendTimeout`, and has not been since. */
  isPassedOver = false

  private readonly data = new OrderedQueue<Outgoing>()
  private readonly control = new OrderedQueue<Frame.Frame>()
  private readonly waiters = new OrderedQueue<Waiter>()
  private dataBytes = 0
  private controlBytes = 0
  private rest: Uint8Array | undefined
  /** The message whose first part has been written, while the rest has not. */
  private begun: Outgoing | undefined
  private writing = false
  private scheduled = false
  /** What nobody waits for is to be written soon. */
  private isDue = false
  /** The last messages came one a turn of the event loop. */
  private comesAlone = false
  /** Takes data; takes frames of the protocol. */
  private isOpen = true
  private isWritable = true
  private parked = false
  private last: Frame.Frame | undefined
  private finishing: (() => void) | undefined
  /** Who waits for the link to tell of the write under way. */
  private untold: Array<() => void> = []
  /** Who waits for the other end to have read what is under way. */
  private heldBack: Array<() => void> = []
  private holding: ReturnType<typeof setTimeout> | undefined
  /** What is written alone, if nobody else has it. */
  private only: Uint8Array | undefined

  /** What is under way of the messages for this peer alone, by their bytes. */
  private readonly flight = new Flight()
  private soleBytesOut = 0

  private readonly link: Link
  private readonly limits: OutboxLimits
  private readonly onControlRoom: () => void
  private readonly onPingDue: () => void

  /** `onPingDue`: a ping is to be offered at once, for what is under way to be known. */
  constructor(link: Link, limits: OutboxLimits, onControlRoom: () => void, onPingDue: () => void) {
    this.link = link
    this.limits = limits
    this.onControlRoom = onControlRoom
    this.onPingDue = onPingDue
  }

  get queued(): number {
    return this.data.length
  }

  get queuedBytes(): number {
    return this.dataBytes
  }

  get isWriting(): boolean {
    return this.writing
  }

  /** A message of which the link took the beginning and not the end: if the link is gone, it is lost. */
  get unfinished(): Outgoing | undefined {
    return this.begun
  }

  /**
   * Whether a slice waits, behind one that is being written or for the other end, which has not read what is under way. What
   * is made before those are gone only waits in memory instead of being written while the processor has it at hand. Where the
   * link does not tell soon, only with long messages for this peer alone: a turn for each short one would cost more than it
   * does, and of many peers one that is slow holds up nobody.
   */
  get isAhead(): boolean {
    if (this.dataBytes < sliceBytes) return false
    if (!this.writing) return this.isFlightFull
    return this.isAboutToTell || isLong(this.data.peek())
  }

  /** The write under way is taken, and the link is about to tell so. */
  private get isAboutToTell(): boolean {
    return this.writing && this.link.isTaken === true
  }

  /**
   * Calls `goOn` once the link has told that it has all that it was given, where it has; else when the event loop has had a
   * turn, in which it may tell. Where the other end has not read what is under way, once it says so or a while has passed:
   * a slow one is waited for no longer. At once where it is not ahead.
   */
  onTold(goOn: () => void): void {
    const { link } = this
    if (!this.isAhead) goOn()
    else if (this.isAboutToTell) this.untold.push(goOn)
    else if (link.whenIdle === undefined) soon(goOn)
    else if (this.isFlightFull) this.holdBack(goOn)
    else link.whenIdle(goOn)
  }

  private holdBack(goOn: () => void): void {
    if (this.heldBack.push(goOn) === 1) this.holding = setTimeout(this.letGo, heldMillis)
  }

  private readonly letGo = (): void => {
    if (this.heldBack.length === 0) return
    clearTimeout(this.holding)
    const heldBack = this.heldBack
    this.heldBack = []
    for (const goOn of heldBack) goOn()
  }

  get isParked(): boolean {
    return this.parked
  }

  get isControlFull(): boolean {
    return this.control.length >= controlLimits.messages || this.controlBytes >= controlLimits.bytes
  }

  /** Whether a frame of that size would be taken at once. An empty queue takes any frame. */
  hasRoom(bytes: number): boolean {
    return (
      this.isOpen &&
      this.waiters.length === 0 &&
      (this.data.length === 0 ||
        (this.data.length < this.limits.messages && this.dataBytes + bytes <= this.limits.bytes))
    )
  }

  /** Takes the message if there is room now. `isAwaited`: somebody does nothing until the other end has it. */
  offer(message: Outgoing, isAwaited = false): boolean {
    if (!this.hasRoom(message.frame.length)) return false
    if (this.scheduled || this.writing) this.comesAlone = false
    this.data.push(message)
    this.dataBytes += message.frame.length
    // There is nothing to be gathered: not yet, or not any more.
    if (this.comesAlone || this.dataBytes >= sliceBytes || (isAwaited && this.data.length >= awaitedGathered))
      this.write()
    else this.schedule()
    return true
  }

  /** Takes the message as soon as there is room, in order of asking. The function returned gives up waiting. */
  offerLater(message: Outgoing, settle: (taken: boolean) => void): () => void {
    if (!this.isOpen) {
      settle(false)
      return () => {}
    }
    const waiter: Waiter = { message, settle, cancelled: false, at: this }
    this.waiters.push(waiter)
    this.admitWaiters()
    return () => {
      waiter.cancelled = true
      waiter.at.admitWaiters()
    }
  }

  /** Queues a frame of the protocol, ahead of all data. Always taken; see `isControlFull`. */
  offerControl(frame: Frame.Frame): void {
    if (!this.isWritable) return
    this.control.push(frame)
    this.controlBytes += frame.length
    this.schedule()
  }

  /**
   * The same for what nobody waits for: it goes with what is written next, or once there is nothing else to do. Whoever
   * waited for a connection has its first message on the way by then, in one write with what the nodes ask each other.
   */
  offerAside(frame: Frame.Frame): void {
    if (!this.isWritable) return
    this.control.push(frame)
    this.controlBytes += frame.length
    if (this.isDue || this.scheduled || this.writing) return
    this.isDue = true
    if (this.link.whenIdle === undefined) soon(this.writeAside)
    else this.link.whenIdle(this.writeAside)
  }

  /** Queues a ping. Its answer will tell that all written until now has been read: see {@link Flight}. */
  offerPing(frame: Frame.Frame): void {
    this.flight.asked(this.soleBytesOut)
    this.offerControl(frame)
  }

  /** The last ping offered is answered, after so many milliseconds. */
  onAnswered(millis: number): void {
    const wasFull = this.isFlightFull
    this.flight.answered(this.soleBytesOut, millis)
    if (wasFull) this.write()
    this.letGo()
  }

  /** Pings are not answered: what is under way is not bounded until one is. */
  onUnanswered(): void {
    const wasFull = this.isFlightFull
    this.flight.lift()
    if (wasFull) this.write()
  }

  /**
   * Refuses those who wait; writes what is queued, and what is offered in the meantime, then `last`, then calls `done` when
   * the operating system has it. From `last` on it takes no more. Called again it only replaces `done`, and `last` where
   * one is given.
   */
  finish(last: Uint8Array | undefined, done: () => void): void {
    if (last !== undefined) this.last = last
    this.finishing = done
    if (!this.parked) this.refuseWaiters()
    this.schedule()
  }

  /** Takes no more and forgets the data that the operating system has not yet seen: returns it, in order. */
  abandon(): Array<Outgoing> {
    this.isOpen = false
    this.isWritable = false
    this.parked = false
    this.dataBytes = 0
    const unsent = this.data.drain()
    this.refuseWaiters()
    return unsent
  }

  /** Writes no data any more, but goes on taking it, until it is moved or abandoned: another link will carry it. */
  park(): void {
    this.parked = true
  }

  /** Moves unsent data and those who wait to another outbox, behind what it holds, beyond its limits if need be. */
  moveTo(other: Outbox): void {
    this.dataBytes = 0
    other.takeOver(this.data.drain())
    for (const waiter of this.waiters.drain()) {
      if (waiter.cancelled) continue
      waiter.at = other
      other.waiters.push(waiter)
    }
    other.admitWaiters()
  }

  /** Queues what another outbox was to send, beyond the limits if need be. */
  takeOver(messages: ReadonlyArray<Outgoing>): void {
    for (const message of messages) this.push(message)
  }

  /** Nothing may follow the last frame. */
  private shut(): void {
    this.isWritable = false
    if (!this.parked) this.isOpen = false
  }

  private push(message: Outgoing): void {
    this.data.push(message)
    this.dataBytes += message.frame.length
    this.schedule()
  }

  private refuseWaiters(): void {
    for (const waiter of this.waiters.drain()) {
      if (!waiter.cancelled) waiter.settle(false)
    }
  }

  private admitWaiters(): void {
    for (;;) {
      const waiter = this.waiters.peek()
      if (waiter === undefined) return
      if (!waiter.cancelled) {
        const bytes = waiter.message.frame.length
        const room =
          this.data.length === 0 ||
          (this.data.length < this.limits.messages && this.dataBytes + bytes <= this.limits.bytes)
        if (!room) return
      }
      this.waiters.shift()
      if (!waiter.cancelled) {
        this.push(waiter.message)
        waiter.settle(true)
      }
    }
  }

  /**
   * One write for all that is offered in the same turn of the event loop. As long as that is one message it is written in
   * the call that offers it: what its sender does next is done while it is on its way. The first of many goes alone then.
   */
  private schedule(): void {
    if (this.scheduled || this.writing) return
    this.scheduled = true
    soon(this.writeScheduled)
  }

  private readonly writeScheduled = (): void => {
    if (!this.scheduled) return
    this.scheduled = false
    if (this.data.length > 0) this.comesAlone = this.data.length === 1
    this.write()
  }

  private readonly writeAside = (): void => {
    this.isDue = false
    if (this.control.length > 0 && !this.scheduled) this.write()
  }

  private write(): void {
    if (this.writing) return
    const batch = this.nextBatch()
    if (batch.length === 0) {
      const done = this.finishing
      if (done === undefined) return
      this.finishing = undefined
      this.shut()
      return done()
    }
    this.writing = true
    this.link.write(batch, this.onWritten)
    if (this.finishing === undefined && this.flight.isDue(this.soleBytesOut)) this.onPingDue()
    if (this.waiters.length > 0) this.admitWaiters()
  }

  private readonly onWritten = (cause?: unknown): void => {
    this.writing = false
    this.writes++
    const { only } = this
    if (only !== undefined) {
      this.only = undefined
      if (cause === undefined) giveBack(only)
    }
    // After a failed write the link reports its own end; nothing more can be written.
    if (cause === undefined) this.write()
    // Of a long frame all slices come first.
    if (this.untold.length > 0 && !(this.rest !== undefined && this.isAboutToTell)) {
      const untold = this.untold
      this.untold = []
      for (const goOn of untold) goOn()
    }
  }

  /** Data waits for the other end to have read what is under way; not where this is all that will be written. */
  private get isFlightFull(): boolean {
    if (this.finishing !== undefined || !this.flight.isFull(this.soleBytesOut)) return false
    const next = this.data.peek()
    return next !== undefined && next.isShared !== true
  }

  private nextBatch(): ReadonlyArray<Uint8Array> {
    const batch = new Batch()
    let bytes = 0
    let only: Uint8Array | undefined
    const take = (frame: Frame.Frame): void => {
      const isCut = frame.length > cutBytes
      bytes += isCut ? sliceBytes : frame.length
      this.rest = isCut ? batch.cut(frame) : undefined
      if (!isCut) batch.push(frame)
    }
    const hasRoom = (): boolean => bytes < sliceBytes && this.rest === undefined
    if (this.rest !== undefined) {
      take(this.rest)
      if (this.rest === undefined) this.begun = undefined
    }
    const wasFull = this.isControlFull
    while (hasRoom()) {
      const frame = this.control.shift()
      if (frame === undefined) break
      this.controlBytes -= frame.length
      this.framesOut++
      take(frame)
    }
    while (hasRoom() && !this.parked && !this.isFlightFull) {
      const next = this.data.peek()
      // A long frame starts a write of its own, so that a write is never much more than a slice.
      if (next === undefined || (bytes > 0 && bytes + next.frame.length > sliceBytes)) break
      this.data.shift()
      this.dataBytes -= next.frame.length
      if (next.isShared !== true) this.soleBytesOut += next.frame.length
      this.framesOut++
      take(next.frame)
      if (this.rest !== undefined) this.begun = next
      else if (next.isOnly === true && next.frame instanceof Uint8Array) only = next.frame
    }
    if (bytes === 0 && this.last !== undefined) {
      const frame = this.last
      this.last = undefined
      this.shut()
      this.framesOut++
      take(frame)
    }
    this.bytesOut += bytes
    if (wasFull && !this.isControlFull) this.onControlRoom()
    const chunks = batch.finish()
    // What is written together with others is put together first, and that is remembered by where it lies.
    if (chunks.length === 1 && chunks[0] === only) this.only = only
    return chunks
  }
}

/**
 * The chunks of a write. Frames that lie one after the other in memory, as those made one after the other do, become one
 * chunk, and so do texts that follow each other: thirty frames of 250 bytes are written at the cost of one.
 */
class Batch {
  private readonly chunks: Array<Uint8Array> = []
  private first: Uint8Array | undefined
  private length = 0
  private texts: Array<Frame.Text> = []
  private textBytes = 0

  push(frame: Frame.Frame): void {
    if (frame instanceof Uint8Array) return this.pushBytes(frame)
    this.closeBytes()
    this.texts.push(frame)
    this.textBytes += frame.length
  }

  /** Takes the first slice of a frame that is longer: what is left of it. */
  cut(frame: Frame.Frame): Uint8Array {
    const bytes = Frame.bytesOf(frame)
    this.pushBytes(bytes.subarray(0, sliceBytes))
    return bytes.subarray(sliceBytes)
  }

  finish(): ReadonlyArray<Uint8Array> {
    this.closeTexts()
    this.closeBytes()
    return this.chunks
  }

  private pushBytes(chunk: Uint8Array): void {
    this.closeTexts()
    const { first } = this
    if (first !== undefined && first.buffer === chunk.buffer && first.byteOffset + this.length === chunk.byteOffset) {
      this.length += chunk.length
      return
    }
    this.closeBytes()
    this.first = chunk
    this.length = chunk.length
  }

  private closeBytes(): void {
    const { first, length } = this
    if (first === undefined) return
    this.first = undefined
    this.chunks.push(first.length === length ? first : new Uint8Array(first.buffer, first.byteOffset, length))
  }

  private closeTexts(): void {
    if (this.texts.length === 0) return
    this.chunks.push(Frame.encodeAll(this.texts, this.textBytes))
    this.texts = []
    this.textBytes = 0
  }
}
