import { createHash, createPublicKey, verify } from "node:crypto"
import { readFileSync } from "node:fs"
import { assert, describe, it } from "@effect/vitest"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Frame from "../src/Frame.js"
import * as Message from "../src/Message.js"
import * as NodeId from "../src/NodeId.js"
import * as Payloads from "../src/Payloads.js"
import { readVectors } from "./vectors/read.js"

interface PayloadCase {
  readonly description: string
  readonly payload: Message.JsonObject
  readonly result: "valid" | "INVALID_MESSAGE" | "ignored"
  readonly decoded?: unknown
  readonly member?: string
}

const decoders: Readonly<Record<string, (payload: Message.JsonObject) => Either.Either<unknown, string>>> = {
  "hello.json": Payloads.decodeHello,
  "heartbeat.json": Payloads.decodeHeartbeat,
  "peer-list.json": Payloads.decodePeerList,
  "error.json": Payloads.decodeError
}

for (const [file, decode] of Object.entries(decoders)) {
  describe(`vectors: ${file}`, () => {
    for (const { decoded, description, member, payload, result } of readVectors<PayloadCase>(file)) {
      it(`${description}`, () => {
        const either = decode(payload)
        switch (result) {
          case "valid":
            return assert.deepStrictEqual(either, Either.right(decoded))
          case "ignored":
            return assert.deepStrictEqual(either, Either.right({ kind: "unknown" }))
          case "INVALID_MESSAGE":
            return assert.strictEqual(Either.isLeft(either) ? either.left.split(":")[0] : undefined, member)
        }
      })
    }
  })

  describe(`the decoder of ${file}`, () => {
    it("answers any object without a throw", () => {
      fc.assert(
        fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (payload) => {
          assert.isTrue(Either.isEither(decode(payload as Message.JsonObject)))
        })
      )
    })

    it("repeats nothing of what came, however one member is spoilt", () => {
      const secret = "s3cr3t\u0000[]"
      for (const { payload, result } of readVectors<PayloadCase>(file)) {
        if (result !== "valid") continue
        for (const member of Object.keys(payload)) {
          for (const spoilt of [secret, [secret], { [secret]: { host: secret, port: secret } }, [{ host: secret }]]) {
            const either = decode({ ...payload, [member]: spoilt } as Message.JsonObject)
            if (Either.isRight(either)) continue
            assert.notInclude(either.left, "s3cr3t")
            assert.match(either.left, new RegExp(`^${member}: [a-z]`))
          }
        }
      }
    })
  })
}

const hello: Message.JsonObject = { version: 1, minVersion: 1, network: "synapse", listen: [], features: [] }

