import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as TestClock from "effect/TestClock"
import * as Frame from "../src/Frame.js"
import * as Handshake from "../src/Handshake.js"
import type { JsonObject } from "../src/Message.js"
import * as NodeId from "../src/NodeId.js"
import * as Payloads from "../src/Payloads.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import type { HandPlayed } from "./utils/pools.js"
import { addressOf, dialByHand, HandPlayed as Played, helloPayload, makeNode, settle } from "./utils/pools.js"
import { readVectors } from "./vectors/read.js"

const remote = PeerAddress.make("192.0.2.7", 40_000)

const local: Handshake.Local = {
  id: NodeId.make("node-a"),
  session: "session-a",
  network: "synapse",
  listen: [PeerAddress.make("0.0.0.0", 9470)],
  agent: "test/1",
  maxMessageBytes: 100_000,
  tags: { role: "storage" }
}

const hello = (more: JsonObject = {}): Payloads.Hello => Either.getOrThrow(Payloads.decodeHello(helloPayload(more)))

const calm: Handshake.Situation = {
  isSender: true,
  isWelcome: true,
  isMember: true,
  bannedForMs: undefined,
  duplicate: undefined,
  hasRoom: true,
  retryAfterMs: 5_000
}

const nodeB = NodeId.make("node-b")

describe("hello", () => {
  it("is a HELLO that others understand, and fits what may be sent before it is accepted", () => {
    const decoded = Either.getOrThrow(Payloads.decodeHello(Handshake.hello(local, remote)))
    assert.deepStrictEqual(decoded, {
      version: 1,
      minVersion: 1,
      network: "synapse",
      session: "session-a",
      listen: [{ host: "0.0.0.0", port: 9470 }],
      features: ["relay"],
      observed: { host: "192.0.2.7", port: 40_000 },
      agent: "test/1",
      maxMessageBytes: 100_000,
      tags: { role: "storage" }
    })
    assert.notProperty(Handshake.hello({ ...local, tags: {} }, remote), "tags")
    const largest = Handshake.hello(
      {
        ...local,
        listen: Array.from({ length: 16 }, () => PeerAddress.make("x".repeat(253), 65_535)),
        agent: "a".repeat(256),
        tags: { t: "t".repeat(500) }
      },
      PeerAddress.make("x".repeat(253), 65_535)
    )
    assert.isBelow(JSON.stringify(largest).length, Frame.handshakeLimit - 600)
  })
})

describe("judge", () => {
  const existing = { rule: 2, stays: "existing", decides: true } as const
  const newcomer = { rule: 3, stays: "newcomer", decides: true } as const
  /** All that can be wrong, in the page's order, and how each is put right. */
  const wrongs: ReadonlyArray<{
    readonly code: string
    readonly hello?: JsonObject
    readonly sender?: NodeId.NodeId
    readonly situation?: Partial<Handshake.Situation>
  }> = [
    { code: "VERSION_MISMATCH", hello: { version: 9, minVersion: 9 } },
    { code: "NETWORK_MISMATCH", hello: { network: "other" } },
    { code: "SELF_CONNECTION", sender: local.id },
    { code: "BANNED", situation: { bannedForMs: 1_000 } },
    { code: "DUPLICATE_CONNECTION", situation: { duplicate: existing } },
    { code: "TOO_MANY_CONNECTIONS", situation: { hasRoom: false } }
  ]

  it("refuses for the first reason in the page's order", () => {
    for (const [index, { code }] of wrongs.entries()) {
      const all = wrongs.slice(index)
      const payload: JsonObject = Object.assign({}, ...all.map((wrong) => wrong.hello))
      const sender = all.find((wrong) => wrong.sender !== undefined)?.sender ?? nodeB
      const situation: Handshake.Situation = Object.assign({}, calm, ...all.map((wrong) => wrong.situation))
      assert.strictEqual(Handshake.judge(local, sender, hello(payload), "inbound", situation)?.code, code)
    }
    assert.isUndefined(Handshake.judge(local, nodeB, hello(), "inbound", calm))
    assert.isUndefined(Handshake.judge(local, nodeB, hello({ version: 9 }), "outbound", calm))
    assert.strictEqual(
      Handshake.judge(local, nodeB, hello({ version: 0, minVersion: 0 }), "outbound", calm)?.code,
      "VERSION_MISMATCH"
    )
  })

  it("only an acceptor refuses a newcomer that would lose, and one that replaces another is never too many", () => {
    const full = { ...calm, hasRoom: false }
    assert.isUndefined(Handshake.judge(local, nodeB, hello(), "outbound", { ...full, duplicate: existing }))
    for (const direction of ["inbound", "outbound"] as const) {
      assert.isUndefined(Handshake.judge(local, nodeB, hello(), direction, { ...full, duplicate: newcomer }))
      assert.deepInclude(Handshake.judge(local, nodeB, hello(), direction, full), {
        code: "TOO_MANY_CONNECTIONS",
        retryAfterMs: 5_000
      })
    }
  })

  it("one's own id is a conflict where another session says that another node has it", () => {
    const conflict = (more: JsonObject) => Handshake.judge(local, local.id, hello(more), "inbound", calm)?.isConflict
    assert.isTrue(conflict({ session: "other" }))
    assert.isFalse(conflict({ session: "session-a" }))
    const { session: _, ...without } = hello()
    assert.isFalse(Handshake.judge(local, local.id, without, "inbound", calm)?.isConflict)
  })

  it("says how long a ban still lasts", () => {
    const refusal = Handshake.judge(local, nodeB, hello(), "inbound", { ...calm, bannedForMs: 1_234 })
    assert.deepInclude(refusal, { code: "BANNED", retryAfterMs: 1_234 })
  })
})

