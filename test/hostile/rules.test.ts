/** Every rule for messages after the handshake, broken one at a time: docs/PROTOCOL.md, the section in each name. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertClosesInOrder, assertError, assertServes, hostile, startNode } from "../utils/hostileNode.js"
import type { Message } from "../utils/rawPeer.js"
import { bodyOf, connect, frame, lengthOf, message } from "../utils/rawPeer.js"

type Expected =
  /** The ERROR that answers; `about`: it carries the id of the message. */
  | { readonly code: string; readonly fatal?: true; readonly about?: false; readonly member?: string }
  /** Not answered; `count`: what the node's status counts it as. */
  | { readonly nothing: true; readonly count?: string }
  | { readonly delivered: number }

interface Row {
  readonly section: number
  readonly rule: string
  /** The frame's body, or bytes as they are; of a valid CHAT with the id m-1. */
  readonly body?: (chat: Message) => unknown
  readonly bytes?: (chat: Message) => Uint8Array
  readonly features?: ReadonlyArray<string>
  readonly expected: Expected
}

const secret = "sEcReT"
const { stringify } = JSON

const table = (rows: ReadonlyArray<Row>): void => {
  for (const { body, bytes, expected, features = ["relay"], rule, section } of rows) {
    hostile(`section ${section}: ${rule}`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const peer = yield* connect(node.port, { hello: { features } })
        const chat = { ...message(peer.id, "CHAT", { text: "hi" }), id: "m-1" }
        const { answers, isOpen } = yield* peer.answersTo(bytes?.(chat) ?? frame(body?.(chat)))
        const invalid = yield* node.count("invalid")
        if ("code" in expected) {
          const { about, code, fatal = false, member } = expected
          assert.lengthOf(answers, 1, stringify(answers))
          assertError(answers[0], { code, fatal, replyTo: about === false ? undefined : "m-1", member })
          assert.strictEqual(isOpen, !fatal)
          assert.strictEqual(invalid, ["UNSUPPORTED_TYPE", "NO_ROUTE"].includes(code) ? 0 : 1, "counted as invalid")
          assert.lengthOf(node.delivered, 0)
          if (fatal) yield* assertClosesInOrder(peer)
        } else {
          assert.deepStrictEqual(answers, [])
          assert.isTrue(isOpen)
          const count = "count" in expected ? expected.count : undefined
          if (count !== undefined) assert.strictEqual(yield* node.count(count), 1, count)
          assert.strictEqual(invalid, count === "invalid" ? 1 : 0, "counted as invalid")
          const wanted = "delivered" in expected ? expected.delivered : 0
          yield* node.until(`${wanted} delivered`, () => node.delivered.length >= wanted)
          assert.lengthOf(node.delivered, wanted)
        }
        if (isOpen) yield* assertServes(peer)
      })
    )
  }
}

const malformed: Expected = { code: "MALFORMED_FRAME", fatal: true, about: false }
const tooLarge: Expected = { code: "FRAME_TOO_LARGE", fatal: true, about: false }
const nothing: Expected = { nothing: true }
const counted: Expected = { nothing: true, count: "invalid" }
const delivered: Expected = { delivered: 1 }
const invalid = (member?: string): Expected => ({
  code: "INVALID_MESSAGE",
  ...(member === undefined ? {} : { member })
})
const unnamed: Expected = { code: "INVALID_MESSAGE", about: false }

/** A CHAT in as many levels as that, brackets only, from the envelope's own on. */
const nested = (chat: Message, levels: number): string =>
  stringify(chat).replace(
    stringify(chat.payload),
    `{"text":"deep","a":${"[".repeat(levels - 2)}${"]".repeat(levels - 2)}}`
  )

const withBytes = (chat: Message, ...bytes: ReadonlyArray<number>): Buffer => {
  const text = stringify({ ...chat, payload: { text: "@" } })
  const at = text.indexOf("@")
  return Buffer.concat([Buffer.from(text.slice(0, at)), Buffer.from(bytes), Buffer.from(text.slice(at + 1))])
}

const bom = Buffer.from([0xef, 0xbb, 0xbf])

