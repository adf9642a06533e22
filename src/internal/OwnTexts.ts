/**
 * The frames of this node's own messages. Those of one type, or the answers to one node, have all in common but their ids,
 * times and payloads: what stands around these is put together once, which is worth a sixth of the writing. That is done at
 * the second of them: what a connection is made and closed with is most often alone of its kind.
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

/** Whether an id, which is printable ASCII, is the same within a JSON string. */
const standsForItself = (id: string): boolean => !id.includes('"') && !id.includes("\\")

const beforePayload = (envelope: Envelope): string => Message.encodeOwn(envelope, "").slice(0, -1)

export class OwnTexts {
  private type = ""
  private sender: NodeId | undefined
  private recipient: NodeId | undefined
  private ttl: number | undefined
  private isReply = false
  private expectsReply: true | undefined
  /** What stands around the ids, times and payloads of these is put together. */
  private isLearned = false
  private beforeId = ""
  private beforeTime = ""
  private afterTime = ""
  private afterReplyTo = ""
  /** The time of the last, and what stands around it. */
  private timestamp = ""
  private afterId = ""

  /** The frame of what {@link Message.encodeOwn} gives: in bytes where it holds a long string that needs no escapes. */
  of(envelope: Envelope, memory?: Frame.Memory): Frame.Frame {
    const { payload } = envelope
    if (hasLongAndPlain(payload)) {
      const frame = Frame.encodePlain(partsOf(payload, beforePayload(envelope)), memory)
      if (frame !== undefined) return frame
    }
    const json = JSON.stringify(payload)
    const before = this.before(envelope)
    if (json.length > joinedUnits) return new Frame.Text(before ?? beforePayload(envelope), json)
    return new Frame.Text(before === undefined ? Message.encodeOwn(envelope, json) : `${before}${json}}`)
  }

  /** What stands before the payload, of one that is not the first of its kind. */
  private before(envelope: Envelope): string | undefined {
    const { expectsReply, id, recipient, replyTo, sender, signature, timestamp, ttl, type } = envelope
    if (signature !== undefined || (replyTo !== undefined && !standsForItself(replyTo))) return undefined
    const isKnown =
      type === this.type &&
      ttl === this.ttl &&
      expectsReply === this.expectsReply &&
      sender === this.sender &&
      recipient === this.recipient &&
      (replyTo !== undefined) === this.isReply
    if (!isKnown) {
      this.note(envelope)
      return undefined
    }
    if (!this.isLearned) this.learn(envelope)
    if (timestamp !== this.timestamp) {
      this.timestamp = timestamp
      this.afterId = this.beforeTime + timestamp + this.afterTime
    }
    const before = this.beforeId + id + this.afterId
    return replyTo === undefined ? before : before + replyTo + this.afterReplyTo
  }

  private note({ expectsReply, recipient, replyTo, sender, ttl, type }: Envelope): void {
    this.type = type
    this.sender = sender
    this.recipient = recipient
    this.ttl = ttl
    this.isReply = replyTo !== undefined
    this.expectsReply = expectsReply
    this.isLearned = false
  }

  private learn(envelope: Envelope): void {
    const text = beforePayload({ ...envelope, id: "", timestamp: "", ...(this.isReply ? { replyTo: "" } : {}) })
    const idAt = endOf(text, `"id":"`)
    const timeAt = endOf(text, `"timestamp":"`)
    const replyToAt = this.isReply ? endOf(text, `"replyTo":"`) : text.length
    this.beforeId = text.slice(0, idAt)
    this.beforeTime = text.slice(idAt, timeAt)
    this.afterTime = text.slice(timeAt, replyToAt)
    this.afterReplyTo = text.slice(replyToAt)
    this.timestamp = ""
    this.isLearned = true
  }
}

const endOf = (text: string, part: string): number => text.indexOf(part) + part.length
