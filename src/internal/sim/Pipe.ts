/**
 * One direction of a simulated link: the sender's buffer, what is on its way, and what has to be sent again. Bytes arrive
 * once and in order, or the link breaks.
 *
 * @internal
 */
import { OrderedQueue } from "../OrderedQueue.js"
import { nextRetry, type Path, retransmitForMillis } from "./Path.js"
import type { World } from "./World.js"

export type Segment =
  /** The last step of a dial: the other end accepts. */
  | { readonly _tag: "Open" }
  | { readonly _tag: "Data"; readonly bytes: Uint8Array }
  | { readonly _tag: "End" }
  /** Never sent again. */
  | { readonly _tag: "Reset" }

export interface PipeEnds {
  /** A segment has come. */
  readonly arrive: (segment: Segment) => void
  /** More fits into the sender's buffer. */
  readonly room: () => void
  /** The sender's system gives up. */
  readonly brokenOff: () => void
}

/** The longest segment, bytes: large, as systems with segmentation offload send them. */
export const segmentBytes = 65_536

export class Pipe {
  /** Bytes taken from the sender that are not on their way yet. */
  buffered = 0
  /** Bytes sent and not yet read at the other end, as far as the sender has been told. */
  private unread = 0
  private readUntold = 0
  private readonly queue = new OrderedQueue<Segment>()
  private readonly stuck = new OrderedQueue<Segment>()
  private stuckSince = 0
  private wasLost = false
  private busyUntil = 0
  private lastArrival = 0
  private cancelRetry: (() => void) | undefined
  private cancelGiveUp: (() => void) | undefined
  private isOver = false

  private readonly world: World
  readonly path: Path
  private readonly back: Path
  private readonly window: number
  private readonly ends: PipeEnds

  constructor(world: World, path: Path, back: Path, window: number, ends: PipeEnds) {
    this.world = world
    this.path = path
    this.back = back
    this.window = window
    this.ends = ends
  }

  /** Whether nothing is left to be sent, not even once more. */
  get isEmpty(): boolean {
    return this.queue.length === 0 && this.stuck.length === 0
  }

  push(segment: Segment): void {
    if (this.isOver) return
    if (segment._tag === "Data") this.buffered += segment.bytes.length
    this.queue.push(segment)
    this.transmit()
  }

  /** The other end has read so much: there is room for more, once the sender knows. */
  read(bytes: number): void {
    if (this.isOver) return
    this.readUntold += bytes
    if (this.back.isFree) this.released()
    else this.back.wait(this)
  }

  /** What is not on its way yet is forgotten, and nothing is sent again. */
  cut(): void {
    this.queue.clear()
    this.buffered = 0
    this.unstick()
    this.stuck.clear()
  }

  /** Nothing more goes through. */
  close(): void {
    this.cut()
    this.isOver = true
    this.path.leave(this)
    this.back.leave(this)
  }

  /** A path is free again: that of the bytes, or the one back. */
  released(): void {
    if (this.back.isFree && this.readUntold > 0) {
      this.unread -= this.readUntold
      this.readUntold = 0
      this.back.leave(this)
      this.transmit()
    }
    if (this.stuck.length > 0 && this.path.isFree) this.retryLater()
  }

  private transmit(): void {
    for (let next = this.queue.peek(); next !== undefined; next = this.queue.peek()) {
      const bytes = next._tag === "Data" ? next.bytes.length : 0
      if (bytes > 0 && this.unread > 0 && this.unread + bytes > this.window) return
      this.queue.shift()
      this.buffered -= bytes
      this.unread += bytes
      const { bandwidth } = this.path.shape
      this.busyUntil =
        Math.max(this.world.now, this.busyUntil) + (bandwidth === Infinity ? 0 : (bytes / bandwidth) * 1000)
      this.lastArrival = Math.max(this.lastArrival, this.busyUntil + this.path.travelTime())
      const segment = next
      // Not after a while: of two such, rounded, the later could come first.
      this.world.at(this.lastArrival, () => this.come(segment))
      if (bytes > 0) this.ends.room()
    }
  }

  private come(segment: Segment): void {
    if (this.isOver) return
    if (this.path.isFree && this.stuck.length === 0) return this.ends.arrive(segment)
    // What is behind a reset is of no use, and a reset that is lost is lost.
    if (segment._tag === "Reset" && this.path.isLost) return this.close()
    this.stick(segment)
  }

  private stick(segment: Segment): void {
    this.stuck.push(segment)
    this.wasLost ||= this.path.isLost
    if (this.stuck.length > 1) return
    this.stuckSince = this.world.now
    this.path.wait(this)
    this.cancelGiveUp = this.world.after(retransmitForMillis, () => {
      if (this.path.isLost) this.ends.brokenOff()
    })
  }

  private retryLater(): void {
    this.cancelRetry?.()
    const { now } = this.world
    const at = this.wasLost ? nextRetry(this.stuckSince, now) : now
    this.cancelRetry = this.world.after(at - now, () => this.retry())
  }

  private retry(): void {
    if (!this.path.isFree) return
    const segments = this.stuck.drain()
    this.unstick()
    for (const segment of segments) if (!this.isOver) this.ends.arrive(segment)
  }

  private unstick(): void {
    this.cancelRetry?.()
    this.cancelGiveUp?.()
    this.cancelRetry = undefined
    this.cancelGiveUp = undefined
    this.wasLost = false
    this.path.leave(this)
  }
}
