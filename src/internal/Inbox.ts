/**
 * The messages of one link that wait for a handler: bounded in messages and bytes. Full, it holds up the reading of
 * that link; half empty, it lets it go on.
 *
 * @internal
 */
import type { Envelope } from "../Message.js"
import { OrderedQueue } from "./OrderedQueue.js"

export interface Incoming {
  readonly envelope: Envelope
  readonly bytes: number
}

export interface InboxLimits {
  readonly messages: number
  readonly bytes: number
}

export class Inbox {
  private readonly queue = new OrderedQueue<Incoming>()
  private bytes = 0
  private full = false
  private readonly limits: InboxLimits
  private readonly onFull: () => void
  private readonly onRoom: () => void

  constructor(limits: InboxLimits, onFull: () => void, onRoom: () => void) {
    this.limits = limits
    this.onFull = onFull
    this.onRoom = onRoom
  }

  get length(): number {
    return this.queue.length
  }

  get queuedBytes(): number {
    return this.bytes
  }

  /** Always taken: the bound is passed by one message at most, since a full inbox stops the reading. */
  push(envelope: Envelope, bytes: number): void {
    this.queue.push({ envelope, bytes })
    this.bytes += bytes
    if (!this.full && (this.queue.length >= this.limits.messages || this.bytes >= this.limits.bytes)) {
      this.full = true
      this.onFull()
    }
  }

  /** The oldest, which stays. */
  peek(): Incoming | undefined {
    return this.queue.peek()
  }

  shift(): Incoming | undefined {
    const next = this.queue.shift()
    if (next === undefined) return undefined
    this.bytes -= next.bytes
    if (this.full && this.queue.length <= this.limits.messages / 2 && this.bytes <= this.limits.bytes / 2) {
      this.full = false
      this.onRoom()
    }
    return next
  }

  /** Forgets what waits: how many messages that was. */
  clear(): number {
    const dropped = this.queue.length
    this.queue.clear()
    this.bytes = 0
    if (this.full) {
      this.full = false
      this.onRoom()
    }
    return dropped
  }
}
