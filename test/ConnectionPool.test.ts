import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as TestClock from "effect/TestClock"
import type * as ConnectionPool from "../src/ConnectionPool.js"
import type { JsonObject } from "../src/Message.js"
import * as NodeId from "../src/NodeId.js"
import * as Payloads from "../src/Payloads.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import type { Transport } from "../src/Transport.js"
import type { HandPlayed } from "./utils/pools.js"
import { addressOf, dialByHand, helloPayload, joined, listening, makeNode, played, settle } from "./utils/pools.js"

const none = { inbound: 0, outbound: 0, handshaking: 0, closing: 0 }

const b = NodeId.make("b")

const tags = (events: ReadonlyArray<ConnectionPool.PoolEvent>): ReadonlyArray<string> => events.map(({ _tag }) => _tag)

const withDial = (transport: Transport["Type"], dial: Transport["Type"]["dial"]): Transport["Type"] => ({
  ...transport,
  dial
})

/** A message longer than what a write takes at once. */
const big = (from: { readonly control: (type: string, payload: JsonObject) => Uint8Array }, n: number): Uint8Array =>
  from.control("BIG", { n, filler: "x".repeat(70_000) })

/** Says it as b. */
const say = (link: HandPlayed | undefined, n: number, more = {}) =>
  Effect.suspend(() => {
    link?.send("CHAT", { n }, { sender: b, ...more })
    return settle
  })

describe("limits", () => {
  it.scoped("maxPeers and maxInbound bound the peers; a full node names others and when to come again", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxPeers: 8, maxInbound: 2 })
      yield* joined(network, node, "b")
      yield* joined(network, node, "c", "10.1.0.2")
      assert.isFalse(node.pool.hasTurnedAway())
      const third = yield* joined(network, node, "d", "10.1.0.3")
      assert.deepStrictEqual(third.said, ["TOO_MANY_CONNECTIONS"])
      assert.deepStrictEqual([node.pool.hasTurnedAway(), node.pool.hasTurnedAway()], [true, false], "told once")
      const payload = third.heard[0]?.payload
      assert.strictEqual(payload?.["retryAfterMs"], 5_000)
      const peers = Either.getOrThrow(Payloads.decodeError(payload ?? {})).peers ?? []
      assert.deepStrictEqual(peers.map(({ id }) => String(id)).sort(), ["b", "c"])
      assert.deepStrictEqual(node.pool.counts(), { ...none, inbound: 2, closing: 1 })
      const again = yield* joined(network, node, "b")
      assert.deepStrictEqual(again.said, ["HELLO"], "one that replaces another is never too many")
    })
  )

  it.scoped("a dial beyond maxPeers fails at home", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxPeers: 1 })
      yield* joined(network, node)
      const links = yield* played(network, "c")
      const error = yield* Effect.flip(node.pool.dial(addressOf("c")))
      assert.strictEqual(error._tag, "TooManyConnections")
      assert.strictEqual(links.length, 0)
    })
  )

  it.scoped("maxConnectionsPerIp counts what comes from one address; loopback is exempt", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxConnectionsPerIp: 2 })
      const first = yield* joined(network, node, "b", "10.1.0.1")
      yield* joined(network, node, "c", "10.1.0.1")
      const third = yield* joined(network, node, "d", "10.1.0.1")
      assert.deepStrictEqual(third.said, ["TOO_MANY_CONNECTIONS"])
      assert.isTrue(third.hasEnded)
      for (const id of ["e", "f", "g"]) {
        assert.deepStrictEqual((yield* joined(network, node, id, "127.0.0.1")).said, ["HELLO"])
      }
      first.link.destroy()
      yield* settle
      assert.deepStrictEqual((yield* joined(network, node, "d", "10.1.0.1")).said, ["HELLO"])
      const failed = (yield* node.events).filter(({ _tag }) => _tag === "HandshakeFailed")
      assert.strictEqual(failed.length, 1)
      assert.strictEqual(node.stats.counts["handshakesFailed"], 1)
    })
  )

  it.scoped("links turned away are bounded, and destroyed where they do not go", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxConnectionsPerIp: 1, maxPendingHandshakes: 2 })
      yield* joined(network, node)
      const away = yield* Effect.forEach(["c", "d", "e"], (id) => dialByHand(network, node, id))
      yield* settle
      assert.deepStrictEqual(
        away.map(({ isClosed }) => isClosed),
        [false, false, true]
      )
      yield* TestClock.adjust("2 seconds")
      yield* settle
      const next = yield* dialByHand(network, node, "f")
      yield* settle
      assert.deepStrictEqual(next.said, ["TOO_MANY_CONNECTIONS"], "there is room again")
    })
  )

  it.scoped("maxPendingHandshakes: the oldest that has not said HELLO gives way", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxPendingHandshakes: 2 })
      const peers = yield* Effect.forEach(["b", "c", "d"], (id) => dialByHand(network, node, id))
      yield* settle
      assert.deepStrictEqual(
        peers.map(({ isClosed }) => isClosed),
        [true, false, false]
      )
      assert.strictEqual(node.pool.counts().handshaking, 2)
      peers[2]?.hello()
      yield* settle
      assert.deepStrictEqual(peers[2]?.said, ["HELLO"])
    })
  )
})

