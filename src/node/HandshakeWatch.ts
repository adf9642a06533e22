/**
 * What the other end may say until its TLS handshake is done. OpenSSL checks all certificates that it is shown, up to a
 * hundred in 100 KB, which takes up to a third of a second, and Node sees none of the bytes before. So whoever sends more
 * than a handshake needs is left as soon as that is seen, its address is shut out for a while, and no address has more
 * than a few handshakes under way at once. Nothing is held against loopback addresses.
 *
 * @internal
 */
import type * as Net from "node:net"
import { sourceOf } from "../internal/HandshakeRate.js"
import { isLoopback, normalizeHost } from "../PeerAddress.js"

/**
 * Bytes of the answer to a hello, or of all the certificates in it: a node's own takes 500, as a listener's 1,000, or 2,200
 * with a hybrid key exchange. What can be shown in so many costs 15 milliseconds at worst.
 */
export const maxBytes = 4_096

/** Milliseconds for which an address is shut out: what it costs is less than a hundredth of them. */
const shutOutFor = 300_000

/** Handshakes under way from one address. Others wait for their turn, which comes within a round trip. */
const maxUnderWay = 4

/** Milliseconds between two looks at those under way. */
const interval = 20

/** Addresses remembered at most; the one shut out for longest is forgotten first. */
const maxShutOut = 4096

interface UnderWay {
  /** Undefined: loopback. */
  readonly source: string | undefined
  readonly readBefore: number
  readonly cut: () => void
}

/** Whom it is held against. */
const sourceOfOther = (host: string): string | undefined => {
  const plain = normalizeHost(host)
  return isLoopback(plain) ? undefined : sourceOf(plain)
}

export class HandshakeWatch {
  private readonly now: () => number
  private readonly underWay = new Map<Net.Socket, UnderWay>()
  private readonly bySource = new Map<string, number>()
  private readonly shutOutUntil = new Map<string, number>()
  private timer: ReturnType<typeof setInterval> | undefined = undefined

  /** `now`: monotonic milliseconds. */
  constructor(now: () => number) {
    this.now = now
  }

  /** Whether the address has wasted this node's time, and not long ago. */
  isShutOut(host: string): boolean {
    const source = sourceOfOther(host)
    const until = source === undefined ? undefined : this.shutOutUntil.get(source)
    return until !== undefined && until > this.now()
  }

  /** Whether so few handshakes with the address are under way that one more may begin. */
  hasRoom(host: string): boolean {
    const source = sourceOfOther(host)
    return source === undefined || (this.bySource.get(source) ?? 0) < maxUnderWay
  }

  /** A handshake begins: what is read from now on counts. `cut` ends it, where it takes too much. */
  begin(socket: Net.Socket, host: string, cut: () => void): void {
    const source = sourceOfOther(host)
    this.underWay.set(socket, { source, readBefore: socket.bytesRead, cut })
    if (source !== undefined) this.bySource.set(source, (this.bySource.get(source) ?? 0) + 1)
    socket.once("close", () => this.end(socket))
    this.timer ??= setInterval(() => this.look(), interval).unref()
  }

  /**
   * A handshake is over, by now perhaps for longer; whether it took too much. `certificates`: the bytes of those that were
   * shown, which are known of one that was done, and count alone: more than the handshake may have been read by then.
   */
  end(socket: Net.Socket, certificates?: number): boolean {
    const ended = this.leave(socket)
    if (ended === undefined || (certificates ?? socket.bytesRead - ended.readBefore) <= maxBytes) return false
    if (ended.source !== undefined) this.shutOutSource(ended.source)
    return true
  }

  /** An address has wasted this node's time in another way. */
  shutOut(host: string): void {
    const source = sourceOfOther(host)
    if (source !== undefined) this.shutOutSource(source)
  }

  private leave(socket: Net.Socket): UnderWay | undefined {
    const left = this.underWay.get(socket)
    if (left === undefined) return undefined
    this.underWay.delete(socket)
    if (this.underWay.size === 0) {
      clearInterval(this.timer)
      this.timer = undefined
    }
    if (left.source !== undefined) {
      const others = (this.bySource.get(left.source) ?? 1) - 1
      if (others === 0) this.bySource.delete(left.source)
      else this.bySource.set(left.source, others)
    }
    return left
  }

  private look(): void {
    for (const [socket, { cut, readBefore }] of this.underWay) {
      if (socket.bytesRead - readBefore > maxBytes && this.end(socket)) cut()
    }
  }

  private shutOutSource(source: string): void {
    this.shutOutUntil.delete(source)
    this.shutOutUntil.set(source, this.now() + shutOutFor)
    const oldest = this.shutOutUntil.keys().next()
    if (this.shutOutUntil.size > maxShutOut && oldest.done !== true) this.shutOutUntil.delete(oldest.value)
    // What else it has under way would cost as much.
    for (const [socket, other] of this.underWay) {
      if (other.source !== source) continue
      this.leave(socket)
      other.cut()
    }
  }
}