describe("Frames", () => {
  table([
    { section: 1, rule: "length 0", bytes: () => lengthOf(0), expected: malformed },
    { section: 1, rule: "a length one over the greatest", bytes: () => lengthOf(1_048_577), expected: tooLarge },
    { section: 1, rule: "the greatest length there is", bytes: () => lengthOf(2 ** 32 - 1), expected: tooLarge },
    { section: 1, rule: "a length of 2^31, which is not negative", bytes: () => lengthOf(2 ** 31), expected: tooLarge },
    { section: 1, rule: "the longest body is taken", body: (chat) => bodyOf(1_048_576, chat), expected: delivered },
    {
      section: 1,
      rule: "over 8,192 bytes after the handshake",
      body: (chat) => bodyOf(8_193, chat),
      expected: delivered
    },
    { section: 1, rule: "a byte that is not UTF-8", body: (chat) => withBytes(chat, 0xff), expected: malformed },
    { section: 1, rule: "UTF-8: overlong", body: (chat) => withBytes(chat, 0xc0, 0x80), expected: malformed },
    { section: 1, rule: "UTF-8: a surrogate", body: (chat) => withBytes(chat, 0xed, 0xa0, 0x80), expected: malformed },
    { section: 1, rule: "UTF-8: cut off", body: (chat) => withBytes(chat, 0xe2, 0x82), expected: malformed },
    {
      section: 1,
      rule: "UTF-8: over U+10FFFF",
      body: (chat) => withBytes(chat, 0xf4, 0x90, 0x80, 0x80),
      expected: malformed
    },
    {
      section: 1,
      rule: "UTF-8: four bytes are a character",
      body: (chat) => withBytes(chat, 0xf0, 0x9f, 0x98, 0x80),
      expected: delivered
    },
    {
      section: 1,
      rule: "a byte order mark",
      body: (chat) => Buffer.concat([bom, frame(chat).subarray(4)]),
      expected: malformed
    },
    {
      section: 1,
      rule: "a byte order mark inside a string",
      body: (chat) => withBytes(chat, ...bom),
      expected: delivered
    },
    ...[
      "hello",
      "[]",
      "7",
      '"CHAT"',
      "null",
      "true",
      " ",
      "{",
      "{}x",
      "{'a':1}",
      '{"a":1,}',
      '{"a":01}',
      '{"a":"\u0001"}',
      "NaN"
    ].map((text): Row => ({
      section: 1,
      rule: `the body is ${stringify(text)}`,
      body: () => text,
      expected: malformed
    })),
    {
      section: 1,
      rule: "white space around the object",
      body: (chat) => ` \t\r\n${stringify(chat)}\n`,
      expected: delivered
    },
    { section: 1, rule: "an empty object is an object", body: () => "{}", expected: unnamed },
    { section: 1, rule: "nesting 64", body: (chat) => nested(chat, 64), expected: delivered },
    { section: 1, rule: "nesting 65", body: (chat) => nested(chat, 65), expected: unnamed },
    { section: 1, rule: "depth is looked at before JSON", body: () => "[".repeat(65), expected: unnamed },
    {
      section: 1,
      rule: "the mark is looked at before depth",
      body: () => Buffer.concat([bom, Buffer.from("[".repeat(65))]),
      expected: malformed
    },
    { section: 1, rule: "64 open brackets are not JSON", body: () => "[".repeat(64), expected: malformed },
    {
      section: 1,
      rule: "brackets in strings do not nest",
      body: (chat) => ({ ...chat, payload: { text: "[{".repeat(100) } }),
      expected: delivered
    },
    {
      section: 1,
      rule: "a quote after a backslash does not end a string",
      body: (chat) => ({ ...chat, payload: { text: `\\"${"[".repeat(100)}` } }),
      expected: delivered
    },
    {
      section: 1,
      rule: "of duplicate names the last counts",
      body: (chat) => stringify(chat).replace("{", '{"type":7,'),
      expected: delivered
    },
    {
      section: 1,
      rule: "of duplicate names the last counts, where it is wrong",
      body: (chat) => stringify(chat).replace(/\}$/, ',"type":7}'),
      expected: invalid("type")
    },
    {
      section: 1,
      rule: "names match by exact case",
      body: ({ type, ...chat }) => ({ ...chat, Type: type }),
      expected: invalid("type")
    },
    {
      section: 1,
      rule: "a number outside the double range with a ttl",
      body: (chat) => stringify({ ...chat, ttl: 3 }).replace('"hi"', '"hi","n":1e400'),
      expected: invalid()
    },
    {
      section: 1,
      rule: "a negative number outside the double range with a ttl",
      body: (chat) => stringify({ ...chat, ttl: 3 }).replace('"hi"', '"hi","n":[-1e400]'),
      expected: invalid()
    },
    {
      section: 1,
      rule: "a number outside the double range without a ttl",
      body: (chat) => stringify(chat).replace('"hi"', '"hi","n":1e400'),
      expected: delivered
    },
    {
      section: 1,
      rule: "a lone surrogate with a ttl",
      body: (chat) => stringify({ ...chat, ttl: 3 }).replace("hi", "\\ud800"),
      expected: invalid()
    },
    {
      section: 1,
      rule: "a lone surrogate in a name with a ttl",
      body: (chat) => stringify({ ...chat, ttl: 3 }).replace('"hi"', '"hi","\\udc00":1'),
      expected: invalid()
    },
    {
      section: 1,
      rule: "a pair of surrogates with a ttl",
      body: (chat) => stringify({ ...chat, ttl: 3 }).replace("hi", "\\ud83d\\ude00"),
      expected: delivered
    },
    {
      section: 1,
      rule: "a lone surrogate without a ttl",
      body: (chat) => stringify(chat).replace("hi", "\\ud800"),
      expected: delivered
    }
  ])
})