describe("Payloads.Hello", () => {
  it("comes back the same from its own JSON", () => {
    for (const { decoded, result } of readVectors<PayloadCase>("hello.json")) {
      if (result !== "valid") continue
      const json = Schema.encodeUnknownSync(Payloads.Hello)(decoded) as unknown as Message.JsonObject
      assert.deepStrictEqual(Either.getOrThrow(Payloads.decodeHello(json)), decoded)
    }
  })

  it("names the first broken member in the page's order", () => {
    assert.deepStrictEqual(Payloads.decodeHello({}), Either.left("version: is missing"))
    assert.deepStrictEqual(
      Payloads.decodeHello({ ...hello, agent: 1, network: "" }),
      Either.left("network: not a string of 1 to 128 characters")
    )
  })

  it("keeps tags named like __proto__ as they are", () => {
    const tags = JSON.parse('{"__proto__":"a","constructor":"b"}') as Message.JsonObject
    const decoded = Either.getOrThrow(Payloads.decodeHello({ ...hello, tags }))
    assert.deepStrictEqual(Object.entries(decoded.tags), [
      ["__proto__", "a"],
      ["constructor", "b"]
    ])
  })

  it("is decoded as its schema says, whatever one or two members are", () => {
    const bySchema = Schema.decodeUnknownEither(Payloads.Hello)
    const hosts = fc.constantFrom(
      "a.example",
      "",
      "::",
      "::ffff:10.0.0.1",
      "[::1]",
      "é".repeat(127),
      "é".repeat(126),
      1
    )
    const ports = fc.constantFrom(0, 9470, 65_535, 65_536, -1, 1.5, "1", null)
    const address = fc.record({ host: hosts, port: ports, more: fc.boolean() }, { requiredKeys: [] })
    const number = fc.constantFrom(0, -0, 1, -1, 1.5, 65_535, 65_536, 2 ** 53, 1e300, "1")
    const text = fc.constantFrom(
      "",
      "a",
      "é".repeat(32),
      "é".repeat(33),
      "x".repeat(128),
      "é".repeat(129),
      "\n",
      1,
      null
    )
    const members: { readonly [member: string]: fc.Arbitrary<unknown> } = {
      version: number,
      minVersion: number,
      network: text,
      listen: fc.oneof(
        fc.array(address, { maxLength: 3 }),
        fc.constant(Array.from({ length: 17 }, () => ({ host: "a", port: 1 }))),
        text
      ),
      features: fc.oneof(fc.array(text, { maxLength: 3 }), fc.constant(Array(33).fill("a")), address),
      session: text,
      observed: address,
      agent: fc.oneof(text, fc.constantFrom("é".repeat(128), "é".repeat(129))),
      maxMessageBytes: number,
      tags: fc.oneof(fc.dictionary(fc.string(), fc.oneof(fc.string(), fc.integer()), { maxKeys: 2 }), text),
      proof: text,
      other: fc.jsonValue()
    }
    const valid = readVectors<PayloadCase>("hello.json").filter(({ result }) => result === "valid")
    const changed = fc
      .tuple(
        fc.constantFrom(...valid.map(({ payload }) => payload)),
        fc.record(members, { requiredKeys: [] }),
        fc.subarray(Object.keys(members), { maxLength: 2 })
      )
      .map(([payload, others, chosen]) => {
        const some = Object.entries(others).filter(([member]) => chosen.includes(member))
        return Object.assign({}, payload, Object.fromEntries(some))
      })
    fc.assert(
      fc.property(changed, (payload) => {
        const decoded = Payloads.decodeHello(payload as Message.JsonObject)
        const expected = bySchema(payload)
        if (Either.isLeft(expected)) return assert.isTrue(Either.isLeft(decoded))
        assert.deepStrictEqual(Either.getOrThrow(decoded), expected.right)
      }),
      { numRuns: 500 }
    )
  })

  it("does not find members in prototypes", () => {
    const { version: _, ...rest } = hello
    const payload = JSON.parse(`{"__proto__":{"version":1},${JSON.stringify(rest).slice(1)}`) as Message.JsonObject
    assert.deepStrictEqual(Payloads.decodeHello(payload), Either.left("version: is missing"))
  })
})

const entry = (i: number): Payloads.PeerEntry => ({
  id: NodeId.make(`node-${i}`),
  addresses: [{ host: "10.0.0.1", port: 1 + (i % 60_000) }]
})

describe("Payloads.decodePeerList", () => {
  it("reads as many entries as a list carries, and no more", () => {
    const peers = Array.from({ length: 300 }, (_, i) => entry(i))
    const decoded = Either.getOrThrow(Payloads.decodePeerList({ kind: "response", peers }))
    assert.deepStrictEqual(decoded, { kind: "response", peers: peers.slice(0, Payloads.maxPeerEntries) })
    const error = Payloads.decodeError({ code: "TOO_MANY_CONNECTIONS", message: "", fatal: true, peers })
    assert.strictEqual(Either.getOrThrow(error).peers?.length, Payloads.maxErrorPeers)
  })

  it("skips half a million bad entries in well under seconds", () => {
    const started = performance.now()
    const peers = [...Array.from({ length: 500_000 }, () => ({ id: "a", addresses: [{}] })), entry(1)]
    const decoded = Either.getOrThrow(Payloads.decodePeerList({ kind: "announce", peers }))
    assert.deepStrictEqual(decoded, { kind: "announce", peers: [entry(1)] })
    assert.isBelow(performance.now() - started, 5000)
  })
})

const known = <K extends string>(...kinds: ReadonlyArray<K>) => Schema.Struct({ kind: Schema.Literal(...kinds) })
const isHost = (host: string): boolean =>
  Buffer.byteLength(host) <= 253 && !host.includes("[") && !host.includes("]") && !["", "0.0.0.0", "::"].includes(host)

