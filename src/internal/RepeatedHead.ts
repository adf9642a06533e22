/**
 * Reads the bodies of messages that begin as the one before did. A node that sends much sends messages of one type one
 * after the other, and within a millisecond only their ids and payloads differ: what comes before the payload, more than
 * half of a short message, is then compared and not parsed. That takes less than half the time.
 *
 * It answers only where reading the whole would give the same: it knows every byte of the head, what stands between that
 * and the last brace is one JSON object, and so nothing else can stand in the envelope.
 *
 * @internal
 */
import type { Envelope, JsonObject } from "../Message.js"
import * as json from "./Json.js"
import { utf8Text } from "./Utf8.js"

/** An id may differ from the one before in so many of its last characters. */
const maxTail = 12

const quote = 0x22
const backslash = 0x5c
const closingBrace = 0x7d

/** Bytes to compare others with, four at a time: a third of the time that it takes one by one. */
class Part {
  readonly length: number
  /** The last reaches back to where four bytes are left. */
  private readonly words: Int32Array

  /** At least four bytes. */
  constructor(bytes: DataView) {
    this.length = bytes.byteLength
    this.words = new Int32Array(Math.ceil(this.length / 4))
    for (let i = 0; i < this.words.length; i++) this.words[i] = bytes.getInt32(Math.min(i * 4, this.length - 4))
  }

  /** Whether they stand there. So many bytes must be there. */
  isAt(view: DataView, offset: number): boolean {
    const { words } = this
    const last = words.length - 1
    for (let i = 0; i < last; i++) {
      if (view.getInt32(offset + i * 4) !== words[i]) return false
    }
    return view.getInt32(offset + this.length - 4) === words[last]
  }
}

/** A head: the bytes up to where the id begins to differ, and those from its end up to the payload. */
interface Head {
  readonly before: Part
  readonly after: Part
  readonly idBegin: string
  readonly begin: Begin
}

/** What the messages have in common. */
type Begin = Pick<Envelope, "type" | "sender" | "timestamp" | "ttl" | "expectsReply">

/** The end of an id, up to its quote; `undefined`: it is longer, or no valid id as it stands. */
const tailOf = (body: Uint8Array, from: number): string | undefined => {
  let tail = ""
  for (let at = from; at <= from + maxTail; at++) {
    const unit = body[at] ?? 0
    if (unit === quote) return tail
    if (unit <= 0x20 || unit > 0x7e || unit === backslash) return undefined
    tail += String.fromCharCode(unit)
  }
  return undefined
}

export class RepeatedHead {
  private head: Head | undefined
  private last: Begin | undefined
  /** Of the memory that bodies lie in: those of one read share it. */
  private view: DataView = new DataView(new ArrayBuffer(0))

  /** The envelope, if the body begins as the one remembered and is valid. */
  read(body: Uint8Array): Envelope | undefined {
    const { head } = this
    if (head === undefined) return undefined
    const { after, before, idBegin } = head
    const { byteOffset, length } = body
    if (length < before.length + after.length) return undefined
    const view = this.viewOf(body)
    if (!before.isAt(view, byteOffset)) return undefined
    const tail = tailOf(body, before.length)
    if (tail === undefined) return undefined
    const idEnd = before.length + tail.length
    const payloadAt = idEnd + after.length
    if (payloadAt >= length || body[length - 1] !== closingBrace || !after.isAt(view, byteOffset + idEnd))
      return undefined
    const id = idBegin + tail
    if (id.length === 0 || id.length > 128) return undefined
    const { expectsReply, sender, timestamp, ttl, type } = head.begin
    const payload = payloadOf(body, payloadAt, length - 1, ttl !== undefined)
    if (payload === undefined) {
      // Those that follow are likely to be of the same kind.
      this.head = undefined
      return undefined
    }
    if (ttl !== undefined) return { type, id, sender, timestamp, ttl, payload }
    return expectsReply === undefined
      ? { type, id, sender, timestamp, payload }
      : { type, id, sender, timestamp, expectsReply, payload }
  }

  /**
   * Remembers how a body begins that was found to be valid, if it is the second such of its millisecond: a head that is
   * not met again is not worth it.
   */
  remember(body: Uint8Array, text: string, envelope: Envelope): void {
    const { expectsReply, id, recipient, replyTo, sender, signature, timestamp, ttl, type } = envelope
    if (recipient !== undefined || replyTo !== undefined || signature !== undefined) return
    // No request is for all: what has both is of no kind that comes often.
    if (ttl !== undefined && expectsReply !== undefined) return
    const { last } = this
    const begin: Begin = { type, sender, timestamp, ttl, expectsReply }
    this.last = begin
    if (last === undefined || last.timestamp !== timestamp || last.type !== type || last.sender !== sender) return
    const idAt = `{"type":"${type}","id":"`
    const kind = ttl !== undefined ? `,"ttl":${ttl}` : expectsReply === undefined ? "" : `,"expectsReply":true`
    const afterId = `","sender":"${sender}","timestamp":"${timestamp}"${kind},"payload":`
    if (!text.startsWith(idAt + id + afterId)) return
    const idBegin = id.slice(0, id.lastIndexOf("-") + 1)
    const { buffer, byteOffset } = body
    this.head = {
      before: new Part(new DataView(buffer, byteOffset, idAt.length + idBegin.length)),
      after: new Part(new DataView(buffer, byteOffset + idAt.length + id.length, afterId.length)),
      idBegin,
      begin
    }
  }

  private viewOf(body: Uint8Array): DataView {
    if (this.view.buffer !== body.buffer) this.view = new DataView(body.buffer)
    return this.view
  }
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