const wrong = (member: keyof Message | "signature", values: ReadonlyArray<unknown>): ReadonlyArray<Row> =>
  values.map((value) => ({
    section: 2,
    rule: `${member} is ${value === undefined ? "missing" : stringify(value).slice(0, 40)}`,
    body: (chat) => ({ ...chat, [member]: value }),
    expected: member === "id" ? { code: "INVALID_MESSAGE", about: false, member } : invalid(member)
  }))

describe("Envelopes", () => {
  table([
    ...wrong("type", [undefined, null, 7, "", secret, "1A", "A-B", "_A", "A".repeat(65), "CHAT\n", "CHÂT", ["CHAT"]]),
    ...wrong("id", [undefined, null, 7, "", "x".repeat(129), `${secret} 1`, "é", "\u007f", "m-1\n", {}]),
    ...wrong("sender", [undefined, null, 7, "", "x".repeat(129), `${secret} 1`, "a/b", "nöde", "node\n", []]),
    ...wrong("timestamp", [
      undefined,
      null,
      0,
      "",
      secret,
      "2026-11-22",
      "2026-11-22T14:00:00",
      "2026-11-22 14:00:00Z",
      "2026-11-22t14:00:00Z",
      "2026-11-22T14:00:00z",
      "2026-11-22T14:00:60Z",
      "2026-11-22T24:00:00Z",
      "2026-11-22T14:60:00Z",
      "2026-02-29T14:00:00Z",
      "2026-13-01T14:00:00Z",
      "2026-00-10T14:00:00Z",
      "2026-11-22T14:00:00+0100",
      "2026-11-22T14:00:00+24:00",
      "2026-11-22T14:00:00.Z",
      "26-11-22T14:00:00Z"
    ]),
    ...wrong("payload", [undefined, null, [], secret, 7, true]),
    ...wrong("recipient", [null, 7, "", `${secret} 1`, "x".repeat(129), {}]),
    ...wrong("ttl", [null, "8", -1, 256, 1.5, true, []]),
    ...wrong("replyTo", [null, 7, "", `${secret} 1`, "x".repeat(129)]),
    ...wrong("expectsReply", [false, null, "true", 1, {}]),
    ...wrong("signature", [null, secret, [], {}, { key: 1, value: "" }, { key: "" }]),
    ...[
      "2026-11-22T14:00:00Z",
      "2026-11-22T14:00:00.123456789Z",
      "2026-11-22T14:00:00+05:30",
      "2028-02-29T23:59:59-23:59"
    ].map((timestamp): Row => ({
      section: 2,
      rule: `timestamp may be ${timestamp}`,
      body: (chat) => ({ ...chat, timestamp }),
      expected: delivered
    })),
    {
      section: 2,
      rule: "an id of 128 characters",
      body: (chat) => ({ ...chat, id: "~".repeat(128) }),
      expected: delivered
    },
    {
      section: 2,
      rule: "unknown members are ignored",
      body: (chat) => ({ ...chat, Ttl: null, "": 1, trace: { a: [null] } }),
      expected: delivered
    },
    {
      section: 2,
      rule: "the names of an object's own inside are nothing special",
      body: (chat) => stringify(chat).replace('"hi"', '"hi","__proto__":{"ttl":-1},"constructor":null'),
      expected: delivered
    },
    {
      section: 2,
      rule: "__proto__ as a member is an unknown one",
      body: (chat) => stringify({ ...chat, ttl: undefined }).replace("{", '{"__proto__":{"recipient":7},'),
      expected: delivered
    },
    {
      section: 2,
      rule: "required members are not taken from __proto__",
      body: ({ type, ...chat }) => stringify(chat).replace("{", `{"__proto__":{"type":"${type}"},`),
      expected: invalid("type")
    },
    {
      section: 2,
      rule: "an unknown type of the protocol is ignored",
      body: (chat) => ({ ...chat, type: "SYNAPSE_X" }),
      expected: nothing
    },
    {
      section: 2,
      rule: "an unknown type of the protocol is ignored as a request too",
      body: (chat) => ({ ...chat, type: "SYNAPSE_X", expectsReply: true }),
      expected: nothing
    },
    {
      section: 2,
      rule: "a direct message that nobody listens for",
      body: (chat) => ({ ...chat, type: "NEWS" }),
      expected: { code: "UNSUPPORTED_TYPE" }
    },
    {
      section: 2,
      rule: "a request that nobody listens for",
      body: (chat) => ({ ...chat, type: "NEWS", expectsReply: true }),
      expected: { code: "UNSUPPORTED_TYPE" }
    },
    {
      section: 2,
      rule: "a targeted message that nobody listens for",
      body: (chat) => ({ ...chat, type: "NEWS", recipient: "node-a", ttl: 1 }),
      expected: { code: "UNSUPPORTED_TYPE" }
    },
    {
      section: 2,
      rule: "a broadcast that nobody listens for is not answered",
      body: (chat) => ({ ...chat, type: "NEWS", ttl: 1 }),
      expected: { nothing: true, count: "unsupported" }
    },
    {
      section: 2,
      rule: "a reply that nobody listens for is not answered",
      body: (chat) => ({ ...chat, type: "NEWS", replyTo: "m-0" }),
      expected: { nothing: true, count: "repliesDropped" }
    },
    {
      section: 2,
      rule: "what the application's schema refuses is not invalid",
      body: (chat) => ({ ...chat, payload: { text: 7 } }),
      expected: { nothing: true, count: "undecodable" }
    }
  ])
})