describe("The decoders of HEARTBEAT, PEER_LIST and ERROR", () => {
  const count = Schema.Number.pipe(Schema.filter((n) => Number.isInteger(n) && n >= 0))
  const isEntry = Schema.is(
    Schema.Struct({
      id: Schema.String.pipe(Schema.pattern(/^[A-Za-z0-9._:-]{1,128}$/)),
      addresses: Schema.Array(
        Schema.Struct({
          host: Schema.String.pipe(Schema.filter(isHost)),
          port: Schema.Int.pipe(Schema.between(1, 65_535))
        })
      ).pipe(Schema.minItems(1), Schema.maxItems(8)),
      lastSeen: Schema.optional(Schema.Literal("2026-11-22T14:00:00Z"))
    })
  )
  const entriesOf = (peers: unknown) => (Array.isArray(peers) ? peers.filter((one) => isEntry(one)) : undefined)
  const heartbeat = Schema.extend(known("ping", "pong"), Schema.Struct({ seq: count }))
  const list = Schema.Union(
    Schema.extend(known("request"), Schema.Struct({ limit: count })),
    Schema.extend(known("response", "announce"), Schema.Struct({ peers: Schema.Array(Schema.Unknown) }))
  )
  const error = Schema.Struct({
    code: Schema.String,
    message: Schema.String,
    fatal: Schema.Boolean,
    retryAfterMs: Schema.optional(Schema.Number.pipe(Schema.finite(), Schema.nonNegative())),
    peers: Schema.optional(Schema.Array(Schema.Unknown))
  })

  const number = fc.constantFrom<unknown>(0, -0, 1, -1, 1.5, 256, 2 ** 53, 1e300, Infinity, "1", null)
  const address = fc.record(
    {
      host: fc.constantFrom(
        "10.0.0.1",
        "a.example",
        "::1",
        "",
        "::",
        "0.0.0.0",
        "[::1]",
        "a]",
        "é".repeat(127),
        "é".repeat(126),
        1
      ),
      port: fc.constantFrom(1, 9470, 65_535, 0, 65_536, -1, 1.5, "1", null)
    },
    { requiredKeys: [] }
  )
  const good = fc.constant({ host: "10.0.0.1", port: 9470 })
  const entry = fc.record(
    {
      id: fc.constantFrom("node-a", "node-b", "x".repeat(128), "x".repeat(129), "", "a b", 1),
      addresses: fc.oneof(
        fc.array(good, { maxLength: 9 }),
        fc.array(fc.oneof(good, address), { maxLength: 3 }),
        address
      ),
      lastSeen: fc.constantFrom(
        "2026-11-22T14:00:00Z",
        "2026-11-22T14:00:00Z",
        "2026-02-30T14:00:00Z",
        "yesterday",
        1,
        null
      )
    },
    { requiredKeys: [] }
  )
  const usable = fc.record({ id: fc.constant("node-a"), addresses: fc.array(good, { minLength: 1, maxLength: 8 }) })
  const payloads = fc.record(
    {
      kind: fc.constantFrom("ping", "pong", "request", "response", "announce", "later", "", 1, null),
      seq: number,
      limit: number,
      peers: fc.oneof(fc.array(fc.oneof(usable, entry, fc.jsonValue()), { maxLength: 4 }), fc.jsonValue()),
      code: fc.oneof(fc.string(), fc.constantFrom("INTERNAL", "BANNED", 1, null)),
      message: fc.oneof(fc.string(), fc.constantFrom(1, null)),
      fatal: fc.constantFrom(true, false, "true", 0, null),
      retryAfterMs: number,
      failure: fc.jsonValue(),
      other: fc.jsonValue()
    },
    { requiredKeys: [] }
  ) as fc.Arbitrary<unknown> as fc.Arbitrary<Message.JsonObject>

  it("agree with their rules as a schema has them, over near misses of all kinds", () => {
    const taken = { heartbeats: 0, lists: 0, errors: 0, entries: 0 }
    fc.assert(
      fc.property(payloads, (payload) => {
        const beat = Payloads.decodeHeartbeat(payload)
        const { kind, peers } = payload
        const isOther = (...kinds: ReadonlyArray<unknown>) => typeof kind === "string" && !kinds.includes(kind)
        if (Schema.is(heartbeat)(payload)) {
          taken.heartbeats++
          assert.deepStrictEqual(beat, Either.right({ kind: payload.kind, seq: payload.seq }))
        } else if (isOther("ping", "pong")) assert.deepStrictEqual(beat, Either.right({ kind: "unknown" }))
        else assert.isTrue(Either.isLeft(beat))

        const listed = Payloads.decodePeerList(payload)
        if (isOther("request", "response", "announce"))
          assert.deepStrictEqual(listed, Either.right({ kind: "unknown" }))
        else assert.strictEqual(Either.isRight(listed), Schema.is(list)(payload))
        if (Either.isRight(listed) && "peers" in listed.right) {
          taken.lists++
          taken.entries += listed.right.peers.length
          assert.deepStrictEqual(
            listed.right.peers.map(({ id }) => id),
            entriesOf(peers)?.map(({ id }) => id as NodeId.NodeId)
          )
        }

        const failed = Payloads.decodeError(payload)
        assert.strictEqual(Either.isRight(failed), Schema.is(error)(payload))
        if (Either.isRight(failed)) {
          taken.errors++
          assert.strictEqual(failed.right.peers?.length, entriesOf(peers)?.length)
        }
      }),
      { numRuns: 3_000, seed: 5 }
    )
    for (const [what, times] of Object.entries(taken)) assert.isAbove(times, 20, what)
  })
})

