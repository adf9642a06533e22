/**
 * Where a message of another node goes next: docs/PROTOCOL.md, section 8. A decision over what is known; sending is the
 * router's.
 *
 * @internal
 */
import type { Envelope } from "../Message.js"
import type { NodeId } from "../NodeId.js"

/** Over which node the latest message of each sender came; the longest unused goes first. */
export class Routes {
  private readonly ways = new Map<NodeId, NodeId>()
  private readonly limit: number
  /** The sender learned last: to learn the same again, as most often, changes nothing. */
  private newest: NodeId | undefined

  constructor(limit = 4096) {
    this.limit = limit
  }

  learn(sender: NodeId, via: NodeId): void {
    if (sender === this.newest && this.ways.get(sender) === via) return
    this.newest = sender
    this.ways.delete(sender)
    this.ways.set(sender, via)
    if (this.ways.size > this.limit) {
      const oldest = this.ways.keys().next()
      if (oldest.done !== true) this.ways.delete(oldest.value)
    }
  }

  to(recipient: NodeId): NodeId | undefined {
    return this.ways.get(recipient)
  }
}

/**
 * The links that a message of another node, or one's own targeted message (`via` undefined), is passed on over: none
 * where its `ttl` is used up. Never back where it came from, nor to its sender.
 */
export const nextHops = <W>(
  envelope: Envelope,
  via: NodeId | undefined,
  live: ReadonlyMap<NodeId, W>,
  relays: (way: W) => boolean,
  routes: Routes
): ReadonlyArray<W> => {
  const ttl = envelope.ttl ?? 0
  if (via !== undefined && ttl < 1) return []
  const { recipient, sender } = envelope
  const usable = (id: NodeId | undefined): ReadonlyArray<W> => {
    const way = id === undefined || id === via || id === sender ? undefined : live.get(id)
    return way !== undefined && (via === undefined || relays(way)) ? [way] : []
  }
  if (recipient !== undefined) {
    const direct = usable(recipient)
    if (direct.length > 0) return direct
    const learned = usable(routes.to(recipient))
    if (learned.length > 0) return learned
  }
  const all: Array<W> = []
  for (const [id, way] of live) {
    if (id !== via && id !== sender && relays(way)) all.push(way)
  }
  return all
}
