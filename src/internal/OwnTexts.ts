/**
 * The frames of this node's own messages. Those of one type that are made within a millisecond have all in common but
 * their ids and payloads: what stands around these is put together once, which is worth a sixth of the writing.
 *
 * @internal
 */
import * as Frame from "../Frame.js"
import type { Envelope } from "../Message.js"
import * as Message from "../Message.js"
import type { NodeId } from "../NodeId.js"

/** A payload is joined with what stands around it up to so many characters. */
const joinedUnits = 4096

export class OwnTexts {
  private type = ""
  private sender: NodeId | undefined
  private timestamp = ""
  private ttl: number | undefined
  private expectsReply: true | undefined
  private beforeId = ""
  private afterId = ""

  /** The frame of what {@link Message.encodeOwn} gives. */
  of(envelope: Envelope): Frame.Text {
    const { expectsReply, id, payload, recipient, replyTo, sender, signature, timestamp, ttl, type } = envelope
    if (recipient !== undefined || replyTo !== undefined || signature !== undefined) {
      return new Frame.Text(Message.encodeOwn(envelope))
    }
    const isKnown =
      type === this.type &&
      timestamp === this.timestamp &&
      ttl === this.ttl &&
      expectsReply === this.expectsReply &&
      sender === this.sender
    if (!isKnown) this.learn(envelope)
    const before = this.beforeId + id + this.afterId
    const json = JSON.stringify(payload)
    return json.length > joinedUnits ? new Frame.Text(before, json) : new Frame.Text(`${before}${json}}`)
  }

  private learn({ expectsReply, sender, timestamp, ttl, type }: Envelope): void {
    this.type = type
    this.sender = sender
    this.timestamp = timestamp
    this.ttl = ttl
    this.expectsReply = expectsReply
    const text = Message.encodeOwn({ type, id: "", sender, timestamp, ttl, expectsReply, payload: {} })
    const idAt = text.indexOf(`"id":"`) + 6
    this.beforeId = text.slice(0, idAt)
    // Up to the empty payload and the brace behind it.
    this.afterId = text.slice(idAt, -3)
  }
}