const size = (entries: ReadonlyArray<Payloads.PeerEntry>): number =>
  new TextEncoder().encode(JSON.stringify(entries)).length

describe("Payloads.fit", () => {
  const arbitraryEntry: fc.Arbitrary<Payloads.PeerEntry> = fc.record(
    {
      id: fc.stringMatching(/^[a-z]{1,8}$/).map(NodeId.make),
      addresses: fc.array(fc.record({ host: fc.fullUnicodeString({ maxLength: 12 }), port: fc.nat(65_535) }), {
        maxLength: 3
      }),
      lastSeen: fc.constant("2026-11-22T14:00:00Z")
    },
    { requiredKeys: ["id", "addresses"] }
  )

  it("keeps the longest prefix whose JSON takes no more than the bytes", () => {
    fc.assert(
      fc.property(fc.array(arbitraryEntry, { maxLength: 6 }), fc.nat(600), (entries, bytes) => {
        const kept = Payloads.fit(entries, bytes)
        assert.deepStrictEqual(kept, entries.slice(0, kept.length))
        if (kept.length > 0) assert.isAtMost(size(kept), bytes)
        if (kept.length < entries.length) assert.isAbove(size(entries.slice(0, kept.length + 1)), bytes)
      })
    )
  })

  it("takes a list that fits to the byte", () => {
    const [entries] = fc.sample(fc.array(arbitraryEntry, { minLength: 3, maxLength: 3 }), { numRuns: 1, seed: 7 })
    assert.isDefined(entries)
    if (entries === undefined) return
    assert.strictEqual(Payloads.fit(entries, size(entries)).length, 3)
    assert.strictEqual(Payloads.fit(entries, size(entries) - 1).length, 2)
    assert.deepStrictEqual(Payloads.fit(entries, 0), [])
  })
})

describe("payloads", () => {
  it("are JSON objects as they stand, to be sent as they are", () => {
    const heartbeat: Payloads.Heartbeat = { kind: "ping", seq: 1 }
    const list: Payloads.PeerList = { kind: "response", peers: [entry(1)] }
    const error: Payloads.ErrorPayload = { code: "INTERNAL", message: "", fatal: true, peers: [entry(1)] }
    const decoded: Payloads.Hello = Either.getOrThrow(Payloads.decodeHello(hello))
    const payloads: ReadonlyArray<Message.JsonObject> = [heartbeat, list, error, decoded]
    for (const payload of payloads) assert.isUndefined(Message.payloadFault(payload))
  })
})

interface HandshakeCase {
  readonly description: string
  readonly role: "acceptor" | "dialer"
  readonly received: ReadonlyArray<Message.JsonObject>
  readonly expected: { readonly answers: ReadonlyArray<string>; readonly open: boolean; readonly member?: string }
}

