/**
 * A transport in which what passes to and from each host can be held up, cut, or swallowed. It stands between the node
 * under test and its links, so that the node notices exactly what it would notice of a failing network.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type { PeerAddress } from "../../PeerAddress.js"
import type { Link, LinkReceiver, Transport } from "../../Transport.js"
import { later } from "../MemoryLink.js"

/** `toHost`: what the node writes waits; `fromHost`: it hears nothing. */
export interface Held {
  readonly toHost: boolean
  readonly fromHost: boolean
}

const open: Held = { toHost: false, fromHost: false }

type Write = Parameters<Link["write"]>

class GatedLink implements Link {
  private readonly inner: Link
  private readonly forget: (link: GatedLink) => void
  private receiver: LinkReceiver | undefined
  private readonly writes: Array<Write> = []
  private held: Held
  private isPaused = false
  private isEnded = false
  private isClosed = false
  private isSevered = false

  constructor(inner: Link, held: Held, forget: (link: GatedLink) => void) {
    this.inner = inner
    this.held = held
    this.forget = forget
  }

  get remote(): PeerAddress {
    return this.inner.remote
  }

  get local(): PeerAddress {
    return this.inner.local
  }

  attach(receiver: LinkReceiver): void {
    this.receiver = receiver
    if (this.held.fromHost) this.inner.pause()
    this.inner.attach({
      onData: (chunk) => {
        if (!this.isSevered) receiver.onData(chunk)
      },
      onEnd: () => {
        if (!this.isSevered) receiver.onEnd()
      },
      onClose: (cause) => {
        if (!this.isSevered) this.close(cause)
      }
    })
  }

  write(...write: Write): void {
    const isHeld = this.held.toHost || this.isSevered
    if (this.isClosed || (isHeld && this.isEnded)) later(() => write[1](closedCause))
    else if (isHeld) this.writes.push(write)
    else this.inner.write(...write)
  }

  pause(): void {
    this.isPaused = true
    this.inner.pause()
  }

  resume(): void {
    this.isPaused = false
    if (!this.held.fromHost) this.inner.resume()
  }

  end(): void {
    this.isEnded = true
    if (!this.held.toHost && !this.isSevered) this.inner.end()
  }

  destroy(cause?: unknown): void {
    if (this.isSevered) later(() => this.close(cause))
    else this.inner.destroy(cause)
  }

  hold(held: Held): void {
    const before = this.held
    this.held = held
    if (this.isSevered || this.isClosed) return
    if (before.toHost && !held.toHost) {
      for (const write of this.writes.splice(0)) this.inner.write(...write)
      if (this.isEnded) this.inner.end()
    }
    if (held.fromHost) this.inner.pause()
    else if (before.fromHost && !this.isPaused) this.inner.resume()
  }

  /** The other end is gone without a word: nothing comes any more, and nothing arrives. */
  sever(): void {
    this.isSevered = true
    this.inner.destroy()
  }

  private close(cause: unknown): void {
    if (this.isClosed) return
    this.isClosed = true
    this.forget(this)
    for (const [, done] of this.writes.splice(0)) done(cause ?? closedCause)
    if (cause === undefined) this.receiver?.onClose()
    else this.receiver?.onClose(cause)
  }
}

const closedCause = new Error("the link is closed for writing")

/** The gates of a node's transport, by the host at the other end. */
export class Gates {
  private readonly held = new Map<string, Held>()
  private readonly links = new Set<GatedLink>()

  readonly through = (transport: Transport["Type"]): Transport["Type"] => ({
    ...transport,
    listen: (address, onLink) => transport.listen(address, (link) => onLink(this.gate(link))),
    dial: (address) => Effect.map(transport.dial(address), (link) => this.gate(link))
  })

  /** Holds up what passes, or lets it go on. New links are held too. */
  readonly hold = (host: string, held: Held = open): void => {
    this.held.set(host, held)
    for (const link of this.of(host)) link.hold(held)
  }

  /** Breaks the links, as when a process dies. */
  readonly cut = (host: string): void => {
    for (const link of this.of(host)) link.destroy(new Error("the other end reset the link"))
  }

  /** The other ends of the links vanish; the node is not told. */
  readonly sever = (host: string): void => {
    for (const link of this.of(host)) link.sever()
  }

  private gate(inner: Link): GatedLink {
    const link = new GatedLink(inner, this.held.get(inner.remote.host) ?? open, (closed) => this.links.delete(closed))
    this.links.add(link)
    return link
  }

  private of(host: string): ReadonlyArray<GatedLink> {
    return [...this.links].filter(({ remote }) => remote.host === host)
  }
}
