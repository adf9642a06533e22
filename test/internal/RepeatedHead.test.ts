import { assert, describe, it } from "@effect/vitest"
import { isDeepStrictEqual } from "node:util"
import * as fc from "fast-check"
import { RepeatedHead } from "../../src/internal/RepeatedHead.js"
import * as Message from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)

const base: Message.Envelope = {
  type: "CHAT",
  id: "session-1",
  sender: NodeId.make("node-a"),
  timestamp: "2026-11-22T14:00:00.000Z",
  payload: { text: "hi" }
}

/** In the order in which this implementation writes the members. */
const textOf = ({ expectsReply, payload, recipient, replyTo, signature, ttl, ...others }: Message.Envelope): string =>
  Message.encode({ ...others, recipient, ttl, replyTo, expectsReply, signature, payload })

const request: Message.Envelope = { ...base, expectsReply: true }
const broadcast: Message.Envelope = { ...base, ttl: 8 }
const reply: Message.Envelope = { ...base, recipient: NodeId.make("node-b"), replyTo: "session-1" }
const signed: Message.Envelope = { ...broadcast, signature: { key: "MCowBQYDK2Vw", value: "c2lnbmF0dXJl" } }

/** One that has read the message twice. */
const after = (envelope: Message.Envelope): RepeatedHead => {
  const head = new RepeatedHead()
  const text = textOf(envelope)
  const body = bytes(text)
  head.remember(body, text, envelope)
  head.remember(body, text, envelope)
  return head
}

/** What reading the whole gives: what was read before began otherwise. */
const decodeWhole = (body: Uint8Array): Message.Decoded => {
  const other = bytes(textOf({ ...base, type: "OTHER_THAN_ALL" }))
  Message.decode(other)
  Message.decode(other)
  return Message.decode(body)
}

/** What was read by the head alone, if so as the whole is, the order of the members included. */
const read = (head: RepeatedHead, body: Uint8Array): "as the whole" | "not" | "otherwise" => {
  const envelope = head.read(body)
  if (envelope === undefined) return "not"
  const whole = decodeWhole(body)
  return whole._tag === "Message" &&
    JSON.stringify(whole.envelope) === JSON.stringify(envelope) &&
    isDeepStrictEqual(whole.envelope, envelope)
    ? "as the whole"
    : "otherwise"
}

const envelopes: fc.Arbitrary<Message.Envelope> = fc.record(
  {
    type: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,5}$/),
    id: fc.tuple(fc.stringMatching(/^[!-~]{0,40}$/), fc.stringMatching(/^[0-9a-z-]{1,12}$/)).map(([a, b]) => a + b),
    sender: fc.stringMatching(/^[A-Za-z0-9._:-]{1,8}$/).map(NodeId.make),
    timestamp: fc.constantFrom("2026-11-22T14:00:00.000Z", "2026-11-22T14:00:00+01:00"),
    recipient: fc.constantFrom("node-b", "node-c").map(NodeId.make),
    replyTo: fc
      .tuple(fc.stringMatching(/^[!-~]{0,9}$/), fc.stringMatching(/^[0-9a-z-]{1,12}$/))
      .map((ab) => ab.join("")),
    signature: fc.record({ key: fc.constantFrom("MCow", "é", ""), value: fc.string({ maxLength: 9 }) }),
    expectsReply: fc.constant(true as const),
    ttl: fc.integer({ min: 0, max: 255 }),
    payload: fc.dictionary(fc.string({ unit: "binary" }), fc.jsonValue()) as fc.Arbitrary<Message.JsonObject>
  },
  { requiredKeys: ["type", "id", "sender", "timestamp", "payload"], noNullPrototype: true }
)

/** What may be put into a text, or over it. */
const pieces = fc.oneof(
  fc
    .constantFrom(
      `,"type":"X"`,
      `,"payload":{}`,
      `,"ttl":3`,
      `,"id":"z"`,
      `,"__proto__":{"type":1}`,
      `"__proto__":{},`,
      `"`,
      `\\`,
      `\\u0041`,
      `\\ud800`,
      `{`,
      `}`,
      `}}`,
      `[`,
      `]`,
      ` `,
      `\n`,
      `\t`,
      `,`,
      `:`,
      `null`,
      `1e999`,
      `\ufeff`,
      `\ufffd`,
      `é`,
      `\u0000`,
      `{"a":`.repeat(64)
    )
    .map(bytes),
  fc.uint8Array({ minLength: 1, maxLength: 3 })
)