describe("dialing", () => {
  it.scoped("one dial for an address at a time serves all who ask", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const links = yield* played(network)
      const fibers = yield* Effect.forEach([1, 2, 3], () => Effect.fork(node.pool.dial(addressOf("b"))))
      const wrong = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"), { expect: NodeId.make("z") })))
      yield* settle
      assert.deepStrictEqual([...node.pool.dialing()], [addressOf("b").toString()])
      links[0]?.answer()
      const connections = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
      assert.strictEqual(links.length, 1)
      assert.strictEqual(new Set(connections).size, 1)
      assert.strictEqual((yield* Fiber.join(wrong))._tag, "IdentityMismatch")
      assert.strictEqual(node.pool.dialing().size, 0)
    })
  )

  it.scoped("who did not name an id does not get the mismatch of another's dial for the same address", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const links = yield* played(network)
      const picky = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"), { expect: NodeId.make("z") })))
      yield* settle
      const any = yield* Effect.fork(node.pool.dial(addressOf("b")))
      const other = yield* Effect.fork(node.pool.dial(addressOf("b"), { expect: b }))
      const same = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"), { expect: NodeId.make("z") })))
      yield* settle
      assert.strictEqual(links.length, 1)
      links[0]?.answer()
      yield* settle
      assert.strictEqual(links.length, 2, "one more attempt serves both")
      links[1]?.answer()
      assert.strictEqual((yield* Fiber.join(picky))._tag, "IdentityMismatch")
      assert.strictEqual((yield* Fiber.join(same))._tag, "IdentityMismatch")
      assert.strictEqual(yield* Fiber.join(any), yield* Fiber.join(other))
      assert.strictEqual(links.length, 2)
    })
  )

  it.scoped(
    "dialConcurrency dials side by side, the queue is bounded, and an attempt takes connectTimeout at most",
    () =>
      Effect.gen(function* () {
        const network = MemoryTransport.makeNetwork()
        let begun = 0
        let abandoned = 0
        const deaf = withDial(network.transport("10.0.0.110"), () =>
          Effect.async(() => {
            begun++
            return Effect.sync(() => {
              abandoned++
            })
          })
        )
        const node = yield* makeNode("n", deaf, { dialConcurrency: 3 })
        yield* node.listen
        const fibers = yield* Effect.forEach(Array.from({ length: 1_024 }).keys(), (port) =>
          Effect.fork(Effect.flip(node.pool.dial(PeerAddress.make("10.9.9.9", port + 1), { isOnce: true })))
        )
        yield* settle
        assert.strictEqual(begun, 3)
        const full = yield* Effect.flip(node.pool.dial(PeerAddress.make("10.9.9.9", 60_000)))
        assert.strictEqual(full._tag, "DialQueueFull")
        yield* TestClock.adjust("5 seconds")
        yield* settle
        assert.strictEqual(abandoned, 3)
        assert.strictEqual(begun, 6)
        const first = fibers[0] === undefined ? undefined : yield* Fiber.join(fibers[0])
        assert.strictEqual(first?._tag, "DialTimeout")
        yield* node.pool.shutdown
        const errors = yield* Effect.forEach(fibers, (fiber) => Fiber.join(fiber))
        assert.strictEqual(errors.filter(({ _tag }) => _tag === "NetworkNotRunning").length, 1_021)
        assert.strictEqual(node.pool.dialing().size, 0)
        assert.strictEqual(abandoned, begun)
      })
  )

  it.scoped("a link that comes in the very moment its time is over is not left lying", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      const transport = network.transport("10.0.0.110")
      const slow = withDial(transport, (address) => Effect.delay(transport.dial(address), "4999 millis"))
      const node = yield* makeNode("n", slow)
      yield* node.listen
      const links = yield* played(network)
      const fiber = yield* Effect.fork(Effect.exit(node.pool.dial(addressOf("b"))))
      yield* TestClock.adjust("4999 millis")
      yield* TestClock.adjust("1 millis")
      yield* settle
      const link = links[0]
      if (link?.heard.length === 0) assert.isTrue(link.isClosed)
      else {
        link?.answer()
        assert.isTrue(Exit.isSuccess(yield* Fiber.join(fiber)))
      }
    })
  )

  it.scoped("a dial asked for in the turn in which the node stops is answered", () =>
    Effect.gen(function* () {
      for (let yields = 0; yields < 6; yields++) {
        const { network, node } = yield* listening()
        yield* played(network)
        const fiber = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"))))
        for (let i = 0; i < yields; i++) yield* Effect.yieldNow()
        yield* node.pool.shutdown
        assert.strictEqual((yield* Fiber.join(fiber))._tag, "NetworkNotRunning")
        assert.strictEqual(node.pool.dialing().size, 0)
        assert.strictEqual((yield* Effect.flip(node.pool.dial(addressOf("b"))))._tag, "NetworkNotRunning")
      }
    })
  )

  it.scoped("after a stop it listens and dials again", () =>
    Effect.gen(function* () {
      const network = MemoryTransport.makeNetwork()
      const node = yield* makeNode("n", network.transport("10.0.0.110"))
      const links = yield* played(network)
      for (const round of [0, 1]) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            assert.deepStrictEqual(yield* node.pool.listen, addressOf("n"))
            const fiber = yield* Effect.fork(node.pool.dial(addressOf("b")))
            yield* settle
            links[round]?.answer()
            yield* Fiber.join(fiber)
            links[round]?.error("SHUTTING_DOWN")
            links[round]?.link.end()
            yield* settle
            yield* node.pool.shutdown
          })
        )
      }
      assert.deepStrictEqual(tags(yield* node.events), ["Opened", "Ended", "Opened", "Ended"])
    })
  )

  it.scoped("what failed is remembered, to be tried again by policy; an address that is one's own never", () =>
    Effect.gen(function* () {
      const { node } = yield* listening()
      const refused = yield* Effect.flip(node.pool.dial(addressOf("x")))
      assert.strictEqual(refused._tag, "DialRefused")
      const own = yield* Effect.flip(node.pool.dial(addressOf("n")))
      assert.strictEqual(own._tag, "SelfConnection")
      const first = (yield* node.events).find(({ _tag }) => _tag === "DialFailed")
      assert.deepInclude(first, { attempts: 1 })
      const record = (id: string) =>
        Option.getOrUndefined(HashMap.get(node.book.get().addresses, addressOf(id).toString()))
      assert.isBelow(record("x")?.nextAt ?? Infinity, 60_000_000)
      assert.strictEqual(record("n")?.nextAt, Infinity)
    })
  )

  it.scoped("what failed is not tried again where the node that is there has come by itself meanwhile", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* dialByHand(network, node, "b", addressOf("b").host)
      peer.hello({ listen: [{ ...addressOf("b") }] })
      yield* settle
      assert.strictEqual((yield* Effect.flip(node.pool.dial(addressOf("b"))))._tag, "DialRefused")
      const failed = (yield* node.events).find(({ _tag }) => _tag === "DialFailed")
      assert.deepInclude(failed, { attempts: 1, retryIn: undefined })
      assert.isTrue(HashMap.isEmpty(node.book.get().addresses))
    })
  )
})

