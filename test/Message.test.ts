import { assert, describe, it } from "@effect/vitest"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Message from "../src/Message.js"
import * as NodeId from "../src/NodeId.js"
import { readVectors } from "./vectors/read.js"

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text)
const decode = (text: string): Message.Decoded => Message.decode(bytes(text))

const base = {
  type: "CHAT",
  id: "m-1",
  sender: "node-a",
  timestamp: "2026-11-22T14:00:00.000Z",
  payload: { text: "hi" }
}

const envelope: Message.Envelope = { ...base, sender: NodeId.make(base.sender) }

const nested = (levels: number): unknown => JSON.parse('{"a":'.repeat(levels - 1) + "{}" + "}".repeat(levels - 1))

/** Texts that are the member's rule, or nearly. */
const nearly = {
  type: fc.oneof(fc.stringMatching(/^[A-Z][A-Z0-9_]{0,3}$/), fc.stringMatching(/^[A-Za-z0-9_ -]{0,3}$/), fc.anything()),
  id: fc.oneof(
    fc.string({ minLength: 1, maxLength: 4 }),
    fc.constantFrom("", "a b", "x".repeat(128), "x".repeat(129), "é", "a\n", 7, null)
  ),
  sender: fc.oneof(
    fc.stringMatching(/^[A-Za-z0-9._:-]{1,4}$/),
    fc.constantFrom("", "a b", "x".repeat(128), "x".repeat(129), "a\n", {}, null)
  ),
  timestamp: fc.oneof(
    fc
      .date({ min: new Date("0000-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
      .map((date) => date.toISOString()),
    // Every part within a digit or two of its bounds.
    fc
      .tuple(
        fc.constantFrom("0000", "1900", "2000", "2023", "2024", "9999", "20a4"),
        fc.integer({ min: 0, max: 13 }),
        fc.integer({ min: 0, max: 32 }),
        fc.constantFrom("T", "T", "T", "t", " "),
        fc.constantFrom("00:00:00", "23:59:59", "24:00:00", "12:60:00", "23:59:60", "1:00:00"),
        fc.constantFrom("", "", ".0", ".123456789", ".", ",5"),
        fc.constantFrom("Z", "Z", "z", "+00:00", "-23:59", "+24:00", "+01:60", "+0100", "", "Z\n", "ZZ")
      )
      .map(
        ([year, month, day, t, time, fraction, offset]) =>
          `${year}-${String(month).padStart(2, "0")}-${String(day).padStart(2, "0")}${t}${time}${fraction}${offset}`
      ),
    fc.string(),
    fc.constant(null)
  ),
  payload: fc.oneof(fc.dictionary(fc.string(), fc.jsonValue()), fc.jsonValue()),
  recipient: fc.oneof(fc.stringMatching(/^[A-Za-z0-9._:-]{1,4}$/), fc.constantFrom("", "a/b", null, 1)),
  ttl: fc.oneof(fc.integer({ min: -2, max: 258 }), fc.constantFrom(1.5, -0, Infinity, NaN, "8", null, true)),
  replyTo: fc.oneof(fc.string({ maxLength: 4 }), fc.constantFrom("x".repeat(129), null, 3)),
  expectsReply: fc.constantFrom(true, true, false, null, "true", 1),
  signature: fc.oneof(
    fc.record({ key: fc.oneof(fc.string(), fc.nat()), value: fc.string() }, { requiredKeys: [] }),
    fc.constantFrom(null, "c2ln", [])
  )
}

const good = {
  type: fc.stringMatching(/^[A-Z][A-Z0-9_]{0,5}$/),
  id: fc.stringMatching(/^[!-~]{1,12}$/),
  sender: fc.stringMatching(/^[A-Za-z0-9._:-]{1,8}$/).map(NodeId.make),
  timestamp: fc
    .date({ min: new Date("0001-01-01"), max: new Date("9999-12-31"), noInvalidDate: true })
    .map((date) => date.toISOString()),
  payload: fc.dictionary(fc.string(), fc.jsonValue({ noUnicodeString: false })) as fc.Arbitrary<Message.JsonObject>,
  recipient: fc.stringMatching(/^[A-Za-z0-9._:-]{1,8}$/).map(NodeId.make),
  ttl: fc.integer({ min: 0, max: 255 }),
  replyTo: fc.stringMatching(/^[!-~]{1,12}$/),
  expectsReply: fc.constant(true as const),
  signature: fc.record({ key: fc.base64String(), value: fc.base64String() })
}

const requiredKeys = ["type", "id", "sender", "timestamp", "payload"] as const

/** The same rules read otherwise, and slowly. */
const reference = (body: Uint8Array): Message.Decoded["_tag"] => {
  let text: string
  let parsed: unknown
  try {
    text = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(body)
  } catch {
    return "Malformed"
  }
  if (text.startsWith("\ufeff")) return "Malformed"
  let depth = 0
  for (const bracket of text.replaceAll(/"(?:[^"\\]|\\[^])*(?:"|\\?$)/g, "").replaceAll(/[^{}[\]]/g, "")) {
    depth += bracket === "{" || bracket === "[" ? 1 : -1
    if (depth > 64) return "Invalid"
  }
  try {
    parsed = JSON.parse(text)
  } catch {
    return "Malformed"
  }
  if (typeof parsed !== "object" || parsed === null || Array.isArray(parsed)) return "Malformed"
  if (!Schema.is(Message.Envelope)(parsed)) return "Invalid"
  let isFaithful = true
  const walk = (name: string, value: unknown): unknown => {
    for (const one of [name, value]) if (typeof one === "string" && /\p{Surrogate}/u.test(one)) isFaithful = false
    if (typeof value === "number" && !Number.isFinite(value)) isFaithful = false
    return value
  }
  JSON.stringify(parsed, walk)
  return parsed.ttl === undefined || isFaithful ? "Message" : "Invalid"
}

const goodEnvelope = fc.record(good, { requiredKeys: [...requiredKeys] })

const isEnvelope = Schema.is(Message.Envelope)

describe("Message.checkEnvelope", () => {
  it("agrees with the schema over good envelopes, near misses and anything else", () => {
    let accepted = 0
    const one = fc.constantFrom(...(Object.keys(nearly) as Array<keyof typeof nearly>))
    // Good but for one member, which is absent or a near miss.
    const nearMiss = fc
      .tuple(goodEnvelope, one, fc.record(nearly), fc.boolean())
      .map(([value, member, others, drop]) => {
        const { [member]: _, ...rest } = value
        return drop ? rest : Object.assign(rest, { [member]: others[member] })
      })
    fc.assert(
      fc.property(
        fc.oneof(
          { weight: 4, arbitrary: nearMiss as fc.Arbitrary<unknown> },
          { weight: 1, arbitrary: fc.record(nearly, { requiredKeys: [] }) },
          { weight: 1, arbitrary: goodEnvelope },
          { weight: 1, arbitrary: fc.jsonValue() },
          { weight: 1, arbitrary: fc.anything() }
        ),
        (value) => {
          const isValid = Message.checkEnvelope(value) === undefined
          if (isValid) accepted++
          assert.strictEqual(isEnvelope(value), isValid)
        }
      ),
      { numRuns: 2000 }
    )
    assert.isAbove(accepted, 200)
  })

  it("agrees with the schema on every vector", () => {
    for (const { text } of readVectors<EnvelopeCase>("envelopes.json")) {
      const value: unknown = JSON.parse(text)
      assert.strictEqual(isEnvelope(value), Message.checkEnvelope(value) === undefined, text)
    }
  })

  it("takes a member that is undefined as absent", () => {
    const value = { ...base, recipient: undefined, ttl: undefined, signature: undefined }
    assert.isUndefined(Message.checkEnvelope(value))
    assert.isTrue(isEnvelope(value))
  })

  it("names the first member in the page's order", () => {
    const value: Record<string, unknown> = { expectsReply: false }
    const order = []
    for (const [member, right] of Object.entries({ ...base, expectsReply: true })) {
      order.push(Message.checkEnvelope(value)?.split(":")[0])
      value[member] = right
    }
    assert.deepStrictEqual(order, ["type", "id", "sender", "timestamp", "payload", "expectsReply"])
    assert.isUndefined(Message.checkEnvelope(value))
  })

  it("says of what is no object that it is none", () => {
    for (const value of [null, undefined, [], "{}", 1, true]) {
      assert.strictEqual(Message.checkEnvelope(value), "not an object")
    }
  })
})

describe("Message.decode", () => {
  it("gives back every envelope that was encoded", () => {
    fc.assert(
      fc.property(goodEnvelope, (value) => {
        const decoded = Message.decode(bytes(Message.encode(value)))
        assert.deepStrictEqual(decoded, {
          _tag: "Message",
          envelope: JSON.parse(JSON.stringify(value)) as Message.Envelope
        })
      }),
      { numRuns: 300 }
    )
  })

  it("keeps unknown members, through encoding again too", () => {
    const text = JSON.stringify({ ...base, trace: { deep: [null, 1.5] }, __v: 2 })
    const decoded = decode(text)
    assert.isTrue(decoded._tag === "Message" && Message.encode(decoded.envelope) === text)
  })

  it("answers any bytes without a throw", () => {
    fc.assert(
      fc.property(fc.oneof(fc.uint8Array(), fc.json().map(bytes), fc.string().map(bytes)), (body) => {
        assert.include(["Message", "Malformed", "Invalid"], Message.decode(body)._tag)
      })
    )
  })

  it("agrees with another reading of the same rules over valid messages with bytes changed, added or missing", () => {
    const piece = fc.oneof(
      fc
        .constantFrom(
          `"`,
          `\\`,
          `\\ud800`,
          `\\u0022`,
          `{`,
          `}`,
          `[`,
          `]`,
          `,`,
          `:`,
          ` `,
          `null`,
          `1e999`,
          `-`,
          `0`,
          `\ufeff`,
          `\ufffd`,
          `é`,
          `,"ttl":300`,
          `"ttl":1,`,
          `"__proto__":{"type":"A"},`,
          `,"type":1`,
          `{"a":`.repeat(70),
          `[`.repeat(70)
        )
        .map(bytes),
      fc.uint8Array({ minLength: 1, maxLength: 3 })
    )
    const changes = fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.nat(4), piece), { maxLength: 3 })
    const seen = { Message: 0, Malformed: 0, Invalid: 0 }
    fc.assert(
      fc.property(goodEnvelope, changes, fc.boolean(), (value, made, isWide) => {
        let body = Buffer.from(isWide ? JSON.stringify(value, undefined, 1) : JSON.stringify(value))
        for (const [where, over, inserted] of made) {
          const at = Math.floor(where * body.length)
          body = Buffer.concat([body.subarray(0, at), inserted, body.subarray(at + over)])
        }
        const decoded = Message.decode(body)
        seen[decoded._tag]++
        assert.strictEqual(decoded._tag, reference(body), String(body))
        if (decoded._tag === "Message") assert.deepStrictEqual(decoded.envelope, JSON.parse(String(body)))
        else assert.isBelow(decoded.detail.length, 100)
      }),
      { numRuns: 2_000 }
    )
    for (const [tag, times] of Object.entries(seen)) assert.isAbove(times, 50, tag)
  })

  it("decodes the view of a chunk and nothing around it", () => {
    const text = JSON.stringify(base)
    const chunk = bytes(`xx${text}yy`)
    assert.strictEqual(Message.decode(chunk.subarray(2, chunk.length - 2))._tag, "Message")
  })

  it("gives type and id of an invalid message where they are themselves valid", () => {
    const cases = [
      [
        { ...base, type: "ERROR", timestamp: "now" },
        { type: "ERROR", replyTo: "m-1" }
      ],
      [{ ...base, type: "chat" }, { replyTo: "m-1" }],
      [{ ...base, id: "a b" }, { type: "CHAT" }],
      [{ ...base, id: null, type: null }, {}],
      [{}, {}]
    ] as const
    for (const [value, expected] of cases) {
      const {
        _tag,
        detail: _,
        ...rest
      } = decode(JSON.stringify(value)) as Extract<Message.Decoded, { _tag: "Invalid" }>
      assert.strictEqual(_tag, "Invalid")
      assert.deepStrictEqual(rest, expected)
    }
  })

  it("repeats nothing of what came but the name of a member", () => {
    const secret = "s3cr3t"
    const broken: ReadonlyArray<unknown> = [
      { ...base, type: secret },
      { ...base, id: `${secret} ` },
      { ...base, sender: `${secret} ` },
      { ...base, timestamp: secret },
      { ...base, payload: secret },
      { ...base, recipient: `${secret} ` },
      { ...base, ttl: secret },
      { ...base, replyTo: `${secret} ` },
      { ...base, expectsReply: secret },
      { ...base, signature: secret },
      secret
    ]
    const texts = [
      ...broken.map((value) => JSON.stringify(value)),
      secret,
      JSON.stringify(base).replace('"hi"', `1e999,"${secret}":1`).slice(0, -1) + ',"ttl":1}',
      JSON.stringify(base).slice(0, -1) + `,"ttl":1,"${secret}":1e999}`,
      JSON.stringify(base).slice(0, -1) + `,"ttl":1,"${secret}\\udc00":1}`
    ]
    for (const text of texts) {
      const decoded = decode(text)
      assert.isTrue(decoded._tag !== "Message" && !decoded.detail.includes(secret) && decoded.detail !== "", text)
    }
  })

  it("counts levels of nesting as the page does: the envelope is the first", () => {
    assert.strictEqual(decode(JSON.stringify({ ...base, payload: nested(63) }))._tag, "Message")
    assert.deepStrictEqual(decode(JSON.stringify({ ...base, payload: nested(64) })), {
      _tag: "Invalid",
      detail: "nested deeper than 64 levels"
    })
  })

  it("does not take letters that share bits with brackets for brackets", () => {
    const text = "śŝ｛｝［］ݛ".repeat(100) + "[".repeat(70)
    assert.strictEqual(decode(JSON.stringify({ ...base, payload: { text } }))._tag, "Message")
  })

  it("is not led astray by quotes and backslashes when it counts levels", () => {
    const tricky = ['\\"'.repeat(10), "\\", '"', "\\\\\\", '\\"[[', "{".repeat(80)]
    for (const name of tricky) {
      const value = { ...base, payload: { [name]: tricky, list: nested(62) } }
      assert.strictEqual(decode(JSON.stringify(value))._tag, "Message")
    }
  })

  it("handles half a million brackets of any order in well under seconds and without overflowing the stack", () => {
    const half = 500_000
    const started = performance.now()
    const tags = [
      "[".repeat(half),
      '{"a":'.repeat(100_000),
      "[".repeat(half / 2) + "]".repeat(half / 2),
      "]".repeat(half) + "[".repeat(64),
      `"${"[".repeat(half)}`,
      JSON.stringify({ ...base, payload: { text: "[".repeat(half) } }),
      JSON.stringify(base).replace('"hi"', `[${"[],".repeat(half / 2)}[]]`)
    ].map((text) => decode(text)._tag)
    assert.deepStrictEqual(tags, ["Invalid", "Invalid", "Invalid", "Malformed", "Malformed", "Message", "Message"])
    assert.isBelow(performance.now() - started, 5000)
  })

  it("keeps names like __proto__ as names", () => {
    const text =
      '{"type":"CHAT","id":"m-1","sender":"__proto__","timestamp":"2026-11-22T14:00:00Z","__proto__":{"ttl":300},' +
      '"payload":{"__proto__":{"polluted":true},"constructor":{"prototype":{"polluted":true}},"toString":1}}'
    const decoded = decode(text)
    assert.isTrue(decoded._tag === "Message")
    if (decoded._tag !== "Message") return
    const { payload } = decoded.envelope
    assert.isUndefined(({} as { readonly polluted?: unknown }).polluted)
    assert.isUndefined((payload as { readonly polluted?: unknown }).polluted)
    assert.strictEqual(Object.getPrototypeOf(payload), Object.prototype)
    assert.deepStrictEqual(Object.keys(payload), ["__proto__", "constructor", "toString"])
    assert.isUndefined(decoded.envelope.ttl)
    // Passing on changes the ttl by spread: the same members come out.
    const passedOn: unknown = JSON.parse(Message.encode({ ...decoded.envelope, ttl: 3 }))
    assert.deepStrictEqual(Object.keys(passedOn as object), [...Object.keys(decoded.envelope), "ttl"])
    assert.strictEqual(JSON.stringify((passedOn as typeof base).payload), JSON.stringify(payload))
  })

  it("asks for faithful numbers and characters only of messages that may be passed on", () => {
    const body = JSON.stringify(base).replace('"hi"', '[1e999,"\\ud800"]')
    assert.strictEqual(decode(body)._tag, "Message")
    assert.deepStrictEqual(decode(body.slice(0, -1) + ',"ttl":0}'), {
      _tag: "Invalid",
      detail: "payload: a number outside the double range",
      type: "CHAT",
      replyTo: "m-1"
    })
  })
})

describe("Message.encodeOwn", () => {
  it("says the same as encode, of whatever a node composes", () => {
    const own = fc.record({ ...good, id: fc.constant("5f0c-1z") }, { requiredKeys: [...requiredKeys] })
    fc.assert(
      fc.property(own as fc.Arbitrary<Message.Envelope>, (envelope) => {
        assert.deepStrictEqual(JSON.parse(Message.encodeOwn(envelope)), JSON.parse(Message.encode(envelope)))
      })
    )
  })

  it("escapes the id of the message that is answered", () => {
    const answer = { ...base, sender: NodeId.make("node-a"), replyTo: 'a"b\\c' }
    assert.deepStrictEqual(JSON.parse(Message.encodeOwn(answer)), answer)
  })
})

describe("Message.payloadFault", () => {
  it("finds nothing in plain JSON data, which comes back the same", () => {
    const plain = fc.dictionary(fc.fullUnicodeString(), fc.jsonValue({ noUnicodeString: false }))
    fc.assert(
      fc.property(plain, (payload) => {
        assert.isUndefined(Message.payloadFault(payload))
      })
    )
    assert.isUndefined(Message.payloadFault(Object.assign(Object.create(null) as object, { a: [Object.create(null)] })))
    assert.isUndefined(Message.payloadFault(JSON.parse('{"__proto__":{"constructor":1}}')))
  })

  it("says what JSON cannot carry, and where", () => {
    class Point {
      readonly x = 1
    }
    const cyclic: Record<string, unknown> = {}
    cyclic["a"] = [{ b: cyclic }]
    const cases: ReadonlyArray<readonly [unknown, string]> = [
      [undefined, "not an object"],
      [null, "not an object"],
      ["text", "not an object"],
      [[], "not an object"],
      [() => 1, "not an object"],
      [new Date(0), "not a plain object (Date)"],
      [new Point(), "not a plain object (Point)"],
      [{ n: 1n }, "n: a bigint"],
      [{ f: () => 1 }, "f: a function"],
      [{ s: Symbol("s") }, "s: a symbol"],
      [{ list: [1, undefined] }, "list[1]: undefined"],
      // oxlint-disable-next-line no-sparse-arrays
      [{ list: [1, , 3] }, "list[1]: undefined"],
      [{ a: { b: [0, { c: Number.NaN }] } }, "a.b[1].c: NaN"],
      [{ a: Infinity }, "a: Infinity"],
      [{ a: -Infinity }, "a: -Infinity"],
      [{ at: new Date(0) }, "at: not a plain object (Date)"],
      [{ map: new Map() }, "map: not a plain object (Map)"],
      [{ bytes: new Uint8Array(1) }, "bytes: not a plain object (Uint8Array)"],
      [{ point: new Point() }, "point: not a plain object (Point)"],
      [{ text: new String("boxed") }, "text: not a plain object (String)"],
      [{ odd: Object.create({ inherited: 1 }) as unknown }, "odd: not a plain object (Object)"],
      [{ toJSON: () => ({}) }, "toJSON: a function"],
      [cyclic, "a[0].b: a reference back to what holds it"],
      [{ text: "a\ud800" }, "text: a string with a lone surrogate"],
      [{ deep: [{ "\udc00": 1 }] }, "deep[0].\udc00: a name with a lone surrogate"]
    ]
    for (const [payload, fault] of cases) assert.strictEqual(Message.payloadFault(payload), fault)
  })

  it("takes a member that is undefined as absent", () => {
    assert.isUndefined(Message.payloadFault({ a: undefined, b: { c: undefined } }))
  })

  it("lets a value stand in two places", () => {
    const shared = { a: [1] }
    assert.isUndefined(Message.payloadFault({ first: shared, second: [shared, shared] }))
  })

  it("bounds the nesting so that the message stays within 64 levels", () => {
    const within = nested(63) as Message.JsonObject
    assert.isUndefined(Message.payloadFault(within))
    assert.strictEqual(Message.decode(bytes(Message.encode({ ...envelope, payload: within })))._tag, "Message")
    assert.match(Message.payloadFault(nested(64)) ?? "", /: nested deeper than 64 levels$/)
    let deep: ReadonlyArray<unknown> = []
    for (let i = 0; i < 1_000_000; i++) deep = [deep]
    assert.match(Message.payloadFault({ deep }) ?? "", /: nested deeper than 64 levels$/)
  })

  it("passes exactly what comes back the same from its JSON", () => {
    const leaf = fc.oneof(
      fc.jsonValue(),
      fc.constantFrom(undefined, 1n, Number.NaN, new Date(0), "\ud800", () => 1)
    )
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.oneof(leaf, fc.array(leaf))), (payload) => {
        if (Message.payloadFault(payload) !== undefined) return
        const back: unknown = JSON.parse(JSON.stringify(payload))
        const present = Object.fromEntries(Object.entries(payload).filter(([, value]) => value !== undefined))
        assert.strictEqual(JSON.stringify(back), JSON.stringify(present))
        assert.isUndefined(Message.payloadFault(back))
      })
    )
  })
})