const mutated = fc
  .tuple(envelopes, fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(6), pieces, fc.boolean())
  .map(([envelope, where, over, piece, fromEnd]) => {
    const body = bytes(textOf(envelope))
    const at = fromEnd ? body.length - Math.floor(where * 8) : Math.floor(where * body.length)
    return Uint8Array.from(
      Array.from(body.subarray(0, at)).concat(
        Array.from(piece),
        Array.from(body.subarray(Math.min(body.length, at + over)))
      )
    )
  })

const nested = (levels: number): Message.JsonObject =>
  JSON.parse(`${'{"a":'.repeat(levels - 1)}{}${"}".repeat(levels - 1)}`) as Message.JsonObject

describe("RepeatedHead", () => {
  it("reads a message that begins as the one before", () => {
    for (const envelope of [base, request, broadcast, reply, signed]) {
      const head = after(envelope)
      for (const id of ["session-1", "session-2", "session-zzzzzzzzzzzz", "session-"]) {
        for (const payload of [{}, { text: "é\ufffd" }, { list: [1, { a: null }] }]) {
          assert.strictEqual(read(head, bytes(textOf({ ...envelope, id, payload }))), "as the whole")
        }
      }
    }
  })

  it("reads a later one, an answer to another, and one with another signature", () => {
    const later = { timestamp: "2026-11-22T14:00:00.001Z" }
    for (const envelope of [base, request, broadcast, reply, signed]) {
      const head = after(envelope)
      for (const next of [later, {}]) {
        assert.strictEqual(read(head, bytes(textOf({ ...envelope, ...next }))), "as the whole")
      }
      for (const timestamp of ["2026-11-31T14:00:00.000Z", "2026-11-22T14:00:00.000+", "2026-11-22T14:00:00Z"]) {
        assert.strictEqual(read(head, bytes(textOf({ ...envelope, timestamp }))), "not")
      }
      // What was there before the time that is none counts.
      assert.strictEqual(read(head, bytes(textOf(envelope))), "as the whole")
    }
    assert.strictEqual(read(after(reply), bytes(textOf({ ...reply, replyTo: "session-zzz" }))), "as the whole")
    const value = "x".repeat(signed.signature?.value.length ?? 0)
    const other = bytes(textOf({ ...signed, signature: { key: "MCowBQYDK2Vw", value } }))
    assert.strictEqual(read(after(signed), other), "as the whole")
    for (const wrong of [`${value}=`, value.slice(1), `${value.slice(2)}\\"`, `${value.slice(2)}é`]) {
      const body = bytes(textOf({ ...signed, signature: { key: "MCowBQYDK2Vw", value: wrong } }))
      assert.strictEqual(read(after(signed), body), "not")
    }
  })

  it("reads a body that lies anywhere in its memory", () => {
    const body = bytes(textOf({ ...base, id: "session-77" }))
    for (let offset = 0; offset < 9; offset++) {
      const memory = new Uint8Array(body.length + 9)
      memory.set(body, offset)
      assert.strictEqual(read(after(base), memory.subarray(offset, offset + body.length)), "as the whole")
      assert.isUndefined(after(base).read(memory.subarray(offset, offset + body.length - 1)))
    }
  })

  it("leaves to the whole reading what it does not know", () => {
    const text = textOf(base)
    const unknown = [
      { ...base, type: "CHAT2" },
      { ...base, id: "session-1234567890abc" },
      { ...base, id: "other-1" },
      { ...base, sender: NodeId.make("node-b") },
      { ...base, timestamp: "2026-11-22T14:00:00.01Z" },
      { ...base, ttl: 8 },
      { ...base, replyTo: "m" },
      { ...signed, ttl: undefined },
      request
    ].map(textOf)
    const broken = [
      text.slice(0, -1),
      `${text} `,
      text.replace(`{"text":"hi"}`, `["hi"]`),
      text.replace("session-1", "session- "),
      text.replace("session-1", "session-\\u0031"),
      text.replace("session-1", "session-é"),
      `${text.slice(0, -1)},"unknown":1}`,
      `${text.slice(0, -1)},"payload":{}}`
    ]
    for (const body of [...unknown, ...broken]) assert.isUndefined(after(base).read(bytes(body)), body)
    assert.isUndefined(new RepeatedHead().read(bytes(text)))
  })

  it("takes a payload as deep as a message may be, and none that is deeper", () => {
    assert.strictEqual(read(after(base), bytes(textOf({ ...base, payload: nested(63) }))), "as the whole")
    assert.strictEqual(read(after(base), bytes(textOf({ ...base, payload: nested(64) }))), "not")
  })

  it("takes of what is passed on only what is the same value at every node", () => {
    for (const value of ["1e999", `"\\ud800"`, `[{"\\udc00":1}]`]) {
      const readOf = (envelope: Message.Envelope) =>
        read(after(envelope), bytes(textOf(envelope).replace(`"hi"`, value)))
      assert.strictEqual(readOf(base), "as the whole")
      assert.strictEqual(readOf(broadcast), "not")
    }
  })

  it("takes no id that is too long in all", () => {
    const head = after({ ...base, id: `${"x".repeat(119)}-1` })
    assert.strictEqual(read(head, bytes(textOf({ ...base, id: `${"x".repeat(119)}-12345678` }))), "as the whole")
    assert.strictEqual(read(head, bytes(textOf({ ...base, id: `${"x".repeat(119)}-123456789` }))), "not")
  })

  it("remembers only how the second of a kind in a row begins, as it is written here", () => {
    const text = textOf(base)
    const body = bytes(text)
    const next = bytes(textOf({ ...base, id: "session-2" }))
    const once = new RepeatedHead()
    once.remember(body, text, base)
    assert.isUndefined(once.read(next))
    const others = [` ${text}`, `${text.slice(0, -1)},"expectsReply":true}`, `{"id":"session-1",${text.slice(1)}`].map(
      (other) => ({ text: other, decoded: decodeWhole(bytes(other)) })
    )
    for (const { decoded, text } of others) {
      assert(decoded._tag === "Message")
      const head = new RepeatedHead()
      head.remember(bytes(text), text, decoded.envelope)
      head.remember(bytes(text), text, decoded.envelope)
      assert.isUndefined(head.read(next))
      assert.isUndefined(head.read(bytes(text)))
    }
  })

  it("reads what any such message holds as the whole reading does", () => {
    fc.assert(
      fc.property(envelopes, fc.stringMatching(/^[0-9a-z]{1,6}$/), envelopes, (first, tail, { payload }) => {
        const id = first.id.slice(0, first.id.lastIndexOf("-") + 1) + tail
        const { expectsReply, recipient, replyTo, signature, ttl } = first
        const isReply = replyTo !== undefined && recipient !== undefined
        const isOften = isReply
          ? ttl === undefined && expectsReply === undefined && signature === undefined
          : recipient === undefined &&
            replyTo === undefined &&
            (ttl === undefined ? signature === undefined : expectsReply === undefined)
        const isPlain = /^[!#-[\]-~]*$/.test([first.id, replyTo, signature?.key, signature?.value].join(""))
        assert.strictEqual(
          read(after(first), bytes(textOf({ ...first, id, payload }))),
          isOften && isPlain ? "as the whole" : "not"
        )
      })
    )
  })

  it("gives of any bytes what the whole reading gives, or nothing", () => {
    fc.assert(
      fc.property(mutated, envelopes, (body, envelope) => {
        assert.notStrictEqual(read(after(base), body), "otherwise")
        assert.notStrictEqual(read(after(envelope), body), "otherwise")
      })
    )
  })

  it("gives of any bytes after a head that it knows what the whole reading gives, or nothing", () => {
    fc.assert(
      fc.property(
        envelopes,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(4),
        fc.array(pieces, { minLength: 1, maxLength: 3 }),
        (envelope, where, over, inserted) => {
          const body = bytes(textOf(envelope))
          const at = Math.floor(where * (body.length + 1))
          const changed = Uint8Array.from([
            ...body.subarray(0, at),
            ...inserted.flatMap((piece) => Array.from(piece)),
            ...body.subarray(Math.min(body.length, at + over))
          ])
          assert.notStrictEqual(read(after(envelope), changed), "otherwise")
        }
      ),
      { numRuns: 2000 }
    )
  })
})
