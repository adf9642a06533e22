/**
 * Reads the bodies of messages that begin as the one before did. A node that sends much sends messages of one kind one
 * after the other, of which only ids, time and payload differ: what comes before the payload, more than half of a short
 * message, is then compared and not parsed. That takes less than half the time.
 *
 * It answers only where reading the whole would give the same: it knows every byte of the head but those of ids, of the
 * time and of the signature, which it checks, what stands between that and the last brace is one JSON object, and so
 * nothing else can stand in the envelope.
 *
 * @internal
 */
import type { Envelope, JsonObject, Signature } from "../Message.js"
import type { NodeId } from "../NodeId.js"
import { FlatObjects } from "./FlatObject.js"
import * as json from "./Json.js"
import { isTimestamp } from "./Timestamp.js"
import { asciiText, utf8Text } from "./Utf8.js"

/**
 * A body up to so long is copied to one place and read there. Of a message that comes alone, in memory of its own, a view is
 * made for nothing else: that takes several calls out of compiled code.
 */
const nearBytes = 512

/** An id may differ from the one before in so many of its last characters. */
const maxTail = 12

const quote = 0x22
const backslash = 0x5c
const closingBrace = 0x7d

/**
 * Characters to compare others with, eight at a time: less than a third of the time that it takes one by one. They are read as numbers,
 * of which two are the same where their bytes are: none that begins with printable ASCII is zero or no number.
 */
class Part {
  readonly length: number
  /** The last reaches back to where eight bytes are left. */
  private readonly words: Float64Array

  /** At least eight bytes of the view, all printable ASCII. */
  constructor(view: DataView, offset: number, length: number) {
    this.length = length
    this.words = new Float64Array(Math.ceil(length / 8))
    this.take(view, offset)
  }

  /** From now on these are the bytes. */
  take(view: DataView, offset: number): void {
    const { length, words } = this
    for (let i = 0; i < words.length; i++) words[i] = view.getFloat64(offset + Math.min(i * 8, length - 8))
  }

  /** Whether they stand there, before `end`. */
  isAt(view: DataView, offset: number, end: number): boolean {
    const { length, words } = this
    if (offset + length > end) return false
    const last = words.length - 1
    for (let i = 0; i < last; i++) {
      if (view.getFloat64(offset + i * 8) !== words[i]) return false
    }
    return view.getFloat64(offset + length - 8) === words[last]
  }
}

/** What the messages of a kind have in common. */
interface Kind {
  readonly type: string
  readonly sender: NodeId
  readonly recipient: NodeId | undefined
  readonly ttl: number | undefined
  readonly expectsReply: true | undefined
  /** Whether each answers another. */
  readonly isReply: boolean
  /** The key that each is signed with, and how long the signature is. */
  readonly key: string | undefined
  readonly signatureUnits: number
}

/** A head: the parts around what differs. */
interface Head {
  readonly kind: Kind
  readonly beforeId: Part
  /** Characters that ids have in common. */
  readonly idBegin: number
  readonly beforeTime: Part
  readonly time: Part
  timestamp: string
  readonly afterTime: Part
  readonly replyToBegin: number
  readonly afterReplyTo: Part | undefined
  readonly afterSignature: Part | undefined
}

/** Printable ASCII that stands for itself within a JSON string. */
const standsForItself = (unit: number): boolean => unit > 0x20 && unit <= 0x7e && unit !== quote && unit !== backslash

/** The id whose first characters, which are known, end at `from`; `undefined`: it is longer, or not valid as it stands. */
const idTo = (bytes: Uint8Array, from: number, known: number): string | undefined => {
  let at = from
  for (const last = from + maxTail; at < last && standsForItself(bytes[at] ?? 0); at++);
  const units = known + at - from
  return bytes[at] === quote && units > 0 && units <= 128 ? asciiText(bytes, from - known, at) : undefined
}

/** How many characters of an id are likely to be those of the one before. */
const beginOf = (id: string): number => id.lastIndexOf("-") + 1

const isSame = (a: Kind, b: Kind): boolean =>
  a.type === b.type &&
  a.sender === b.sender &&
  a.recipient === b.recipient &&
  a.ttl === b.ttl &&
  a.expectsReply === b.expectsReply &&
  a.isReply === b.isReply &&
  a.key === b.key