describe("Message types and constants", () => {
  it("tells the protocol's types from an application's", () => {
    for (const type of ["HELLO", "HEARTBEAT", "PEER_LIST", "DATA_SYNC", "ERROR", "SYNAPSE_", "SYNAPSE_FUTURE"]) {
      assert.isTrue(Message.isProtocolType(type), type)
    }
    for (const type of ["CHAT", "HELLO_WORLD", "SYNAPSE", "MY_SYNAPSE_", "hello", "ERRORS"]) {
      assert.isFalse(Message.isProtocolType(type), type)
    }
  })

  it("speaks version 1", () => {
    assert.strictEqual(Message.protocolVersion, 1)
  })
})

interface EnvelopeCase {
  readonly description: string
  readonly text: string
  readonly result: "valid" | "INVALID_MESSAGE"
  readonly message?: unknown
  readonly member?: string | null
  readonly replyTo?: string
}

const knownMembers = new Set([
  ...requiredKeys,
  "recipient",
  "ttl",
  "replyTo",
  "expectsReply",
  "signature"
] as Array<string>)

describe("vectors: envelopes.json", () => {
  for (const vector of readVectors<EnvelopeCase>("envelopes.json")) {
    it(`${vector.description}`, () => {
      const decoded = decode(vector.text)
      if (vector.result === "valid") {
        assert.strictEqual(decoded._tag, "Message")
        if (decoded._tag !== "Message") return
        assert.strictEqual(JSON.stringify(decoded.envelope), JSON.stringify(JSON.parse(vector.text)))
        if (vector.message !== undefined) assert.deepStrictEqual(decoded.envelope, vector.message)
      } else {
        assert.strictEqual(decoded._tag, "Invalid")
        if (decoded._tag !== "Invalid") return
        const member = decoded.detail.split(":")[0] ?? ""
        assert.strictEqual(knownMembers.has(member) ? member : null, vector.member)
        assert.strictEqual(decoded.replyTo, vector.replyTo)
      }
    })
  }
})