describe("identity", () => {
  it("puts the host that is seen in place of unspecified ones, and keeps the rest", () => {
    const listen = ["0.0.0.0", "::", "", "10.0.0.5"].map((host, index) => ({ host, port: 9_000 + index }))
    const identity = Handshake.identity(nodeB, hello({ listen, agent: "x/2", tags: { a: "b" } }), remote)
    assert.deepStrictEqual(identity, {
      id: nodeB,
      session: "raw-session",
      relay: true,
      maxMessageBytes: Frame.defaultLimit,
      listen: [
        PeerAddress.make("192.0.2.7", 9_000),
        PeerAddress.make("192.0.2.7", 9_001),
        PeerAddress.make("192.0.2.7", 9_002),
        PeerAddress.make("10.0.0.5", 9_003)
      ],
      agent: "x/2",
      tags: { a: "b" }
    })
    assert.isFalse(Handshake.identity(nodeB, hello({ features: ["warp"] }), remote).relay)
  })
})

// --- The exchange over a link ---

const listening = (settings = {}) =>
  Effect.gen(function* () {
    const network = MemoryTransport.makeNetwork()
    const node = yield* makeNode("n", network.transport("10.0.0.110"), settings)
    yield* node.listen
    return { network, node }
  })

/** A listener played by hand at b's address, and the node that dials it. */
const dialing = (settings = {}) =>
  Effect.gen(function* () {
    const { network, node } = yield* listening(settings)
    const links: Array<HandPlayed> = []
    yield* network.transport("10.0.0.98").listen(addressOf("b"), (link) => links.push(new Played(link, "b")))
    return { node, links }
  })

describe("the handshake of an acceptor", () => {
  it.scoped("answers HELLO with HELLO and is open", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* dialByHand(network, node, "b")
      const sent = peer.hello()
      yield* settle
      assert.deepStrictEqual(peer.said, ["HELLO"])
      assert.strictEqual(peer.heard[0]?.replyTo, sent.id)
      assert.deepStrictEqual(peer.heard[0]?.payload["observed"], { host: "10.1.0.1", port: peer.link.local.port })
      assert.isTrue(node.pool.unsafeLive().has(peer.id))
      assert.deepStrictEqual(
        (yield* node.events).map(({ _tag }) => _tag),
        ["Opened"]
      )
    })
  )

  it.scoped("who says nothing is told so in time, and is gone after the close", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* dialByHand(network, node, "b")
      yield* settle
      yield* TestClock.adjust(4_990)
      assert.deepStrictEqual(peer.said, [])
      yield* TestClock.adjust(10)
      yield* settle
      assert.deepStrictEqual(peer.said, ["HANDSHAKE_TIMEOUT"])
      assert.isTrue(peer.hasEnded)
      assert.strictEqual(node.pool.counts().closing, 1)
      yield* TestClock.adjust(2_000)
      yield* settle
      assert.deepStrictEqual(node.pool.counts(), { inbound: 0, outbound: 0, handshaking: 0, closing: 0 })
      const [event] = yield* node.events
      assert.deepInclude(event, { _tag: "HandshakeFailed", direction: "inbound" })
      assert.strictEqual(node.stats.counts["handshakesFailed"], 1)
      assert.deepStrictEqual(node.stats.errors, { HandshakeTimeout: 1 })
    })
  )

  it.scoped("bytes that are no frame end it", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* dialByHand(network, node, "b")
      peer.write(new TextEncoder().encode("GET / HTTP/1.1\r\n\r\n"))
      yield* settle
      assert.deepStrictEqual(peer.said, ["FRAME_TOO_LARGE"])
      assert.isTrue(peer.hasEnded)
    })
  )
})

