/**
 * What comes over a link beside messages. TLS has records of its own that each cost a node some 15 microseconds and the
 * other end nothing that it would notice (updates of keys), and that Node tells nothing of: 2 MB of them a second would
 * take all of a node's time. So now and then what was read is compared with what came out of it.
 *
 * @internal
 */
import type * as Net from "node:net"

/** Bytes that may come for each one of messages: a record has 22 of its own, so even messages of 11 are within this. */
const perByte = 3

/** Bytes that may come beside, a second, and at once: what waits to be read out, or a message in records of a byte each. */
const perSecond = 4_096
const atOnce = 262_144

/** Milliseconds between two looks. */
const interval = 2_000

interface Watched {
  readonly socket: Net.Socket
  readonly stream: Net.Socket
  readonly cut: () => void
  /** By how much the bytes read were over those that are due, of all of its time, when it was last looked. */
  last: number
  /** What of that is held against it. */
  excess: number
}

const balance = (socket: Net.Socket, stream: Net.Socket): number => socket.bytesRead - perByte * stream.bytesRead

export class RecordWatch {
  private readonly all = new Set<Watched>()
  private timer: ReturnType<typeof setInterval> | undefined = undefined

  /** A link that is open: `stream` reads messages out of what `socket` reads. `cut` ends it, where that is too much. */
  begin(socket: Net.Socket, stream: Net.Socket, cut: () => void): void {
    const watched: Watched = { socket, stream, cut, last: balance(socket, stream), excess: 0 }
    this.all.add(watched)
    stream.once("close", () => this.end(watched))
    this.timer ??= setInterval(() => this.look(), interval).unref()
  }

  private end(watched: Watched): void {
    this.all.delete(watched)
    if (this.all.size > 0) return
    clearInterval(this.timer)
    this.timer = undefined
  }

  private look(): void {
    for (const watched of this.all) {
      const now = balance(watched.socket, watched.stream)
      const due = (perSecond * interval) / 1_000
      watched.excess = Math.max(0, watched.excess + now - watched.last - due)
      watched.last = now
      if (watched.excess <= atOnce) continue
      this.end(watched)
      watched.cut()
    }
  }
}
