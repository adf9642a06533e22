/**
 * The frames of this node's own messages. Those of one type that are made within a millisecond have all in common but
 * their ids and payloads: what stands around these is put together once, which is worth a sixth of the writing.
 *
 * @internal
 */
import * as Frame from "../Frame.js"
import type { Envelope, JsonObject } from "../Message.js"
import * as Message from "../Message.js"
import type { NodeId } from "../NodeId.js"

/** A payload is joined with what stands around it up to so many characters. */
const joinedUnits = 4096

/** A string so long is written as it is, if what it begins with can be. */
const longUnits = 4096
const triedUnits = 256

/** Whether what it begins with is the same within a JSON string: what needs escapes most often does so soon. */
const isLongAndPlain = (value: unknown): value is string => {
  if (typeof value !== "string" || value.length < longUnits) return false
  for (let at = 0; at < triedUnits; at++) {
    const unit = value.charCodeAt(at)
    if (unit < 0x20 || unit > 0x7e || unit === 0x22 || unit === 0x5c) return false
  }
  return true
}

const hasLongAndPlain = (payload: JsonObject): boolean => {
  for (const name in payload) if (isLongAndPlain(payload[name])) return true
  return false
}

/** The text of a message in parts, of which every second one is a long string; `before` is what stands before the payload. */
const partsOf = (payload: JsonObject, before: string): Array<string> => {
  const parts: Array<string> = []
  let text = `${before}{`
  let comma = ""
  for (const name of Object.keys(payload)) {
    const value = payload[name]
    if (value === undefined) continue
    text += `${comma}${JSON.stringify(name)}:`
    comma = ","
    if (!isLongAndPlain(value)) {
      text += JSON.stringify(value)
      continue
    }
    parts.push(`${text}"`, value)
    text = `"`
  }
  parts.push(`${text}}}`)
  return parts
}

/** Up to an empty payload and the brace behind it. */
const beforePayload = (envelope: Envelope): string => Message.encodeOwn({ ...envelope, payload: {} }).slice(0, -3)

export class OwnTexts {
  private type = ""
  private sender: NodeId | undefined
  private timestamp = ""
  private ttl: number | undefined
  private expectsReply: true | undefined
  private beforeId = ""
  private afterId = ""

  /** The frame of what {@link Message.encodeOwn} gives: in bytes where it holds a long string that needs no escapes. */
  of(envelope: Envelope): Frame.Frame {
    const { payload, recipient, replyTo, signature } = envelope
    const isUsual = recipient === undefined && replyTo === undefined && signature === undefined
    if (hasLongAndPlain(payload)) {
      const before = isUsual ? this.before(envelope) : beforePayload(envelope)
      const frame = Frame.encodePlain(partsOf(payload, before))
      if (frame !== undefined) return frame
    }
    if (!isUsual) return new Frame.Text(Message.encodeOwn(envelope))
    const json = JSON.stringify(payload)
    const before = this.before(envelope)
    return json.length > joinedUnits ? new Frame.Text(before, json) : new Frame.Text(`${before}${json}}`)
  }

  /** What stands before the payload of a usual one. */
  private before(envelope: Envelope): string {
    const { expectsReply, id, sender, timestamp, ttl, type } = envelope
    const isKnown =
      type === this.type &&
      timestamp === this.timestamp &&
      ttl === this.ttl &&
      expectsReply === this.expectsReply &&
      sender === this.sender
    if (!isKnown) this.learn(envelope)
    return this.beforeId + id + this.afterId
  }

  private learn({ expectsReply, sender, timestamp, ttl, type }: Envelope): void {
    this.type = type
    this.sender = sender
    this.timestamp = timestamp
    this.ttl = ttl
    this.expectsReply = expectsReply
    const text = beforePayload({ type, id: "", sender, timestamp, ttl, expectsReply, payload: {} })
    const idAt = text.indexOf(`"id":"`) + 6
    this.beforeId = text.slice(0, idAt)
    this.afterId = text.slice(idAt)
  }
}
