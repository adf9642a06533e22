/** What may go wrong before a connection is one: docs/PROTOCOL.md, section 3. */
import { assert, describe } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { assertClosesInOrder, assertError, assertServes, hostile, startNode } from "../utils/hostileNode.js"
import type { Message } from "../utils/rawPeer.js"
import { bodyOf, connect, dial, frame, helloPayload, lengthOf, listen, message } from "../utils/rawPeer.js"

interface Row {
  readonly rule: string
  readonly hello: (hello: Message) => unknown
  readonly code: string
  readonly about?: false
  readonly member?: string
}

const refused = (rows: ReadonlyArray<Row>): void => {
  for (const { about, code, hello, member, rule } of rows) {
    hostile(`section 3: ${rule} is ${code}`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const peer = yield* dial(node.port)
        const body = hello(message(peer.id, "HELLO", helloPayload, { id: "h-1" } as Partial<Message>))
        // What comes after it is not looked at.
        const { answers, isOpen } = yield* peer.answersTo(Buffer.isBuffer(body) ? body : frame(body))
        assert.isFalse(isOpen)
        assert.lengthOf(answers, 1, JSON.stringify(answers))
        assertError(answers[0], { code, fatal: true, replyTo: about === false ? undefined : "h-1", member })
        yield* assertClosesInOrder(peer)
        const { counts, peers } = yield* node.network.status
        assert.strictEqual(counts["invalid"] ?? 0, /INVALID|FRAME/.test(code) ? 1 : 0)
        assert.strictEqual(peers.connected, 0)
      })
    )
  }
}

const payload = (more: Readonly<Record<string, unknown>>) => (hello: Message) => ({
  ...hello,
  payload: { ...hello.payload, ...more }
})

const wrong = (member: string, values: ReadonlyArray<unknown>): ReadonlyArray<Row> =>
  values.map((value) => ({
    rule: `${member} ${value === undefined ? "missing" : JSON.stringify(value).slice(0, 40)}`,
    hello: payload({ [member]: value }),
    code: "INVALID_MESSAGE",
    member
  }))

const at = (host: unknown, port: unknown) => ({ host, port })

