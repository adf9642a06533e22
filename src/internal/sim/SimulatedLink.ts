/**
 * One end of a link between two simulated hosts, as its process and its host's system see it. The system goes on taking
 * bytes while the process is stopped, and closes the link when the process is killed.
 *
 * @internal
 */
import type { PeerAddress } from "../../PeerAddress.js"
import type { Link, LinkReceiver } from "../../Transport.js"
import { OrderedQueue } from "../OrderedQueue.js"
import * as PartialWrite from "../PartialWrite.js"
import { closedForWriting, tellClosed, tellDone } from "../Told.js"
import { type Pipe, type Segment, segmentBytes } from "./Pipe.js"
import type { SimulatedProcess } from "./SimulatedProcess.js"
import type { World } from "./World.js"

/** What a link needs of the host it ends at. */
export interface LinkHost {
  readonly name: string
  readonly process: SimulatedProcess
  /** How fast its processes read, bytes a second. */
  readonly readRate: () => number
  /** The last step of a dial has come: somebody here takes the link, or refuses it. */
  readonly accept: (link: SimulatedLink) => void
  /** Called once, when the link is gone from this host. */
  readonly released: (link: SimulatedLink) => void
}

export interface LinkSettings {
  /** What the system of each end takes before its process does, bytes. */
  readonly capacity: number
  /** How many of the bytes that could be read at once are. */
  readonly cut: ((bytes: number) => number) | undefined
}

export class SimulatedLink implements Link {
  readonly local: PeerAddress
  readonly remote: PeerAddress
  readonly host: LinkHost
  /** Whose end it is. */
  readonly process: SimulatedProcess
  /** What took it, where it was accepted. */
  acceptedBy: unknown
  /** The other end; set by whoever makes the pair. */
  peer: SimulatedLink = this
  /** The way to the other end; likewise. */
  private out: Pipe | undefined
  private readonly world: World
  private readonly settings: LinkSettings
  private receiver: LinkReceiver | undefined
  private readonly writes = new OrderedQueue<PartialWrite.PartialWrite>()
  private readonly unread = new OrderedQueue<Uint8Array>()
  private paused = false
  private waking = false
  private filling = false
  private ended = false
  private finSent = false
  private finCame = false
  private endTold = false
  private closed = false
  /** It is closed and has sent an end, no reset: an end that comes yet is as it should be. */
  private partedInPeace = false
  private closeTold = false
  private cause: unknown
  private readsAgainAt = 0

  constructor(
    world: World,
    host: LinkHost,
    addresses: { readonly local: PeerAddress; readonly remote: PeerAddress },
    settings: LinkSettings
  ) {
    this.world = world
    this.host = host
    this.process = host.process
    this.local = addresses.local
    this.remote = addresses.remote
    this.settings = settings
  }

  /** Lays the way to the other end. */
  join(peer: SimulatedLink, out: Pipe): void {
    this.peer = peer
    this.out = out
  }

  get isClosed(): boolean {
    return this.closed
  }

