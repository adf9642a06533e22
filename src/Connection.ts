/**
 * One connection: a link, the frames that go over it both ways, and how it ends. It decides nothing about peers: what
 * comes in is handed to its owner (the pool), one call at a time, in order. Nothing here is an Effect: per message there
 * is no fiber, no queue hop and no clock call. One connection owns its link, its two queues and at most two deadlines; all
 * end together.
 *
 * @since 0.1.0
 */
import * as Frame from "./Frame.js"
import type { Cancel, Deadlines } from "./internal/Deadlines.js"
import { Inbox } from "./internal/Inbox.js"
import type { InboxLimits } from "./internal/Inbox.js"
import { Outbox } from "./internal/Outbox.js"
import type { Outgoing, OutboxLimits } from "./internal/Outbox.js"
import { Samples } from "./internal/Samples.js"
import * as Message from "./Message.js"
import * as NetworkError from "./NetworkError.js"
import type { NodeId } from "./NodeId.js"
import type { Direction } from "./Peer.js"
import type { PeerAddress } from "./PeerAddress.js"
import type { Link, LinkProof } from "./Transport.js"

/**
 * Who the other end is, by its HELLO.
 *
 * @since 0.1.0
 * @category models
 */
export interface Identity {
  readonly id: NodeId
  readonly session: string | undefined
  /** Both ends pass on messages of others. */
  readonly relay: boolean
  /** The longest frame it takes, bytes. */
  readonly maxMessageBytes: number
  /** Where it listens, unspecified hosts already replaced. */
  readonly listen: ReadonlyArray<PeerAddress>
  readonly agent: string | undefined
  readonly tags: Readonly<Record<string, string>>
}

/**
 * `handshaking` until both HELLOs are exchanged; `open`; `draining` while queued messages still go out before a polite
 * close; `closing` from the goodbye, ours or theirs, to the end of the link; `closed`.
 *
 * @since 0.1.0
 * @category models
 */
export type Phase = "handshaking" | "open" | "draining" | "closing" | "closed"

/**
 * Bounds, in bytes, messages and milliseconds.
 *
 * @since 0.1.0
 * @category models
 */
export interface Settings {
  readonly maxMessageBytes: number
  readonly outbound: OutboxLimits
  readonly inbound: InboxLimits
  readonly closeTimeout: number
}

/**
 * Who a connection reports to. No call comes after `closed`.
 *
 * @since 0.1.0
 * @category models
 */
export interface Owner {
  /** A valid message; while `closing` only where those are still to be delivered. */
  readonly receive: (connection: Connection, envelope: Message.Envelope, bytes: number) => void
  /** All that one read brought is received. */
  readonly arrived?: (connection: Connection) => void
  /** A message that breaks a rule. */
  readonly invalid: (
    connection: Connection,
    detail: string,
    about: { readonly type?: string | undefined; readonly id?: string | undefined }
  ) => void
  /** Bytes that are no frame: the connection cannot go on. */
  readonly fault: (connection: Connection, fault: Frame.Fault) => void
  /**
   * It serves no more (phase `closing`); `unsent` was never handed to the operating system. What is parked in the outbox
   * stays there. Once.
   */
  readonly ended: (connection: Connection, error: NetworkError.ConnectionError, unsent: ReadonlyArray<Outgoing>) => void
  /** Heard again after `isSuspect` was set. */
  readonly recovered: (connection: Connection) => void
  /** The link is gone. Once, last. */
  readonly closed: (connection: Connection) => void
}

/** Pings under way whose answers still count. */
const maxPings = 8

const holdInbox = 1
const holdControl = 2
const holdNotAttached = 4

/**
 * A live connection: its link, what waits to be sent and to be handled, who is at the other end, and how it ended.
 *
 * @since 0.1.0
 * @category models
 */
export class Connection {
  phase: Phase = "handshaking"
  identity: Identity | undefined
  /** When both HELLOs had been exchanged, monotonic milliseconds. */
  openedAt = 0
  /** Why it ended, from phase `closing` on. */
  error: NetworkError.ConnectionError | undefined

  framesIn = 0
  bytesIn = 0

  /** Set by whoever reads it back to false: whether any byte came in the meantime. */
  wasHeard = true
  isSuspect = false
  /** When the first ping went out after the last answer to one, monotonic milliseconds. */
  unansweredSince: number | undefined
  /** Round-trip times of its pings, milliseconds. */
  readonly roundTrips = new Samples()

  readonly outbox: Outbox
  readonly inbox: Inbox
  readonly direction: Direction
  /** The other end as seen from here. */
  readonly remote: PeerAddress
  /** The address that was dialed, on an outbound connection. */
  readonly dialed: PeerAddress | undefined