describe("HELLO", () => {
  refused([
    ...wrong("version", [undefined, null, "1", 1.5, -1]),
    ...wrong("minVersion", [undefined, null, "1", 1.5, -1]),
    ...wrong("network", [undefined, null, 7, "", "x".repeat(129)]),
    ...wrong("listen", [
      undefined,
      null,
      {},
      ["sEcReT:9470"],
      [at("10.0.0.5", "9470")],
      [at("10.0.0.5", -1)],
      [at("10.0.0.5", 65_536)],
      [at("[::1]", 9470)],
      [at("x".repeat(254), 9470)],
      [at(7, 9470)],
      Array.from({ length: 17 }, () => at("127.0.0.1", 1))
    ]),
    ...wrong("features", [
      undefined,
      null,
      "relay",
      [7],
      ["x".repeat(65)],
      ["é".repeat(33)],
      Array.from({ length: 33 }, () => "x")
    ]),
    ...wrong("session", [null, 7, "", "sEcReT 1", "x".repeat(129)]),
    ...wrong("observed", [null, "sEcReT", at("127.0.0.1", 70_000), {}]),
    ...wrong("agent", [null, 7, "x".repeat(257), "é".repeat(129)]),
    ...wrong("maxMessageBytes", [null, "65536", 65_535, 65_536.5]),
    ...wrong("tags", [null, [], { role: 7 }, { role: "x".repeat(512) }]),
    ...wrong("proof", [null, 7]),
    {
      rule: "a recipient",
      hello: (hello) => ({ ...hello, recipient: "node-a" }),
      code: "INVALID_MESSAGE",
      member: "recipient"
    },
    { rule: "a ttl", hello: (hello) => ({ ...hello, ttl: 0 }), code: "INVALID_MESSAGE", member: "ttl" },
    {
      rule: "an invalid envelope",
      hello: (hello) => ({ ...hello, timestamp: "sEcReT" }),
      code: "INVALID_MESSAGE",
      member: "timestamp"
    },
    {
      rule: "an invalid id",
      hello: (hello) => ({ ...hello, id: "sEcReT 1" }),
      code: "INVALID_MESSAGE",
      about: false,
      member: "id"
    },
    { rule: "nesting 65", hello: () => "[".repeat(65), code: "INVALID_MESSAGE", about: false },
    { rule: "a later version alone", hello: payload({ version: 2, minVersion: 2 }), code: "VERSION_MISMATCH" },
    { rule: "version 0", hello: payload({ version: 0, minVersion: 0 }), code: "VERSION_MISMATCH" },
    { rule: "another network", hello: payload({ network: "sEcReT" }), code: "NETWORK_MISMATCH" },
    { rule: "a network by another case", hello: payload({ network: "Synapse" }), code: "NETWORK_MISMATCH" },
    { rule: "the node's own id", hello: (hello) => ({ ...hello, sender: "node-a" }), code: "SELF_CONNECTION" },
    {
      rule: "another version of another network",
      hello: payload({ version: 2, minVersion: 2, network: "other" }),
      code: "VERSION_MISMATCH"
    },
    {
      rule: "the node's own id in another network",
      hello: (hello) => ({ ...payload({ network: "other" })(hello), sender: "node-a" }),
      code: "NETWORK_MISMATCH"
    },
    ...["CHAT", "HEARTBEAT", "PEER_LIST", "DATA_SYNC", "SYNAPSE_X"].map((type): Row => ({
      rule: `${type} first`,
      hello: (hello) => ({ ...hello, type }),
      code: "HANDSHAKE_REQUIRED"
    })),
    {
      rule: "a frame of 8,193 bytes",
      hello: (hello) => bodyOf(8_193, hello),
      code: "FRAME_TOO_LARGE",
      about: false
    },
    {
      rule: "the announced length 8,193, without a body",
      hello: () => lengthOf(8_193),
      code: "FRAME_TOO_LARGE",
      about: false
    },
    { rule: "length 0", hello: () => lengthOf(0), code: "MALFORMED_FRAME", about: false },
    {
      rule: "a request of HTTP",
      hello: () => Buffer.from("GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"),
      code: "FRAME_TOO_LARGE",
      about: false
    },
    { rule: "no JSON", hello: () => "hello", code: "MALFORMED_FRAME", about: false },
    { rule: "no object", hello: () => "[]", code: "MALFORMED_FRAME", about: false }
  ])

  const accepted: ReadonlyArray<readonly [string, Readonly<Record<string, unknown>>]> = [
    ["a later version that speaks this one", { version: 9, minVersion: 1 }],
    ["unknown members and features", { features: ["relay", "sync2", ""], more: { a: [1] } }],
    ["unspecified hosts", { listen: [at("0.0.0.0", 1), at("::", 1), at("", 1), at("::ffff:10.0.0.5", 1)] }],
    [
      "all at its limit",
      {
        network: "synapse",
        listen: Array.from({ length: 16 }, () => at("x".repeat(253), 65_535)),
        features: Array.from({ length: 32 }, () => "x".repeat(64)),
        agent: "x".repeat(256),
        session: "~".repeat(128),
        maxMessageBytes: 65_536
      }
    ]
  ]
  for (const [rule, more] of accepted) {
    hostile(`section 3: ${rule} are fine`, () =>
      Effect.gen(function* () {
        const { port } = yield* startNode()
        const peer = yield* connect(port, { hello: { ...more } })
        yield* assertServes(peer)
        assert.deepStrictEqual(peer.received, [])
      })
    )
  }

  hostile("section 3: a HELLO of 8,192 bytes is taken, and answered with all that a HELLO needs", () =>
    Effect.gen(function* () {
      const { port } = yield* startNode()
      const peer = yield* dial(port)
      const hello = message(peer.id, "HELLO", helloPayload)
      peer.send(bodyOf(8_192, hello))
      const answer = yield* peer.next("HELLO", ({ type }) => type === "HELLO")
      assert.strictEqual(answer.replyTo, hello.id)
      assert.strictEqual(answer.sender, "node-a")
      assert.deepInclude(answer.payload, { version: 1, minVersion: 1, network: "synapse", maxMessageBytes: 1_048_576 })
      assert.deepStrictEqual(answer.payload["observed"], at("127.0.0.1", peer.socket.localPort))
      assert.deepStrictEqual(answer.payload["listen"], [at("127.0.0.1", port)])
      yield* assertServes(peer)
    })
  )

  hostile("section 3: an ERROR first ends the attempt and is not answered", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* dial(node.port)
      peer.say("ERROR", { code: "TEAPOT", message: "", fatal: false })
      yield* assertClosesInOrder(peer)
      assert.deepStrictEqual(peer.received, [])
      assert.strictEqual(yield* node.count("invalid"), 0)
    })
  )

  hostile("section 3: the node's own id with another session is reported as a conflict of ids", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const peer = yield* dial(node.port, "node-a")
      peer.hello({ session: "another" })
      yield* assertClosesInOrder(peer)
      yield* node.until("a conflict", () => node.events.some(({ _tag }) => _tag === "IdConflict"))
    })
  )

  hostile("section 3: who has no room says so, with a time to come again", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxPeers: 2, targetPeers: 2 })
      const first = yield* connect(node.port)
      yield* connect(node.port)
      const peer = yield* dial(node.port)
      const id = peer.hello()
      const error = yield* peer.next("ERROR", ({ type }) => type === "ERROR")
      assertError(error, { code: "TOO_MANY_CONNECTIONS", fatal: true, replyTo: id })
      yield* assertClosesInOrder(peer)
      // One that replaces a connection of the same node is never too many.
      const again = yield* connect(node.port, { id: first.id, hello: { session: "another" } })
      const loser = yield* first.next("ERROR", ({ type }) => type === "ERROR")
      assertError(loser, { code: "DUPLICATE_CONNECTION", fatal: true })
      yield* assertClosesInOrder(first)
      yield* assertServes(again)
    })
  )

  const silent: ReadonlyArray<readonly [string, (hello: Buffer) => Uint8Array]> = [
    ["says nothing", () => Buffer.alloc(0)],
    ["sends a length alone", (hello) => hello.subarray(0, 3)],
    ["sends half a HELLO", (hello) => hello.subarray(0, hello.length / 2)]
  ]
  for (const [what, part] of silent) {
    hostile(`section 3: HANDSHAKE_TIMEOUT for a dialer that ${what}`, () =>
      Effect.gen(function* () {
        const node = yield* startNode({ handshakeTimeout: "300 millis" })
        const peer = yield* dial(node.port)
        peer.write(part(frame(message(peer.id, "HELLO", helloPayload))))
        const error = yield* peer.next("ERROR", ({ type }) => type === "ERROR")
        assertError(error, { code: "HANDSHAKE_TIMEOUT", fatal: true })
        yield* assertClosesInOrder(peer)
        assert.strictEqual(yield* node.count("invalid"), 0)
      })
    )
  }
})