describe("an ERROR in place of a HELLO", () => {
  const others = { peers: [{ id: "x", addresses: [{ host: "10.9.9.9", port: 9470 }] }] }

  it.scoped("tells of other nodes only where it says to a dialer that there is no room", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const hinted = () => [...HashMap.keys(node.book.get().hints)].map(String)
      const stranger = yield* dialByHand(network, node, "s")
      stranger.error("TOO_MANY_CONNECTIONS", true, others)
      yield* settle
      assert.deepStrictEqual(hinted(), [], "nobody asked the stranger")

      const links = yield* played(network)
      for (const [code, told] of [
        ["UNAUTHORIZED", ""],
        ["TOO_MANY_CONNECTIONS", "x"]
      ] as const) {
        const dial = yield* Effect.fork(Effect.flip(node.pool.dial(addressOf("b"))))
        yield* settle
        links.at(-1)?.error(code, true, others)
        yield* Fiber.join(dial)
        assert.strictEqual(hinted().join(), told, code)
      }
    })
  )
})

describe("two connections between two nodes", () => {
  it.scoped("simultaneous dials leave both with the same one, however bytes are cut; nothing sent is lost", () =>
    Effect.gen(function* () {
      for (let seed = 1; seed <= 15; seed++) {
        yield* Effect.scoped(
          Effect.gen(function* () {
            const network = MemoryTransport.makeNetwork({ capacity: 700, cut: MemoryTransport.seededCut(seed) })
            const [one, other] = yield* Effect.forEach(["a", "b"], (id) =>
              makeNode(id, network.transport(addressOf(id).host))
            )
            if (one === undefined || other === undefined) return assert.fail("two nodes")
            yield* one.listen
            yield* other.listen
            const dials = [
              yield* Effect.fork(one.pool.dial(addressOf("b"))),
              yield* Effect.zipRight(
                Effect.yieldNow({ priority: 0 }).pipe(Effect.repeatN(seed % 5)),
                Effect.fork(other.pool.dial(addressOf("a")))
              )
            ]
            let sent = 0
            for (let i = 0; i < 12; i++) {
              const connection = one.pool.unsafeLive().get(other.id)
              const envelope = one.node.compose("CHAT", { n: sent })
              if (connection?.outbox.offer({ frame: one.node.encode(envelope), id: envelope.id }) === true) sent++
              yield* settle
            }
            for (const dial of dials) {
              assert.strictEqual((yield* Fiber.join(dial)).phase, "open", `seed ${seed}`)
            }
            const mine = one.pool.unsafeLive().get(other.id)
            const theirs = other.pool.unsafeLive().get(one.id)
            assert.strictEqual(mine?.direction, "outbound", `seed ${seed}`)
            assert.deepStrictEqual(mine?.local, theirs?.remote)
            assert.deepStrictEqual(one.pool.counts(), { ...none, outbound: 1 }, `seed ${seed}`)
            assert.deepStrictEqual(other.pool.counts(), { ...none, inbound: 1 }, `seed ${seed}`)
            for (const node of [one, other]) {
              assert.deepStrictEqual(tags(yield* node.events), ["Opened"], `seed ${seed}`)
              assert.strictEqual(node.pool.peers()[0]?.status, "connected")
            }
            assert.isAbove(sent, 0)
            assert.strictEqual(other.received.length, sent, `seed ${seed}`)
          })
        )
      }
    })
  )

  it.scoped("of two dials to one node the acceptor keeps the newer; the dialer's older one serves if that fails", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const links = yield* played(network, "b")
      const more = yield* played(network, "c")
      for (const at of ["b", "c"]) {
        const fiber = yield* Effect.fork(node.pool.dial(addressOf(at)))
        yield* settle
        const link = at === "b" ? links[0] : more[0]
        link?.send("HELLO", { version: 1, minVersion: 1, network: "synapse", session: "s", listen: [], features: [] }, {
          sender: b,
          replyTo: link.heard[0]?.id
        } as { readonly sender: NodeId.NodeId })
        yield* Fiber.join(fiber)
      }
      assert.strictEqual(node.superseded.length, 1)
      // The newer one breaks before the other end has closed the older.
      more[0]?.link.destroy()
      yield* settle
      const current = node.pool.unsafeLive().get(b)
      assert.isTrue(current?.outbox.offer({ frame: node.node.control("CHAT", {}), id: "x" }))
      current?.sendControl(node.node.control("HEARTBEAT", { kind: "ping", seq: 1 }))
      yield* settle
      assert.deepStrictEqual(links[0]?.said, ["HELLO", "HEARTBEAT", "CHAT"])
      assert.deepStrictEqual(tags(yield* node.events), ["Opened"])
    })
  )

  it.scoped(
    "what comes over the older after the newer has brought a message is dropped, unless the older serves again",
    () =>
      Effect.gen(function* () {
        const { network, node } = yield* listening()
        const links = yield* played(network, "b")
        const more = yield* played(network, "c")
        for (const at of ["b", "c"]) {
          const fiber = yield* Effect.fork(node.pool.dial(addressOf(at)))
          yield* settle
          const link = at === "b" ? links[0] : more[0]
          link?.send("HELLO", helloPayload({ session: "s" }), { sender: b, replyTo: link.heard[0]?.id ?? "" })
          yield* Fiber.join(fiber)
        }
        yield* say(links[0], 1)
        yield* say(more[0], 3)
        yield* say(links[0], 2)
        yield* say(links[0], 4, { replyTo: "question" })
        more[0]?.link.destroy()
        yield* settle
        yield* say(links[0], 5)
        assert.deepStrictEqual(
          node.received.map(({ payload }) => payload["n"]),
          [1, 3, 4, 5]
        )
        assert.strictEqual(node.stats.counts["lost"], 1)
      })
  )

  it.scoped("a peer that changes its connection keeps its place, its status and what was not sent", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxPeers: 1, maxInbound: 1 })
      const peer = yield* joined(network, node)
      const current = node.pool.unsafeLive().get(b)
      peer.link.pause()
      current?.outbox.offer({ frame: new Uint8Array(200_000), id: "begun" })
      current?.outbox.offer({ frame: node.node.control("CHAT", { n: 1 }), id: "kept" })
      peer.error("DUPLICATE_CONNECTION")
      yield* settle
      const meanwhile = { frame: node.node.control("CHAT", { n: 2 }), id: "meanwhile" }
      assert.isTrue(node.pool.unsafeLive().get(b)?.outbox.offer(meanwhile), "messages are taken all the while")
      const stranger = yield* joined(network, node, "c", "10.1.0.2")
      assert.deepStrictEqual(stranger.said, ["TOO_MANY_CONNECTIONS"])
      const again = yield* joined(network, node)
      assert.deepStrictEqual(again.said, ["HELLO", "CHAT", "CHAT"])
      assert.deepStrictEqual(
        again.heard.slice(1).map(({ payload }) => payload["n"]),
        [1, 2]
      )
      assert.deepStrictEqual(tags(yield* node.events), ["Opened", "HandshakeFailed"])
    })
  )

  it.scoped("a silent peer is heard again by the connection that takes the place of its silent one", () =>
    Effect.gen(function* () {
      for (const how of ["newer", "announced", "older"]) {
        const { network, node } = yield* listening()
        const silent = Effect.sync(() => {
          const current = node.pool.unsafeLive().get(b)
          if (current !== undefined) node.pool.suspect(current)
          assert.strictEqual(node.pool.peer(b)?.status, "suspect")
        })
        const peer = yield* joined(network, node)
        if (how === "older") {
          // A dial so late that b decides which one stays, and b has not yet.
          yield* TestClock.adjust("1 minute")
          const links = yield* played(network)
          yield* Effect.fork(node.pool.dial(addressOf("b")))
          yield* settle
          links[0]?.answer({ session: "session-b" })
          yield* settle
          yield* silent
          links[0]?.link.destroy()
          yield* settle
          assert.strictEqual(node.pool.peer(b)?.direction, "inbound")
        } else {
          yield* silent
          if (how === "announced") peer.error("DUPLICATE_CONNECTION")
          yield* settle
          yield* joined(network, node)
        }
        assert.deepStrictEqual(tags(yield* node.events), ["Opened", "Suspect", "Recovered"], how)
        assert.strictEqual(node.pool.peer(b)?.status, "connected", how)
      }
    })
  )

  it.scoped("where none comes in its place within handshakeTimeout, the peer has gone", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* joined(network, node)
      peer.error("DUPLICATE_CONNECTION")
      yield* settle
      assert.deepStrictEqual(tags(yield* node.events), ["Opened"])
      yield* TestClock.adjust("5 seconds")
      const [event] = yield* node.events
      assert.deepInclude(event, { _tag: "Ended" })
      assert.strictEqual(node.pool.peer(b)?.status, "disconnected")
    })
  )

  it.scoped("a peer that came back as a new session is reported so, with what was lost", () =>
    Effect.gen(function* () {
      for (const inLimbo of [false, true]) {
        const { network, node } = yield* listening()
        const peer = yield* joined(network, node)
        peer.link.pause()
        const current = node.pool.unsafeLive().get(b)
        current?.outbox.offer({ frame: new Uint8Array(200_000), id: "begun" })
        current?.outbox.offer({ frame: node.node.control("CHAT", {}), id: "lost" })
        if (inLimbo) peer.error("DUPLICATE_CONNECTION")
        yield* settle
        const again = yield* dialByHand(network, node, "b")
        again.hello({ session: "another" })
        yield* settle
        const events = yield* node.events
        assert.deepStrictEqual(tags(events), ["Opened", "Restarted", "Opened"])
        assert.deepInclude(events[1], { unsent: ["lost"] })
        assert.deepStrictEqual(again.said, ["HELLO"])
        assert.strictEqual(node.stats.counts["lost"], 1)
      }
    })
  )
})