describe("the handshake of a dialer", () => {
  it.scoped("says HELLO, and nothing more until the answer", () =>
    Effect.gen(function* () {
      const { links, node } = yield* dialing()
      const fiber = yield* Effect.fork(node.pool.dial(addressOf("b")))
      yield* settle
      assert.deepStrictEqual(links[0]?.said, ["HELLO"])
      assert.deepStrictEqual(links[0]?.heard[0]?.payload["listen"], [{ host: "10.0.0.110", port: 9470 }])
      assert.strictEqual(node.pool.counts().handshaking, 1)
      links[0]?.answer({ listen: [{ host: "0.0.0.0", port: 7 }] })
      const connection = yield* Fiber.join(fiber)
      assert.deepStrictEqual(connection.identity?.listen, [PeerAddress.make(addressOf("b").host, 7)])
      assert.deepStrictEqual(node.pool.counts(), { inbound: 0, outbound: 1, handshaking: 0, closing: 0 })
    })
  )

  it.scoped("waits for the answer only so long", () =>
    Effect.gen(function* () {
      const { links, node } = yield* dialing()
      const fiber = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"))))
      yield* settle
      yield* TestClock.adjust("5 seconds")
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error._tag, "HandshakeTimeout")
      yield* settle
      assert.deepStrictEqual(links[0]?.said, ["HELLO", "HANDSHAKE_TIMEOUT"])
      assert.deepStrictEqual(node.stats.errors, { HandshakeTimeout: 1 }, "counted once")
    })
  )

  it.scoped("an answer to another message than its HELLO is invalid", () =>
    Effect.gen(function* () {
      for (const replyTo of [undefined, "other"]) {
        const { links, node } = yield* dialing()
        const fiber = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"))))
        yield* settle
        links[0]?.hello({}, replyTo)
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "InvalidMessage")
        yield* settle
        assert.deepStrictEqual(links[0]?.said, ["HELLO", "INVALID_MESSAGE"])
        assert.match(String(links[0]?.heard[1]?.payload["message"]), /^replyTo/)
      }
    })
  )

  it.scoped("another node than the one asked for fails the dial; than the one hinted at does not", () =>
    Effect.gen(function* () {
      const { links, node } = yield* dialing()
      const fiber = yield* Effect.fork(
        Effect.flip(node.pool.dial(addressOf("b"), { expect: NodeId.make("c"), isOnce: true }))
      )
      yield* settle
      links[0]?.answer()
      const error = yield* Fiber.join(fiber)
      assert.strictEqual(error.message, `at ${addressOf("b")} is b, not c`)
      yield* settle
      assert.deepStrictEqual(links[0]?.said, ["HELLO", "DISCONNECTED"])
      const again = yield* Effect.fork(node.pool.dial(addressOf("b"), { hint: NodeId.make("c") }))
      yield* settle
      links[1]?.answer()
      assert.strictEqual((yield* Fiber.join(again)).identity?.id, "b")
    })
  )
})

// --- The vectors ---

interface Case {
  readonly description: string
  readonly role: "acceptor" | "dialer"
  readonly received: ReadonlyArray<JsonObject>
  readonly full?: boolean
  readonly connected?: ReadonlyArray<{ readonly id: string; readonly session: string }>
  readonly expected: {
    readonly answers: ReadonlyArray<string>
    readonly open: boolean
    readonly member?: string
    readonly conflict?: boolean
  }
}

describe("handshakes.json", () => {
  for (const vector of readVectors<Case>("handshakes.json")) {
    it.scoped(`${vector.role}: ${vector.description}`, () =>
      Effect.gen(function* () {
        const { connected = [], expected, full = false, received, role } = vector
        const network = MemoryTransport.makeNetwork()
        const node = yield* makeNode("node-a", network.transport("10.0.0.110"), { maxPeers: full ? 1 : 8 })
        yield* node.listen
        for (const { id, session } of full && connected.length === 0 ? [{ id: "node-c", session: "c" }] : connected) {
          const other = yield* dialByHand(network, node, id, "10.1.0.9")
          other.hello({ session })
          yield* settle
        }
        yield* node.events
        let peer: HandPlayed | undefined
        if (role === "acceptor") peer = yield* dialByHand(network, node, "node-b")
        else {
          yield* network.transport("10.0.0.98").listen(addressOf("b"), (link) => {
            peer = new Played(link, "node-b")
          })
          yield* Effect.forkScoped(Effect.ignore(node.pool.dial(addressOf("b"))))
        }
        yield* settle
        const hers = peer?.heard.splice(0)[0]?.id
        for (const envelope of received) {
          // The node's session cannot be chosen; the vectors call it session-a.
          const text = JSON.stringify(envelope)
            .replace('"$hello"', `"${hers}"`)
            .replace('"session-a"', `"${node.node.session()}"`)
          peer?.write(Frame.encode(text))
        }
        yield* settle
        assert.deepStrictEqual(peer?.said, expected.answers)
        const ids = received.map((envelope) => envelope["id"])
        for (const answer of peer?.heard ?? []) assert.include(ids, answer.replyTo)
        assert.strictEqual(peer?.hasEnded, !expected.open)
        assert.strictEqual(node.pool.unsafeLive().has(nodeB), expected.open)
        const last = peer?.heard.at(-1)
        if (expected.member !== undefined) {
          assert.isTrue(String(last?.payload["message"]).startsWith(`${expected.member}:`))
        }
        if (!expected.open && last !== undefined) assert.isTrue(last.payload["fatal"])
        const conflicts = (yield* node.events).filter(({ _tag }) => _tag === "Conflict")
        if (expected.conflict !== undefined) assert.strictEqual(conflicts.length, expected.conflict ? 1 : 0)
      })
    )
  }
})