const ping = { kind: "ping", seq: 7 }
const request = { kind: "request", limit: 1 }
const mistake = { code: "INTERNAL", message: secret, fatal: false }
const peerList = (payload: unknown) => (chat: Message) => ({ ...chat, type: "PEER_LIST", payload })
const heartbeat = (payload: unknown) => (chat: Message) => ({ ...chat, type: "HEARTBEAT", payload })
const error =
  (payload: unknown, more: Partial<Message> = {}) =>
  (chat: Message) => ({ ...chat, type: "ERROR", payload, ...more })

describe("The protocol's own payloads", () => {
  table([
    {
      section: 3,
      rule: "a second HELLO",
      body: (chat) => ({
        ...chat,
        type: "HELLO",
        payload: { version: 1, minVersion: 1, network: "synapse", listen: [], features: [] }
      }),
      expected: invalid()
    },
    {
      section: 3,
      rule: "a second HELLO, invalid too",
      body: (chat) => ({ ...chat, type: "HELLO" }),
      expected: invalid()
    },
    ...[{}, { seq: 1 }, { kind: null, seq: 1 }, { kind: 7, seq: 1 }].map((payload): Row => ({
      section: 4,
      rule: `HEARTBEAT ${stringify(payload)}`,
      body: heartbeat(payload),
      expected: invalid("kind")
    })),
    ...[undefined, null, -1, 1.5, "7", true, secret].flatMap((seq) =>
      ["ping", "pong"].map((kind): Row => ({
        section: 4,
        rule: `a ${kind} with seq ${String(seq)}`,
        body: heartbeat({ kind, seq }),
        expected: invalid("seq")
      }))
    ),
    { section: 4, rule: "an unknown kind is ignored", body: heartbeat({ kind: "probe" }), expected: nothing },
    {
      section: 4,
      rule: "a pong that nobody asked for",
      body: heartbeat({ kind: "pong", seq: 2 ** 40 }),
      expected: nothing
    },
    ...[{}, { limit: 3 }, { kind: null }, { kind: [], limit: 3 }].map((payload): Row => ({
      section: 5,
      rule: `PEER_LIST ${stringify(payload)}`,
      body: peerList(payload),
      expected: invalid("kind")
    })),
    ...[undefined, null, -1, 1.5, "32", secret].map((limit): Row => ({
      section: 5,
      rule: `a request with limit ${String(limit)}`,
      body: peerList({ kind: "request", limit }),
      expected: invalid("limit")
    })),
    ...[undefined, null, {}, secret].flatMap((peers) =>
      ["announce", "response"].map((kind): Row => ({
        section: 5,
        rule: `${kind} with peers ${String(peers)}`,
        body: peerList({ kind, peers }),
        expected: invalid("peers")
      }))
    ),
    { section: 5, rule: "an unknown kind is ignored", body: peerList({ kind: "subscribe" }), expected: nothing },
    {
      section: 5,
      rule: "a response that nobody asked for is ignored",
      body: (chat) => ({ ...peerList({ kind: "response", peers: [] })(chat), replyTo: "m-0" }),
      expected: nothing
    },
    {
      section: 5,
      rule: "a response without replyTo is ignored",
      body: peerList({ kind: "response", peers: [] }),
      expected: nothing
    },
    {
      section: 5,
      rule: "bad entries are skipped",
      body: peerList({
        kind: "announce",
        peers: [null, 7, {}, { id: "a b", addresses: [] }, { id: "x", addresses: [{ host: "", port: 0 }] }]
      }),
      expected: nothing
    },
    ...[
      {},
      { ...mistake, code: 7 },
      { ...mistake, message: null },
      { ...mistake, fatal: "yes" },
      { ...mistake, retryAfterMs: -1 }
    ].map((payload): Row => ({
      section: 7,
      rule: `an invalid ERROR is counted, not answered: ${stringify(payload)}`,
      body: error(payload),
      expected: counted
    })),
    {
      section: 7,
      rule: "an ERROR with an invalid envelope is counted, not answered",
      body: (chat) => ({ ...error(mistake)(chat), timestamp: 7 }),
      expected: counted
    },
    { section: 7, rule: "an ERROR is never answered", body: error(mistake), expected: nothing },
    {
      section: 7,
      rule: "an unknown code that is not fatal",
      body: error({ ...mistake, code: "TEAPOT" }),
      expected: nothing
    },
    {
      section: 7,
      rule: "an ERROR about nothing that was sent",
      body: error({ ...mistake, code: "REQUEST_FAILED" }, { replyTo: "m-0" }),
      expected: nothing
    },
    {
      section: 6,
      rule: "DATA_SYNC is the application's, where both do not name sync",
      body: (chat) => ({ ...chat, type: "DATA_SYNC", payload: { kind: "digest" } }),
      expected: { code: "UNSUPPORTED_TYPE" }
    }
  ])
})