describe("the end of a connection", () => {
  const statuses = {
    SHUTTING_DOWN: "left",
    DISCONNECTED: "disconnected",
    MALFORMED_FRAME: "dead",
    FRAME_TOO_LARGE: "dead",
    INVALID_MESSAGE: "dead",
    HANDSHAKE_REQUIRED: "dead",
    HANDSHAKE_TIMEOUT: "dead",
    VERSION_MISMATCH: "dead",
    NETWORK_MISMATCH: "dead",
    UNAUTHORIZED: "dead",
    TOO_MANY_CONNECTIONS: "dead",
    BANNED: "dead",
    RATE_LIMITED: "dead",
    INTERNAL: "dead",
    SOMETHING_NEW: "dead"
  } as const

  for (const [code, status] of Object.entries(statuses)) {
    it.scoped(`${code} of the other end makes the peer ${status}`, () =>
      Effect.gen(function* () {
        const { network, node } = yield* listening()
        const peer = yield* joined(network, node)
        yield* node.events
        peer.error(code, true, { retryAfterMs: 90_000 })
        yield* settle
        const events = yield* node.events
        assert.deepStrictEqual(tags(events), ["Ended"])
        assert.strictEqual(node.pool.peer(b)?.status, status)
        assert.isTrue(peer.hasEnded)
        assert.deepStrictEqual(peer.said, ["HELLO"], "a goodbye is not answered")
        const record = Option.getOrUndefined(HashMap.get(node.book.get().peers, b))
        const waits = (record?.avoidUntil ?? 0) - node.node.deadlines.now()
        if (["DISCONNECTED", "TOO_MANY_CONNECTIONS", "BANNED"].includes(code)) assert.strictEqual(waits, 90_000)
        peer.link.end()
        yield* settle
        assert.deepStrictEqual(node.pool.counts(), none)
      })
    )
  }

  it.scoped("disconnect sends what is queued, says so, and returns when the link is gone", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* joined(network, node)
      node.pool
        .unsafeLive()
        .get(b)
        ?.outbox.offer({ frame: node.node.control("CHAT", {}), id: "x" })
      const fiber = yield* Effect.fork(node.pool.disconnect(b))
      yield* settle
      assert.deepStrictEqual(peer.said, ["HELLO", "CHAT", "DISCONNECTED"])
      assert.strictEqual(node.pool.peer(b)?.status, "disconnected")
      assert.isTrue(Option.isNone(yield* Fiber.poll(fiber)))
      peer.link.end()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(node.pool.counts(), none)
      yield* node.pool.disconnect(b)
    })
  )

  it.scoped("the 10th invalid message bans: the connection is closed, and that host refused for a while", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const peer = yield* joined(network, node)
      const same = yield* joined(network, node, "c")
      for (let i = 0; i < 10; i++) peer.send("HEARTBEAT", {}, { ttl: 1 })
      yield* settle
      assert.deepStrictEqual(peer.said.slice(1), [...Array.from({ length: 9 }, () => "INVALID_MESSAGE"), "BANNED"])
      assert.strictEqual(peer.heard.at(-1)?.payload["retryAfterMs"], 300_000)
      assert.strictEqual(node.pool.peer(b)?.status, "banned")
      assert.isFalse(same.hasEnded, "others there are not touched")
      assert.deepStrictEqual((yield* joined(network, node, "d")).said, ["BANNED"])
      assert.deepStrictEqual((yield* joined(network, node, "d", "10.1.0.2")).said, ["HELLO"])
      yield* TestClock.adjust("301 seconds")
      yield* settle
      assert.deepStrictEqual((yield* joined(network, node, "e")).said, ["HELLO"])
    })
  )

  it.scoped("the 10th bans in the handshake as well, whether it is a message or no frame at all", () =>
    Effect.gen(function* () {
      for (const last of ["message", "frame"]) {
        const { network, node } = yield* listening()
        for (let i = 0; i < 10; i++) {
          const peer = yield* dialByHand(network, node, "b")
          if (i < 9 ? i % 2 === 0 : last === "message") peer.hello({ listen: 7 })
          else peer.write(new Uint8Array(4))
          yield* settle
          const code = i === 9 ? "BANNED" : i % 2 === 0 ? "INVALID_MESSAGE" : "MALFORMED_FRAME"
          assert.deepStrictEqual(peer.said, [code])
          if (i === 9) assert.strictEqual(peer.heard[0]?.payload["retryAfterMs"], 300_000)
        }
        assert.strictEqual(node.stats.counts["invalid"], 10)
        assert.deepStrictEqual((yield* dialByHand(network, node, "c").pipe(Effect.tap(settle))).said, ["BANNED"])
      }
    })
  )

  it.scoped("until its goodbye is said, a connection that is being closed answers pings and sends replies", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      node.pool.on("HEARTBEAT", (connection) => {
        connection.sendControl(node.node.control("HEARTBEAT", { kind: "pong", seq: 1 }))
        return undefined
      })
      const peer = yield* joined(network, node)
      const current = node.pool.unsafeLive().get(b)
      peer.link.pause()
      for (let i = 0; i < 20; i++) current?.outbox.offer({ frame: big(node.node, i), id: `big-${i}` })
      yield* settle
      yield* Effect.fork(node.pool.disconnect(b))
      yield* settle
      assert.strictEqual(current?.phase, "draining")
      peer.send("HEARTBEAT", { kind: "ping", seq: 1 })
      yield* settle
      assert.isTrue(current?.outbox.offer({ frame: node.node.control("REPLY", {}), id: "reply" }))
      peer.link.resume()
      yield* settle
      const said = peer.said.filter((type) => type !== "BIG")
      assert.deepStrictEqual(said, ["HELLO", "HEARTBEAT", "REPLY", "DISCONNECTED"])
      assert.strictEqual(peer.said.length, 24)
      assert.isBelow(peer.said.indexOf("HEARTBEAT"), 22, "it goes ahead of data")
    })
  )

  it.scoped("a frame that is too late counts as invalid too", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      yield* joined(network, node)
      const current = node.pool.unsafeLive().get(b)
      if (current !== undefined) node.pool.close(current, { code: "MALFORMED_FRAME", detail: "late" })
      assert.strictEqual(node.stats.counts["invalid"], 1)
      assert.strictEqual(node.pool.peer(b)?.status, "dead")
    })
  )
})