export class RepeatedHead {
  private head: Head | undefined
  private last: Kind | undefined
  private readonly flat = new FlatObjects()
  /** Where short bodies are read. What stands there behind one is of those before. */
  private readonly near = new Uint8Array(nearBytes)
  private readonly nearView = new DataView(this.near.buffer)
  /** Of the memory that long bodies lie in: those of one read share it. */
  private view: DataView = new DataView(new ArrayBuffer(0))

  /** The envelope, if the body begins as the one remembered and is valid. */
  read(body: Uint8Array): Envelope | undefined {
    const { head } = this
    if (head === undefined) return undefined
    const { length } = body
    if (length > nearBytes) return this.readAt(head, body, this.viewOf(body), length)
    this.near.set(body)
    return this.readAt(head, this.near, this.nearView, length)
  }

  /** The same of a body that is the first `length` of the bytes. */
  private readAt(head: Head, bytes: Uint8Array, view: DataView, length: number): Envelope | undefined {
    const { byteOffset } = bytes
    const { afterReplyTo, afterSignature, afterTime, beforeId, beforeTime, kind } = head
    const end = byteOffset + length
    if (!beforeId.isAt(view, byteOffset, end)) return undefined
    let at = beforeId.length
    const id = idTo(bytes, at, head.idBegin)
    if (id === undefined) return undefined
    at += id.length - head.idBegin
    if (!beforeTime.isAt(view, byteOffset + at, end)) return undefined
    at += beforeTime.length
    if (!head.time.isAt(view, byteOffset + at, end) && !takeTime(head, bytes, view, at, length)) return undefined
    at += head.time.length
    if (!afterTime.isAt(view, byteOffset + at, end)) return undefined
    at += afterTime.length
    let replyTo: string | undefined
    if (afterReplyTo !== undefined) {
      replyTo = idTo(bytes, at, head.replyToBegin)
      if (replyTo === undefined) return undefined
      at += replyTo.length - head.replyToBegin
      if (!afterReplyTo.isAt(view, byteOffset + at, end)) return undefined
      at += afterReplyTo.length
    }
    let signature: Signature | undefined
    if (afterSignature !== undefined) {
      const value = at + kind.signatureUnits > length ? undefined : plainText(bytes, at, at + kind.signatureUnits)
      if (value === undefined) return undefined
      signature = { key: kind.key ?? "", value }
      at += kind.signatureUnits
      if (!afterSignature.isAt(view, byteOffset + at, end)) return undefined
      at += afterSignature.length
    }
    if (at >= length || bytes[length - 1] !== closingBrace) return undefined
    // A flat payload breaks no rule.
    const payload =
      this.flat.read(bytes, view, at, length - 1) ?? payloadOf(bytes, at, length - 1, kind.ttl !== undefined)
    if (payload === undefined) {
      // Those that follow are likely to be of the same kind.
      this.head = undefined
      return undefined
    }
    return envelopeOf(kind, id, head.timestamp, replyTo, signature, payload)
  }

  /**
   * Remembers how a body begins that was found to be valid, if it is the second of its kind in a row: a head that is not met
   * again is not worth it.
   */
  remember(body: Uint8Array, text: string, envelope: Envelope): void {
    const { last } = this
    const kind = kindOf(envelope)
    this.last = kind
    if (kind === undefined || last === undefined || !isSame(kind, last)) return
    const head = headOf(kind, envelope, text, body)
    if (head !== undefined) this.head = head
  }

  private viewOf(body: Uint8Array): DataView {
    if (this.view.buffer !== body.buffer) this.view = new DataView(body.buffer)
    return this.view
  }
}

/** What kind of message it is; `undefined`: none that comes often. */
const kindOf = (envelope: Envelope): Kind | undefined => {
  const { expectsReply, recipient, replyTo, sender, signature, ttl, type } = envelope
  // A direct message, a request, an answer to one, or a broadcast, signed or not.
  const isOften =
    replyTo === undefined
      ? recipient === undefined && (ttl === undefined ? signature === undefined : expectsReply === undefined)
      : recipient !== undefined && ttl === undefined && expectsReply === undefined && signature === undefined
  if (!isOften) return undefined
  return {
    type,
    sender,
    recipient,
    ttl,
    expectsReply,
    isReply: replyTo !== undefined,
    key: signature?.key,
    signatureUnits: signature?.value.length ?? 0
  }
}