const ofOneLink: ReadonlyArray<{
  readonly type: string
  readonly payload: Readonly<Record<string, unknown>>
  readonly expected: Expected
}> = [
  {
    type: "HELLO",
    payload: { version: 1, minVersion: 1, network: "synapse", listen: [], features: [] },
    expected: invalid()
  },
  { type: "HEARTBEAT", payload: ping, expected: invalid() },
  { type: "PEER_LIST", payload: request, expected: invalid() },
  { type: "ERROR", payload: mistake, expected: counted }
]

describe("Links", () => {
  table([
    ...ofOneLink.flatMap(({ expected, payload, type }): ReadonlyArray<Row> => [
      {
        section: 8,
        rule: `${type} with a recipient`,
        body: (chat) => ({ ...chat, type, payload, recipient: "node-a" }),
        expected
      },
      { section: 8, rule: `${type} with a ttl`, body: (chat) => ({ ...chat, type, payload, ttl: 3 }), expected },
      {
        section: 8,
        rule: `${type} of another sender`,
        body: (chat) => ({ ...chat, type, payload, sender: secret }),
        expected
      },
      {
        section: 8,
        rule: `${type} in the node's own name`,
        body: (chat) => ({ ...chat, type, payload, sender: "node-a" }),
        expected
      }
    ]),
    {
      section: 8,
      rule: "an ERROR on its way over others, about a message of this node",
      body: error(mistake, { recipient: "node-a", ttl: 1, replyTo: "m-0" }),
      expected: nothing
    },
    {
      section: 8,
      rule: "the same, fatal: it changes no connection",
      body: error({ ...mistake, fatal: true }, { recipient: "node-a", ttl: 1, replyTo: "m-0" }),
      expected: counted
    },
    {
      section: 8,
      rule: "the same without replyTo",
      body: error(mistake, { recipient: "node-a", ttl: 1 }),
      expected: counted
    },
    {
      section: 8,
      rule: "the same for a node that nobody knows: no NO_ROUTE about an ERROR",
      body: error(mistake, { recipient: "node-z", ttl: 1, replyTo: "m-0" }),
      expected: nothing
    },
    {
      section: 8,
      rule: "the same with an invalid payload",
      body: error({ ...mistake, code: 7 }, { recipient: "node-a", ttl: 1, replyTo: "m-0" }),
      expected: counted
    },
    {
      section: 8,
      rule: "a direct message for this node",
      body: (chat) => ({ ...chat, recipient: "node-a" }),
      expected: delivered
    },
    {
      section: 8,
      rule: "a direct message of another sender",
      body: (chat) => ({ ...chat, sender: secret }),
      expected: invalid("sender")
    },
    {
      section: 8,
      rule: "a direct message in the node's own name",
      body: (chat) => ({ ...chat, sender: "node-a" }),
      expected: invalid("sender")
    },
    {
      section: 8,
      rule: "a recipient who is someone else, without ttl",
      body: (chat) => ({ ...chat, recipient: secret }),
      expected: invalid("recipient")
    },
    {
      section: 8,
      rule: "a broadcast of another node",
      body: (chat) => ({ ...chat, sender: "node-z", ttl: 1 }),
      expected: delivered
    },
    {
      section: 8,
      rule: "a broadcast of another node over a link without relay",
      features: [],
      body: (chat) => ({ ...chat, sender: secret, ttl: 1 }),
      expected: invalid("sender")
    },
    {
      section: 8,
      rule: "a targeted message of another node over a link without relay",
      features: ["RELAY"],
      body: (chat) => ({ ...chat, sender: secret, recipient: "node-a", ttl: 1 }),
      expected: invalid("sender")
    },
    {
      section: 8,
      rule: "a broadcast of its own over a link without relay",
      features: [],
      body: (chat) => ({ ...chat, ttl: 0 }),
      expected: delivered
    },
    {
      section: 8,
      rule: "a broadcast seen before is dropped, uncounted",
      bytes: (chat) => Buffer.concat([frame({ ...chat, ttl: 1 }), frame({ ...chat, ttl: 2 })]),
      expected: delivered
    },
    {
      section: 8,
      rule: "the node's own broadcast, come round, is dropped",
      body: (chat) => ({ ...chat, sender: "node-a", ttl: 1 }),
      expected: nothing
    },
    {
      section: 8,
      rule: "expectsReply on a broadcast",
      body: (chat) => ({ ...chat, ttl: 1, expectsReply: true }),
      expected: invalid("expectsReply")
    },
    {
      section: 8,
      rule: "a targeted message for this node",
      body: (chat) => ({ ...chat, recipient: "node-a", ttl: 0 }),
      expected: delivered
    },
    {
      section: 8,
      rule: "a targeted message for a node that nobody knows",
      body: (chat) => ({ ...chat, recipient: secret, ttl: 8 }),
      expected: { code: "NO_ROUTE" }
    },
    {
      section: 8,
      rule: "a targeted message with no ttl left",
      body: (chat) => ({ ...chat, recipient: secret, ttl: 0 }),
      expected: { code: "NO_ROUTE" }
    },
    {
      section: 8,
      rule: "NO_ROUTE only to the sender itself",
      body: (chat) => ({ ...chat, sender: "node-y", recipient: "node-z", ttl: 8 }),
      expected: nothing
    },
    {
      section: 8,
      rule: "a reply to nothing is dropped and counted",
      body: (chat) => ({ ...chat, replyTo: "m-0" }),
      expected: { nothing: true, count: "repliesDropped" }
    }
  ])
})