describe("shutdown", () => {
  it.scoped("is through within the grace, whoever is connected, where it cannot be interrupted, too", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening()
      const idle = yield* joined(network, node, "b")
      const deaf = yield* joined(network, node, "c", "10.1.0.2")
      deaf.link.pause()
      node.pool
        .unsafeLive()
        .get(deaf.id)
        ?.outbox.offer({ frame: new Uint8Array(500_000), id: "much" })
      const half = yield* dialByHand(network, node, "d", "10.1.0.3")
      yield* settle
      const begun = node.node.deadlines.now()
      const fiber = yield* Effect.fork(Effect.uninterruptible(node.pool.shutdown))
      yield* settle
      assert.deepStrictEqual(idle.said, ["HELLO", "SHUTTING_DOWN"])
      assert.deepStrictEqual(half.said, ["SHUTTING_DOWN"])
      idle.link.end()
      yield* TestClock.adjust("5 seconds")
      yield* settle
      yield* Fiber.join(fiber)
      assert.isAtMost(node.node.deadlines.now() - begun, 5_000)
      assert.deepStrictEqual(node.pool.counts(), none)
      assert.isTrue(deaf.isClosed)
      const late = yield* dialByHand(network, node, "e")
      yield* settle
      assert.isTrue(late.isClosed)
    })
  )

  it.scoped("does not wait for an application that holds up a connection that gave way", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ nodeId: "n", inboundQueue: 1 })
      const links = yield* played(network, "z")
      const dial = yield* Effect.fork(node.pool.dial(addressOf("z")))
      yield* settle
      links[0]?.answer({ session: "s" })
      yield* Fiber.join(dial)
      const peer = yield* dialByHand(network, node, "z")
      const loser = node.pool.unsafeLive().get(NodeId.make("z"))
      peer.hello({ session: "s" })
      yield* settle
      assert.deepStrictEqual(peer.said, ["DUPLICATE_CONNECTION"])
      loser?.inbox.push(peer.heard[0] ?? peer.hello(), 10)
      const fiber = yield* Effect.fork(Effect.uninterruptible(node.pool.shutdown))
      yield* TestClock.adjust("5 seconds")
      yield* settle
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(node.pool.counts(), none)
    })
  )
})