describe("vectors: handshakes.json", () => {
  for (const { description, expected, received } of readVectors<HandshakeCase>("handshakes.json")) {
    it(`holds messages that are what it says: ${description}`, () => {
      const faults = received.flatMap((value) => {
        const decoded = Message.decode(new TextEncoder().encode(JSON.stringify(value)))
        if (decoded._tag !== "Message") return [decoded.detail]
        const { payload, recipient, ttl, type } = decoded.envelope
        if (type !== "HELLO") return []
        if (recipient !== undefined) return ["recipient: HELLO belongs to one link"]
        if (ttl !== undefined) return ["ttl: HELLO belongs to one link"]
        const hello = Payloads.decodeHello(payload)
        return Either.isLeft(hello) ? [hello.left] : []
      })
      assert.deepStrictEqual(
        faults.map((fault) => fault.split(":")[0]),
        expected.member === undefined ? [] : [expected.member]
      )
      assert.isTrue(expected.open || expected.answers.length <= 1)
    })
  }
})

describe("docs/PROTOCOL.md", () => {
  const page = readFileSync(new URL("../docs/PROTOCOL.md", import.meta.url), "utf8")
  const shown = Array.from(
    page.matchAll(/^\*\*(.+)\*\*, (\d+) bytes\n```json\n(.+)\n```$/gm),
    ([, title, length, json]) => ({
      title: title ?? "",
      length: Number(length),
      json: json ?? ""
    })
  )

  it("shows messages that are as long as it says, and valid where it does not say otherwise", () => {
    assert.isAbove(shown.length, 20)
    for (const { json, length, title } of shown) {
      const body = new TextEncoder().encode(json)
      assert.strictEqual(body.length, length, title)
      const decoded = Message.decode(body)
      assert.strictEqual(decoded._tag, title.endsWith("(invalid)") ? "Invalid" : "Message", title)
      if (decoded._tag !== "Message") continue
      const { payload, type } = decoded.envelope
      const file = {
        HELLO: "hello.json",
        HEARTBEAT: "heartbeat.json",
        PEER_LIST: "peer-list.json",
        ERROR: "error.json"
      }
      const decode = decoders[file[type as keyof typeof file]]
      if (decode !== undefined) {
        const filled = type === "HELLO" ? { tags: {}, ...payload } : payload
        assert.deepStrictEqual(decode(payload), Either.right(filled), title)
      }
    }
  })

  it("shows bytes that are the frames it says", () => {
    const dumps = Array.from(page.matchAll(/^```\n(0{8} {2}[^`]+)```$/gm), ([, dump]) => dump ?? "")
    const decoder = new Frame.Decoder(Frame.handshakeLimit)
    const messages = dumps.map((dump) => {
      const hex = dump.split("\n").map((line) => line.slice(10, 58))
      decoder.push(Buffer.from(hex.join("").replaceAll(" ", ""), "hex"))
      const body = decoder.next()
      return body instanceof Uint8Array ? Message.decode(body) : undefined
    })
    assert.isFalse(decoder.isMidFrame)
    assert.deepStrictEqual(
      messages.map((decoded) => (decoded?._tag === "Message" ? decoded.envelope.payload : undefined)),
      [{ kind: "ping", seq: 7 }, { text: "¿qué?" }]
    )
  })

  it("shows a signature that holds", () => {
    const { json = "" } = shown.find(({ title }) => title === "A signed message") ?? {}
    const signed = /^```text\n([^`]+)\n```$/m.exec(page)?.[1] ?? ""
    const { signature, ttl: _, ...rest } = JSON.parse(json) as Message.Envelope
    assert.deepStrictEqual(JSON.parse(signed.split("\n")[2] ?? ""), rest)
    const spki = Buffer.from(signature?.key ?? "", "base64")
    const key = createPublicKey({ key: spki, format: "der", type: "spki" })
    assert.isTrue(verify(null, Buffer.from(signed), key, Buffer.from(signature?.value ?? "", "base64")))
    const bits = Array.from(createHash("sha256").update(spki).digest(), (byte) => byte.toString(2).padStart(8, "0"))
    const letters = `${bits.join("")}0000`
      .match(/.{5}/g)
      ?.map((five) => "abcdefghijklmnopqrstuvwxyz234567"[parseInt(five, 2)])
    assert.strictEqual(rest.sender, letters?.join(""))
  })

  it("counts the cases of each file of vectors", () => {
    const rows = Array.from(page.matchAll(/^\| `([a-z-]+\.json)` \| [^|]+ \| (\d+) \|/gm), ([, file, count]) => [
      file,
      Number(count)
    ])
    assert.strictEqual(rows.length, 10)
    for (const [file, count] of rows)
      assert.strictEqual(readVectors<PayloadCase>(String(file)).length, count, String(file))
  })
})