  private readonly link: Link
  private readonly owner: Owner
  private readonly settings: Settings
  private readonly deadlines: Deadlines
  private readonly makePing: (seq: number) => Frame.Frame
  /** When each ping was sent that is not answered yet, by its number. */
  private readonly pings = new Map<number, number>()
  private nextPing = 0
  private readonly decoder = new Frame.Decoder(Frame.handshakeLimit)
  private held = holdNotAttached
  /** What one read brought is being taken apart and handled. */
  private isReading = false
  /** The link has been told to read no more. */
  private isPaused = false
  private pumping = false
  /** What one read brought is being received: `arrived` follows. */
  private arriving = false
  /** The link is gone: what was received of it is handed over at once. */
  private isLast = false
  private finSent = false
  private finReceived = false
  private discarding = false
  private deadline: Cancel | undefined

  constructor(options: {
    readonly link: Link
    readonly owner: Owner
    readonly settings: Settings
    readonly deadlines: Deadlines
    /** The frame of the ping with that number. */
    readonly ping: (seq: number) => Frame.Frame
    readonly dialed?: PeerAddress
  }) {
    this.link = options.link
    this.owner = options.owner
    this.settings = options.settings
    this.deadlines = options.deadlines
    this.makePing = options.ping
    this.dialed = options.dialed
    this.direction = options.dialed === undefined ? "inbound" : "outbound"
    this.remote = options.link.remote
    this.outbox = new Outbox(
      options.link,
      options.settings.outbound,
      () => this.release(holdControl),
      () => this.ping()
    )
    this.inbox = new Inbox(
      options.settings.inbound,
      () => this.hold(holdInbox),
      () => this.release(holdInbox)
    )
  }

  /** Starts reading. `millis` is the time for the handshake; `late` is called when it is over. */
  attach(millis: number, late: () => void): void {
    this.setDeadline(millis, late)
    this.held = 0
    this.link.attach({
      onData: (chunk) => this.onData(chunk),
      onEnd: () => this.onEnd(),
      onClose: (cause) => this.onClose(cause)
    })
  }

  /** The handshake is done. */
  open(identity: Identity, now: number): void {
    this.cancelDeadline()
    this.identity = identity
    this.openedAt = now
    this.phase = "open"
    this.decoder.maxBytes = this.settings.maxMessageBytes
  }

  /** Whether it is not being read, because those who handle its messages are behind. */
  get isHeld(): boolean {
    return this.held !== 0
  }

  /** Whether what one read brought is being received: the owner's `arrived` follows. */
  get isArriving(): boolean {
    return this.arriving
  }

  get isMidFrame(): boolean {
    return this.decoder.isMidFrame
  }

  /** The announced length of the frame begun. */
  get frameLength(): number {
    return this.decoder.frameLength
  }

  get local(): PeerAddress {
    return this.link.local
  }

  /** What the transport has proven of the other end. */
  get proven(): LinkProof | undefined {
    return this.link.proven
  }

  /** Pings the other end, ahead of all data. */
  ping(): void {
    if (this.phase === "closing" || this.phase === "closed") return
    const seq = this.nextPing++
    const now = this.deadlines.now()
    this.unansweredSince ??= now
    this.pings.set(seq, now)
    if (this.pings.size > maxPings) this.pings.delete(seq - maxPings)
    this.outbox.offerPing(this.makePing(seq))
    if (this.outbox.isControlFull) this.hold(holdControl)
  }

  /** Takes the answer to a ping: milliseconds from that one, if it is the first answer. */
  pong(seq: number): number | undefined {
    const sentAt = this.pings.get(seq)
    if (sentAt === undefined) return undefined
    this.pings.delete(seq)
    this.unansweredSince = undefined
    const millis = this.deadlines.now() - sentAt
    this.roundTrips.add(millis)
    if (seq === this.nextPing - 1) this.outbox.onAnswered(millis)
    return millis
  }

  /** Sends a frame of the protocol ahead of all data, up to the goodbye. While too many of these wait, nothing is read. */
  sendControl(frame: Frame.Frame): void {
    if (this.phase === "closing" || this.phase === "closed") return
    this.outbox.offerControl(frame)
    if (this.outbox.isControlFull) this.hold(holdControl)
  }

  /** The same for a frame that nobody waits for. */
  sendAside(frame: Frame.Frame): void {
    if (this.phase === "closing" || this.phase === "closed") return
    this.outbox.offerAside(frame)
    if (this.outbox.isControlFull) this.hold(holdControl)
  }

  /**
   * Says goodbye: `last` (an ERROR frame) and FIN, then reads until the other end's FIN or `closeTimeout`. What is queued
   * is dropped and reported, or with `drainMillis` still sent within that time. What comes in after the goodbye is
   * discarded, or with `deliverMillis` still delivered, for that long at most; time in which it is held does not count.
   */
  close(
    error: NetworkError.ConnectionError,
    last: Uint8Array | undefined,
    options: { readonly drainMillis?: number; readonly deliverMillis?: number } = {}
  ): void {
    if (this.phase === "closing" || this.phase === "closed") return
    const drainMillis = options.drainMillis ?? 0
    const deliverMillis = options.deliverMillis ?? 0
    if (this.phase === "open" && drainMillis > 0) {
      this.phase = "draining"
      const goodbye = (): void => this.sayGoodbye(error, undefined, deliverMillis)
      this.outbox.finish(last, goodbye)
      this.setDeadline(drainMillis, goodbye)
    } else {
      this.sayGoodbye(error, last, deliverMillis)
    }
  }