describe("nothing is left", () => {
  it.scoped("after 1,000 connects and closes of all kinds", () =>
    Effect.gen(function* () {
      const { network, node } = yield* listening({ maxConnectionsPerIp: 10_000, maxInvalidMessages: 1_000_000 })
      const before = node.node.deadlines.size
      for (let round = 0; round < 100; round++) {
        const peers = yield* Effect.forEach([0, 1, 2, 3, 4, 5, 6, 7, 8, 9], (n) =>
          Effect.tap(dialByHand(network, node, `p${n}`), (peer) => Effect.sync(() => n !== 9 && peer.hello()))
        )
        yield* settle
        for (const [index, peer] of peers.entries()) {
          if (index === 0) peer.link.destroy()
          else if (index === 1) peer.link.end()
          else if (index === 2) peer.error("SHUTTING_DOWN")
          else if (index === 3) peer.error("DUPLICATE_CONNECTION")
          else if (index === 4) peer.write(new Uint8Array(4))
          else if (index === 5) yield* Effect.fork(node.pool.disconnect(peer.id))
          else peer.error("DISCONNECTED")
          if (index > 1 && index !== 8) peer.link.end()
        }
        yield* settle
      }
      yield* TestClock.adjust("10 seconds")
      yield* settle
      assert.deepStrictEqual(node.pool.counts(), none)
      assert.strictEqual(node.pool.unsafeLive().size, 0)
      assert.deepStrictEqual([...node.pool.opened()], [])
      assert.strictEqual(node.node.deadlines.size, before)
      assert.strictEqual(HashMap.size(node.book.get().peers), 0, "peers without an address are forgotten")
      assert.isAbove(node.pool.totals().messagesIn, 1_000)
    })
  )
})
