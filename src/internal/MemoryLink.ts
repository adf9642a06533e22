/**
 * A link in memory that behaves as a TCP connection does. What is written is copied into the buffer of the other end as
 * far as there is room, and handed over from there. Both happen in turns of a queue of this module, never from within a
 * call of a link's methods: what is begun first is done first.
 */
import * as Scheduler from "effect/Scheduler"
import type { PeerAddress } from "../PeerAddress.js"
import type { Link, LinkReceiver } from "../Transport.js"
import * as PartialWrite from "./PartialWrite.js"
import { closedForWriting, tellClosed, tellDone } from "./Told.js"

// --- Turns ---

/** After so many turns in a row the event loop gets one: microtasks alone would hold up its timers and sockets for ever. */
const turnsInARow = 2_048

const eventLoop = new Scheduler.MixedScheduler(0)
let tasks: Array<() => void> = []
let turns = 0

/** Does the task soon, never now, and after every task given before it. Tasks do not throw. */
export const later = (task: () => void): void => {
  if (tasks.push(task) > 1) return
  if (turns === 0) eventLoop.scheduleTask(newRow, 0)
  if (++turns > turnsInARow) eventLoop.scheduleTask(turn, 0)
  else queueMicrotask(turn)
}

const newRow = (): void => {
  turns = 0
}

const turn = (): void => {
  const now = tasks
  tasks = []
  for (const task of now) task()
}

// --- Links ---

/**
 * How links in memory behave.
 *
 * @since 0.1.0
 * @category models
 */
export interface LinkOptions {
  /** How many bytes each end takes before its receiver does, default 65,536. */
  readonly capacity?: number | undefined
  /**
   * Given how many bytes could be handed over at once, gives how many are (brought between 1 and those); by default all
   * of them. See {@link seededCut}.
   */
  readonly cut?: ((bytes: number) => number) | undefined
}

/** What lies between the two ends of a link. */
export interface Medium extends LinkOptions {
  /** Whether nothing passes between the two hosts for now; then `goOn` is called once it may. */
  readonly isCut?: (one: string, other: string, goOn: () => void) => boolean
}

/** One end of a link. The other end is made by `answer`. */
export class MemoryLink implements Link {
  readonly remote: PeerAddress
  readonly local: PeerAddress
  private readonly medium: Medium
  private readonly released: (() => void) | undefined
  private peer: MemoryLink = this
  private receiver: LinkReceiver | undefined = undefined
  private paused = false
  private waiting = false
  /** What is written here and not yet in the buffer of the other end. */
  private readonly writes: Array<PartialWrite.PartialWrite> = []
  /** What came from the other end and is not yet handed over. */
  private buffer: Array<Uint8Array> = []
  private buffered = 0
  private ended = false
  private endTold = false
  private closed = false
  private closeTold = false
  /** It was closed before all was said and heard: the other end learns of a reset. */
  private broken = false
  private cause: unknown = undefined

  constructor(local: PeerAddress, remote: PeerAddress, medium: Medium, released?: () => void) {
    this.local = local
    this.remote = remote
    this.medium = medium
    this.released = released
  }

  /** Makes the other end. */
  answer(released?: () => void): MemoryLink {
    const far = new MemoryLink(this.remote, this.local, this.medium, released)
    far.peer = this
    this.peer = far
    return far
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    this.wake()
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    if (this.ended || this.closed) {
      later(() => this.settle(done, this.closedCause()))
      return
    }
    this.writes.push(PartialWrite.make(chunks, done))
    if (this.peer.closed) this.wake()
    else this.peer.wake()
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.wake()
  }

  end(): void {
    this.ended = true
    this.wake()
    this.peer.wake()
  }

  destroy(cause?: unknown): void {
    if (this.closed) return
    // As a TCP socket: one that has said and heard everything parts quietly, any other resets.
    this.broken = !(this.said() && this.buffered === 0 && this.peer.writes.length === 0)
    this.close(cause)
    if (this.broken) this.peer.wake()
  }

  private close(cause: unknown): void {
    this.closed = true
    this.cause = cause
    this.buffer = []
    this.buffered = 0
    this.wake()
  }

  /** Whether all that is written and the end of it are in the hands of the other end. */
  private said(): boolean {
    return this.ended && this.writes.length === 0
  }

  private readonly wake = (): void => {
    if (this.waiting) return
    this.waiting = true
    later(this.run)
  }

  private readonly run = (): void => {
    this.waiting = false
    const isReached = !this.closed && this.medium.isCut?.(this.local.host, this.remote.host, this.wake) !== true
    if (isReached && this.isReset()) this.close(new Error("the other end reset the link"))
    if (!this.closed) this.take()
    if (isReached && !this.closed) this.handOver()
    if (!this.closed && this.endTold && this.said()) this.close(undefined)
    if (this.closed) this.tellClose()
  }

  /** Whether the other end is gone while something was still to pass between the two. */
  private isReset(): boolean {
    return this.peer.broken || (this.peer.closed && this.writes.length > 0)
  }

  /** Moves what the other end has written into the buffer, as far as there is room, and tells the writers that are done. */
  private take(): void {
    const { peer } = this
    const { writes } = peer
    if (writes.length === 0 || peer.closed) return
    const room = Math.max(1, this.medium.capacity ?? 65_536) - this.buffered
    const target = new Uint8Array(Math.min(room, remaining(writes, room)))
    let filled = 0
    let taken = 0
    for (const write of writes) {
      filled = PartialWrite.copy(target, filled, write)
      if (!PartialWrite.isTaken(write)) break
      taken++
    }
    if (filled > 0) {
      this.buffer.push(target)
      this.buffered += filled
    }
    for (const write of writes.splice(0, taken)) peer.settle(write.done, undefined)
    // Now it may be the turn of the writer's own end to close.
    if (peer.said()) peer.wake()
  }

  private handOver(): void {
    const { receiver } = this
    if (receiver === undefined) return
    for (let next = this.buffer[0]; next !== undefined && !this.paused && !this.closed; next = this.buffer[0]) {
      try {
        const wanted = Math.max(1, Math.trunc(this.medium.cut?.(next.length) ?? next.length))
        const piece = wanted < next.length ? next.subarray(0, wanted) : next
        if (piece === next) this.buffer.shift()
        else this.buffer[0] = next.subarray(wanted)
        this.buffered -= piece.length
        receiver.onData(piece)
      } catch (cause) {
        this.destroy(cause)
      }
    }
    if (this.paused || this.closed) return
    if (this.peer.writes.length > 0) {
      this.wake()
    } else if (this.peer.ended && !this.endTold) {
      this.endTold = true
      try {
        receiver.onEnd()
      } catch (cause) {
        this.destroy(cause)
      }
    }
  }

  private tellClose(): void {
    for (const write of this.writes.splice(0)) this.settle(write.done, this.closedCause())
    this.released?.()
    const { receiver } = this
    if (receiver === undefined || this.closeTold) return
    this.closeTold = true
    tellClosed(receiver, this.cause)
  }

  private settle(done: (cause?: unknown) => void, cause: unknown): void {
    tellDone(done, cause, (thrown) => this.destroy(thrown))
  }

  private closedCause(): unknown {
    return this.cause ?? closedForWriting()
  }
}

/** The bytes of the writes that are left to take, counted up to `enough`. */
const remaining = (writes: ReadonlyArray<PartialWrite.PartialWrite>, enough: number): number => {
  let bytes = 0
  for (const write of writes) {
    bytes += PartialWrite.left(write, enough - bytes)
    if (bytes >= enough) break
  }
  return bytes
}