/** The head of a body, if it is written as this implementation writes it. */
const headOf = (kind: Kind, envelope: Envelope, text: string, body: Uint8Array): Head | undefined => {
  const { expectsReply, recipient, sender, ttl, type } = kind
  const { id, replyTo, signature, timestamp } = envelope
  const idAt = `{"type":"${type}","id":"`
  const beforeTime = `","sender":"${sender}","timestamp":"`
  const afterTime =
    `"` +
    (recipient === undefined ? "" : `,"recipient":"${recipient}"`) +
    (ttl === undefined ? "" : `,"ttl":${ttl}`) +
    (replyTo === undefined ? "" : `,"replyTo":"`)
  const afterReplyTo =
    (replyTo === undefined ? "" : `"`) +
    (expectsReply === undefined ? "" : `,"expectsReply":true`) +
    (signature === undefined ? "" : `,"signature":{"key":"${signature.key}","value":"`)
  const afterSignature = `${signature === undefined ? "" : `"}`},"payload":`
  const whole = [idAt, id, beforeTime, timestamp, afterTime, replyTo ?? "", afterReplyTo, signature?.value ?? ""]
  if (!text.startsWith(whole.join("") + afterSignature)) return undefined
  // All else is ASCII by its own rules.
  if (signature !== undefined && !/^[!-~]*$/.test(signature.key + signature.value)) return undefined
  const idBegin = beginOf(id)
  const replyToBegin = replyTo === undefined ? 0 : beginOf(replyTo)
  const view = new DataView(body.buffer)
  let at = body.byteOffset
  /** The bytes of some text, which all stand for themselves, and those that differ behind it left out. */
  const part = (units: number, differing: number): Part => {
    const made = new Part(view, at, units)
    at += units + differing
    return made
  }
  const beforeId = part(idAt.length + idBegin, id.length - idBegin)
  const before = part(beforeTime.length, 0)
  const time = part(timestamp.length, 0)
  // Where nothing differs in between, what follows is of the same part.
  const rest = afterReplyTo.length + (signature === undefined ? afterSignature.length : 0)
  const value = signature?.value.length ?? 0
  const after =
    replyTo === undefined
      ? part(afterTime.length + rest, value)
      : part(afterTime.length + replyToBegin, replyTo.length - replyToBegin)
  return {
    kind,
    beforeId,
    idBegin,
    beforeTime: before,
    time,
    timestamp,
    afterTime: after,
    replyToBegin,
    afterReplyTo: replyTo === undefined ? undefined : part(rest, value),
    afterSignature: signature === undefined ? undefined : part(afterSignature.length, 0)
  }
}

/** Whether another time stands there, which is remembered. */
const takeTime = (head: Head, bytes: Uint8Array, view: DataView, at: number, length: number): boolean => {
  const end = at + head.time.length
  if (end > length) return false
  const text = utf8Text(bytes, at, end)
  if (text === undefined || !isTimestamp(text)) return false
  head.time.take(view, bytes.byteOffset + at)
  head.timestamp = text
  return true
}

/** The text there, if all of its characters stand for themselves. */
const plainText = (bytes: Uint8Array, from: number, to: number): string | undefined => {
  for (let at = from; at < to; at++) if (!standsForItself(bytes[at] ?? 0)) return undefined
  return utf8Text(bytes, from, to)
}

const envelopeOf = (
  { expectsReply, recipient, sender, ttl, type }: Kind,
  id: string,
  timestamp: string,
  replyTo: string | undefined,
  signature: Signature | undefined,
  payload: JsonObject
): Envelope => {
  if (replyTo !== undefined) return { type, id, sender, timestamp, recipient, replyTo, payload }
  if (ttl !== undefined) {
    return signature === undefined
      ? { type, id, sender, timestamp, ttl, payload }
      : { type, id, sender, timestamp, ttl, signature, payload }
  }
  return expectsReply === undefined
    ? { type, id, sender, timestamp, payload }
    : { type, id, sender, timestamp, expectsReply, payload }
}

/** `isRouted`: it is passed on, and so must be the same value at every node. */
const payloadOf = (body: Uint8Array, from: number, to: number, isRouted: boolean): JsonObject | undefined => {
  const text = utf8Text(body, from, to)
  if (text === undefined) return undefined
  try {
    const payload: unknown = JSON.parse(text)
    if (!json.isObject(payload) || json.isPayloadTooDeep(text)) return undefined
    if (isRouted && json.iJsonFault(payload, text.includes("\\u")) !== undefined) return undefined
    return payload as JsonObject
  } catch {
    return undefined
  }
}