  // --- The process ---

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    this.wake()
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    if (this.ended || this.closed) {
      const cause = this.closedCause()
      this.process.deliver(() => this.settle(done, cause))
      return
    }
    this.writes.push(PartialWrite.make(chunks, done))
    this.fillSoon()
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
    this.wake()
  }

  end(): void {
    if (this.ended || this.closed) return
    this.ended = true
    this.fillSoon()
  }

  destroy(cause?: unknown): void {
    if (this.closed) return
    // As the transport over TCP: one that has said everything parts quietly, any other resets.
    const isQuiet = this.finSent && this.unread.length === 0
    this.close(cause)
    if (isQuiet) this.partedInPeace = true
    else this.reset()
  }

  // --- The system ---

  /** A segment of the other end has come. */
  arrive(segment: Segment): void {
    if (this.closed) {
      // Nobody knows that connection here: so says a reset, if it gets there.
      if (segment._tag === "Reset" || (segment._tag === "End" && this.partedInPeace)) return
      this.out?.path.send(() => this.peer.break())
      return
    }
    if (segment._tag === "Reset") return this.break()
    if (segment._tag === "End") this.finCame = true
    if (segment._tag === "Data") this.unread.push(segment.bytes)
    this.wake()
  }

  /** The other end is gone. */
  break(): void {
    if (this.closed) return
    this.out?.close()
    this.close(new Error("the other end reset the link"))
  }

  /** The system gives up sending. */
  timeOut(): void {
    if (this.closed) return
    this.out?.close()
    this.close(new Error("the link timed out: nothing sent came through"))
  }

  /** The first step over the new link: the other end accepts. */
  open(): void {
    this.out?.push({ _tag: "Open" })
  }

  /** Nobody accepts it here. */
  refuse(): void {
    this.closed = true
    this.out?.path.send(() => this.peer.break())
  }

  /** Both ends break at once. */
  snap(): void {
    this.peer.break()
    this.break()
  }

  /**
   * The process was killed. As the system does with its sockets: what was taken is sent, and the end after it; where
   * something is left that nobody has read, the other end is told that by a reset.
   */
  abandon(): void {
    if (this.closed) return
    const isRead = this.unread.length === 0
    this.close(new Error("the process was killed"))
    if (!isRead) return this.reset()
    this.partedInPeace = true
    if (!this.finSent) this.out?.push({ _tag: "End" })
  }

  private reset(): void {
    this.out?.cut()
    this.out?.push({ _tag: "Reset" })
  }

  /** The host is off: nothing is said to anybody. */
  vanish(): void {
    this.out?.close()
    this.close(new Error("the host is off"))
  }

  private close(cause: unknown): void {
    this.closed = true
    this.cause = cause
    this.unread.clear()
    this.host.released(this)
    this.wake()
  }

  /** The system takes what is written, as far as there is room. */
  room(): void {
    if (this.writes.length > 0 || (this.ended && !this.finSent)) this.fillSoon()
  }

  private fillSoon(): void {
    if (this.filling) return
    this.filling = true
    this.world.soon(this.fill)
  }

  private readonly fill = (): void => {
    this.filling = false
    const { out } = this
    if (this.closed || out === undefined) return
    for (let write = this.writes.peek(); write !== undefined; write = this.writes.peek()) {
      const room = this.settings.capacity - out.buffered
      if (room <= 0) return
      const bytes = takeFrom(write, Math.min(room, segmentBytes))
      if (bytes.length > 0) out.push({ _tag: "Data", bytes })
      if (!PartialWrite.isTaken(write)) continue
      this.writes.shift()
      const { done } = write
      this.process.deliver(() => this.settle(done, undefined))
    }
    if (this.ended && !this.finSent) {
      this.finSent = true
      out.push({ _tag: "End" })
      // Both directions may be through now.
      this.wake()
    }
  }

  private wake(): void {
    if (this.waking) return
    this.waking = true
    this.process.deliver(this.turn)
  }

  private readonly turn = (): void => {
    this.waking = false
    if (!this.closed) this.handOver()
    if (!this.closed && this.endTold && this.finSent) this.close(undefined)
    if (this.closed) this.tellClose()
  }

  private handOver(): void {
    const { receiver } = this
    if (receiver === undefined) return
    for (let next = this.unread.peek(); next !== undefined && !this.paused && !this.closed; next = this.unread.peek()) {
      if (this.mustWait()) return
      this.unread.shift()
      const piece = this.cutOff(next)
      this.slowDown(piece.length)
      this.peer.out?.read(piece.length)
      try {
        receiver.onData(piece)
      } catch (cause) {
        this.destroy(cause)
      }
    }
    if (this.paused || this.closed || !this.finCame || this.endTold) return
    this.endTold = true
    try {
      receiver.onEnd()
    } catch (cause) {
      this.destroy(cause)
    }
  }

  /** A piece of what could be read; the rest stays in front. */
  private cutOff(bytes: Uint8Array): Uint8Array {
    const wanted = Math.max(1, Math.trunc(this.settings.cut?.(bytes.length) ?? bytes.length))
    const rate = this.host.readRate()
    // A slow reader reads little at a time.
    const size = Math.min(wanted, rate === Infinity ? wanted : Math.max(1, Math.ceil(rate / 10)))
    if (size >= bytes.length) return bytes
    this.unread.unshift(bytes.subarray(size))
    return bytes.subarray(0, size)
  }

  private mustWait(): boolean {
    return this.world.now < this.readsAgainAt
  }

  private slowDown(bytes: number): void {
    const rate = this.host.readRate()
    if (rate === Infinity) return
    const millis = (bytes / rate) * 1000
    this.readsAgainAt = this.world.now + millis
    this.world.after(millis, () => this.wake())
  }

  private tellClose(): void {
    for (const write of this.writes.drain()) this.settle(write.done, this.closedCause())
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

/** Copies what is left of a write, up to so many bytes. */
const takeFrom = (write: PartialWrite.PartialWrite, limit: number): Uint8Array => {
  const target = new Uint8Array(Math.min(PartialWrite.left(write, limit), limit))
  PartialWrite.copy(target, 0, write)
  return target
}