const dialed = (
  rule: string,
  answer: (hello: Message) => ReadonlyArray<unknown>,
  expected: { readonly tag: string; readonly code: string | undefined; readonly about?: number }
): void =>
  hostile(`section 3: ${rule} is ${expected.tag}`, () =>
    Effect.gen(function* () {
      const node = yield* startNode(expected.tag === "HandshakeTimeout" ? { handshakeTimeout: "300 millis" } : {})
      const { accepted, address } = yield* listen
      const attempt = yield* Effect.fork(Effect.either(node.network.connect(address, { retryFor: 0 })))
      const peer = yield* accepted
      const hello = yield* peer.next("HELLO", ({ type }) => type === "HELLO")
      assert.isUndefined(hello.replyTo)
      const sent = answer(hello)
      for (const one of sent) peer.send(one)
      const result = yield* attempt
      assert.strictEqual(result._tag === "Left" ? result.left._tag : "Connected", expected.tag)
      yield* peer.ended
      if (expected.code === undefined) assert.deepStrictEqual(peer.received, [])
      else {
        const about = expected.about === undefined ? undefined : (sent[expected.about] as Message).id
        assertError(peer.received[0], { code: expected.code, fatal: true, replyTo: about })
        assert.lengthOf(peer.received, 1)
      }
      yield* assertClosesInOrder(peer)
    })
  )

const helloTo = (to: Message, more: Readonly<Record<string, unknown>> = {}, sender = "node-b"): Message =>
  message(sender, "HELLO", { ...helloPayload, ...more }, { replyTo: to.id })

describe("The answer to the node's own HELLO", () => {
  const mistake = { code: "INTERNAL", message: "", fatal: true }

  dialed("a CHAT", () => [message("node-b", "CHAT")], {
    tag: "HandshakeRequired",
    code: "HANDSHAKE_REQUIRED",
    about: 0
  })
  dialed("a HELLO that answers nothing", () => [message("node-b", "HELLO", helloPayload)], {
    tag: "InvalidMessage",
    code: "INVALID_MESSAGE",
    about: 0
  })
  dialed("a HELLO without network", (hello) => [helloTo(hello, { network: undefined })], {
    tag: "InvalidMessage",
    code: "INVALID_MESSAGE",
    about: 0
  })
  dialed("another network", (hello) => [helloTo(hello, { network: "other" })], {
    tag: "NetworkMismatch",
    code: "NETWORK_MISMATCH",
    about: 0
  })
  dialed("another version", (hello) => [helloTo(hello, { version: 3, minVersion: 3 })], {
    tag: "VersionMismatch",
    code: "VERSION_MISMATCH",
    about: 0
  })
  dialed("the node's own id", (hello) => [helloTo(hello, {}, "node-a")], {
    tag: "SelfConnection",
    code: "SELF_CONNECTION",
    about: 0
  })
  dialed("silence", () => [], { tag: "HandshakeTimeout", code: "HANDSHAKE_TIMEOUT" })
  dialed("bytes that are no frame", () => [Buffer.alloc(0)], { tag: "MalformedFrame", code: "MALFORMED_FRAME" })
  dialed("a fatal ERROR", () => [message("node-b", "ERROR", mistake)], { tag: "PeerFault", code: undefined })
  dialed(
    "a refusal for want of room",
    (hello) => [message("node-b", "ERROR", { ...mistake, code: "TOO_MANY_CONNECTIONS" }, { replyTo: hello.id })],
    { tag: "TooManyConnections", code: undefined }
  )
})