  /** Ends the link at once, without a word: what was queued is reported, and nothing more delivered. */
  destroy(error: NetworkError.ConnectionError): void {
    this.discarding = true
    this.end(error)
    this.link.destroy()
  }

  /** Takes the other end's goodbye (a fatal ERROR): nothing more is delivered or answered. */
  takeGoodbye(error: NetworkError.ConnectionError): void {
    this.sayGoodbye(error, undefined, 0)
  }

  private sayGoodbye(error: NetworkError.ConnectionError, last: Uint8Array | undefined, deliverMillis: number): void {
    this.discarding = deliverMillis === 0
    this.end(error)
    this.finishWriting(last, Math.max(deliverMillis, this.settings.closeTimeout))
    if (this.discarding) this.read()
  }

  private finishWriting(last: Uint8Array | undefined, millis: number): void {
    this.outbox.finish(last, () => {
      if (this.finSent) return
      this.finSent = true
      this.link.end()
    })
    const giveUp = (): void => {
      if (this.isHeld) this.setDeadline(millis, giveUp)
      else this.link.destroy()
    }
    this.setDeadline(millis, giveUp)
  }

  private end(error: NetworkError.ConnectionError): void {
    if (this.phase === "closing" || this.phase === "closed") return
    this.phase = "closing"
    this.error = error
    this.owner.ended(this, error, this.outbox.isParked ? [] : this.outbox.abandon())
  }

  private hold(reason: number): void {
    if (this.discarding) return
    this.held |= reason
    if (!this.isReading) this.pause()
  }

  private release(reason: number): void {
    if ((this.held & reason) === 0) return
    this.held &= ~reason
    if (this.held === 0) this.read()
  }

  private read(): void {
    this.held = 0
    this.pump()
    if (this.held > 0 || !this.isPaused || this.phase === "closed") return
    this.isPaused = false
    this.link.resume()
  }

  private pause(): void {
    if (this.isPaused) return
    this.isPaused = true
    this.link.pause()
  }

  private onData(chunk: Uint8Array): void {
    this.wasHeard = true
    this.bytesIn += chunk.length
    if (this.isSuspect) {
      this.isSuspect = false
      this.owner.recovered(this)
    }
    this.decoder.push(chunk)
    this.arriving = true
    this.isReading = true
    try {
      this.pump()
    } finally {
      this.arriving = false
      this.owner.arrived?.(this)
      this.isReading = false
      // What is full for no longer than one read is handled need not be told to the link.
      if (this.held > 0) this.pause()
    }
  }

  private pump(): void {
    if (this.pumping) return
    this.pumping = true
    while (this.held === 0 || this.isLast) {
      const next = this.decoder.next()
      if (next === undefined) break
      if (Frame.isFault(next)) {
        this.decoder.discard()
        if (this.discarding) break
        this.owner.fault(this, next)
        continue
      }
      this.framesIn++
      if (!this.discarding) this.handle(next)
    }
    this.pumping = false
    if (this.finReceived && this.held === 0) this.afterFin()
  }

  private handle(body: Uint8Array): void {
    const decoded = Message.decode(body)
    switch (decoded._tag) {
      case "Message":
        return this.owner.receive(this, decoded.envelope, body.length)
      case "Invalid":
        return this.owner.invalid(this, decoded.detail, { type: decoded.type, id: decoded.replyTo })
      case "Malformed":
        return this.owner.fault(this, { code: "MALFORMED_FRAME", detail: decoded.detail })
    }
  }

  private onEnd(): void {
    this.finReceived = true
    // What came before the FIN is handled first, even where it waits for room.
    if (this.held === 0) this.afterFin()
  }

  private afterFin(): void {
    if (this.phase === "closed" || this.phase === "closing") return
    this.end(this.lost(undefined))
    this.finishWriting(undefined, this.settings.closeTimeout)
  }

  private onClose(cause: unknown): void {
    // Bounded by what one read brings, since a link that is held brings no more.
    this.isLast = true
    if (this.phase !== "handshaking" && !this.discarding) this.pump()
    this.cancelDeadline()
    // Most often it has ended before; to make an error takes longer than all else here.
    if (this.phase !== "closing") this.end(this.lost(cause))
    this.phase = "closed"
    this.decoder.discard()
    this.owner.closed(this)
  }

  private lost(cause: unknown): NetworkError.ConnectionError {
    if (cause instanceof NetworkError.TlsFailed) return cause
    return new NetworkError.ConnectionLost({
      address: this.dialed ?? this.remote,
      peer: this.identity?.id,
      origin: "remote",
      detail: this.phase === "handshaking" ? "before the handshake was done" : "",
      cause
    })
  }

  private setDeadline(millis: number, fire: () => void): void {
    this.cancelDeadline()
    this.deadline = this.deadlines.after(millis, fire)
  }

  private cancelDeadline(): void {
    this.deadline?.()
    this.deadline = undefined
  }
}