describe("Answers that are not of a table", () => {
  for (const code of ["INTERNAL", "TEAPOT", "SHUTTING_DOWN", "MALFORMED_FRAME"]) {
    hostile(`section 7: after a fatal ${code} nothing is delivered or answered, and the node ends too`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const peer = yield* connect(node.port)
        const after = Buffer.concat([
          frame(message(peer.id, "ERROR", { code, message: "", fatal: true })),
          frame(message(peer.id, "CHAT", { text: "late" })),
          frame(message(peer.id, "HEARTBEAT", ping))
        ])
        const { answers, isOpen } = yield* peer.answersTo(after)
        assert.deepStrictEqual(answers, [])
        assert.isFalse(isOpen)
        yield* assertClosesInOrder(peer)
        assert.lengthOf(node.delivered, 0)
        assert.strictEqual(yield* node.count("invalid"), 0)
      })
    )
  }

  hostile("section 4: a ping is answered with its seq, also the greatest", () =>
    Effect.gen(function* () {
      const { port } = yield* startNode()
      const peer = yield* connect(port)
      for (const seq of [0, 7, Number.MAX_SAFE_INTEGER]) {
        const pong = yield* peer.pong(peer.ping(seq))
        assert.deepStrictEqual(pong.payload, { kind: "pong", seq })
      }
    })
  )

  hostile("section 8: a request is answered once, to the requester, and with a ttl if it had one", () =>
    Effect.gen(function* () {
      const { port } = yield* startNode()
      const peer = yield* connect(port)
      for (const more of [{}, { recipient: "node-a" }, { recipient: "node-a", ttl: 1 }]) {
        const id = peer.say("ASK", { question: "who" }, { expectsReply: true, ...more })
        const reply = yield* peer.next("the answer", ({ replyTo }) => replyTo === id)
        assert.strictEqual(reply.type, "ASK")
        assert.strictEqual(reply.recipient, peer.id)
        assert.strictEqual(reply.ttl === undefined, !("ttl" in more))
        assert.deepStrictEqual(reply.payload, { answer: "WHO" })
      }
      yield* assertServes(peer)
      assert.deepStrictEqual(peer.received, [])
    })
  )

  hostile("section 2: a request of a type that is only listened for is UNSUPPORTED_TYPE", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* connect(node.port)
      const id = peer.say("CHAT", { text: secret }, { expectsReply: true })
      const refusal = yield* peer.next("the refusal", ({ replyTo }) => replyTo === id)
      assertError(refusal, { code: "UNSUPPORTED_TYPE", fatal: false, replyTo: id })
      assert.lengthOf(node.delivered, 0)
    })
  )

  hostile("section 2: a request that the application's schema refuses is REQUEST_FAILED, not invalid", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* connect(node.port)
      const id = peer.say("ASK", { question: secret.length }, { expectsReply: true })
      const refusal = yield* peer.next("the refusal", ({ replyTo }) => replyTo === id)
      assertError(refusal, { code: "REQUEST_FAILED", fatal: false, replyTo: id })
      assert.strictEqual(yield* node.count("invalid"), 0)
    })
  )

  hostile("section 8: a broadcast is passed on with one ttl less and all else kept, never back, never at 0", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const [from, to, without] = yield* Effect.all([
        connect(node.port),
        connect(node.port),
        connect(node.port, { hello: { features: [] } })
      ])
      const news = { ...message("node-z", "NEWS", { n: 1e300, text: "ü" }, { ttl: 5 }), trace: [null, { a: 0.1 }] }
      from.send({ ...news, id: "n-0", ttl: 0 })
      from.send(news)
      const passed = yield* to.next("the broadcast", ({ type }) => type === "NEWS")
      assert.deepStrictEqual(passed, { ...news, ttl: 4 })
      for (const peer of [from, to, without]) {
        yield* assertServes(peer)
        assert.deepStrictEqual(peer.received, [])
      }
    })
  )
})
