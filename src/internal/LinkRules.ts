/**
 * What a valid envelope may be on the link it came over: docs/PROTOCOL.md, section 8, up to the question where it goes.
 *
 * @internal
 */
import type { Envelope } from "../Message.js"
import type { NodeId } from "../NodeId.js"

/** What the message is on this link. `Own`: this node made it, and it has come round. */
export type LinkMessage =
  | { readonly _tag: "Protocol" }
  | { readonly _tag: "RoutedError" }
  | { readonly _tag: "Direct" }
  | { readonly _tag: "Broadcast" }
  | { readonly _tag: "Targeted" }
  | { readonly _tag: "Own" }
  | { readonly _tag: "Ignored" }
  | { readonly _tag: "Invalid"; readonly detail: string }

const protocol: LinkMessage = { _tag: "Protocol" }
const routedError: LinkMessage = { _tag: "RoutedError" }
const direct: LinkMessage = { _tag: "Direct" }
const broadcast: LinkMessage = { _tag: "Broadcast" }
const targeted: LinkMessage = { _tag: "Targeted" }
const own: LinkMessage = { _tag: "Own" }
const ignored: LinkMessage = { _tag: "Ignored" }

const invalid = (detail: string): LinkMessage => ({ _tag: "Invalid", detail })

/** `peer` is the node at the other end; `relay`: both ends pass on messages of others. */
export const classify = (envelope: Envelope, self: NodeId, peer: NodeId, relay: boolean): LinkMessage => {
  const { recipient, sender, ttl, type } = envelope
  switch (type) {
    case "HELLO":
    case "HEARTBEAT":
    case "PEER_LIST":
      return oneLink(envelope, peer) ?? protocol
    case "ERROR": {
      if (recipient === undefined && ttl === undefined) return oneLink(envelope, peer) ?? protocol
      if (recipient === undefined) return invalid("recipient: missing beside ttl")
      if (ttl === undefined) return invalid("ttl: missing beside recipient")
      if (envelope.replyTo === undefined) return invalid("replyTo: missing on an ERROR that was routed")
      if (envelope.payload["fatal"] !== false) return invalid("fatal: not false on an ERROR that was routed")
      return sender === self ? own : foreign(envelope, peer, relay, routedError)
    }
    default: {
      if (type.startsWith("SYNAPSE_")) return ignored
      if (ttl === undefined) {
        if (sender !== peer) return invalid("sender: not the node at the other end, and no ttl")
        if (recipient !== undefined && recipient !== self) return invalid("recipient: another node, and no ttl")
        return direct
      }
      if (recipient === undefined && envelope.expectsReply === true) {
        return invalid("expectsReply: a broadcast cannot be a request")
      }
      if (sender === self) return own
      return foreign(envelope, peer, relay, recipient === undefined ? broadcast : targeted)
    }
  }
}

const oneLink = (envelope: Envelope, peer: NodeId): LinkMessage | undefined => {
  if (envelope.recipient !== undefined) return invalid(`recipient: ${envelope.type} belongs to one link`)
  if (envelope.ttl !== undefined) return invalid(`ttl: ${envelope.type} belongs to one link`)
  if (envelope.sender !== peer) return invalid("sender: not the node at the other end")
  return undefined
}

const foreign = (envelope: Envelope, peer: NodeId, relay: boolean, otherwise: LinkMessage): LinkMessage =>
  envelope.sender !== peer && !relay ? invalid("sender: another node's message on a link without relay") : otherwise
