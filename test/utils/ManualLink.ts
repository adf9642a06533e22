import * as PeerAddress from "../../src/PeerAddress.js"
import type { Link, LinkReceiver } from "../../src/Transport.js"

/** A link whose other end is the test: nothing happens on it by itself. */
export class ManualLink implements Link {
  readonly remote: PeerAddress.PeerAddress
  readonly local = PeerAddress.make("10.0.0.1", 9470)
  /** What was written, one array a call. */
  readonly writes: Array<Uint8Array> = []
  /** Whether the operating system has what was written, though it is not told yet. */
  isTaken: boolean | undefined
  whenIdle: ((run: () => void) => void) | undefined
  paused = false
  ended = false
  destroyed = false
  closed = false
  private pending: ((cause?: unknown) => void) | undefined
  private receiver: LinkReceiver | undefined

  constructor(remote = PeerAddress.make("10.0.0.2", 50_000)) {
    this.remote = remote
  }

  get isWriting(): boolean {
    return this.pending !== undefined
  }

  get written(): Uint8Array {
    return Buffer.concat(this.writes)
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
  }

  write(chunks: ReadonlyArray<Uint8Array>, done: (cause?: unknown) => void): void {
    if (this.pending !== undefined) throw new Error("a write before the last one is done")
    if (this.ended) throw new Error("a write after the end")
    this.writes.push(Buffer.concat(chunks))
    this.pending = done
  }

  /** The operating system has taken what was written, or says why not. */
  take(cause?: unknown): void {
    const done = this.pending
    this.pending = undefined
    if (cause === undefined) done?.()
    else done?.(cause)
  }

  pause(): void {
    this.paused = true
  }

  resume(): void {
    this.paused = false
  }

  end(): void {
    this.ended = true
  }

  destroy(): void {
    this.destroyed = true
  }

  data(...chunks: ReadonlyArray<Uint8Array>): void {
    this.receiver?.onData(Buffer.concat(chunks))
  }

  fin(): void {
    this.receiver?.onEnd()
  }

  close(cause?: unknown): void {
    this.closed = true
    if (cause === undefined) this.receiver?.onClose()
    else this.receiver?.onClose(cause)
  }
}

/** Lets all microtasks run. */
export const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Takes writes until none comes any more. */
export const takeAll = async (link: ManualLink): Promise<void> => {
  await turn()
  while (link.isWriting) {
    link.take()
    await turn()
  }
}
