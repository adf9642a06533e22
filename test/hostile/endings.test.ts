/** Peers that end badly, do not read, or never answer; and addresses that cannot be listened at. */
import { assert, describe } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import net from "node:net"
import { Worker } from "node:worker_threads"
import { Chat, assertServes, hostile, startNode } from "../utils/hostileNode.js"
import type { HostileNode } from "../utils/hostileNode.js"
import { connect, dial, frame, listen, message } from "../utils/rawPeer.js"

const tagsOf = ({ events }: HostileNode): ReadonlyArray<string> => events.map(({ _tag }) => _tag)

const lostBy = ({ events }: HostileNode): ReadonlyArray<string> =>
  events.flatMap((event) => (event._tag === "MessagesLost" ? event.ids : []))

const text = "x".repeat(60_000)

/** Sends to a peer that does not read, until its queue is full: the ids. */
const fill = (node: HostileNode, peer: string): Effect.Effect<Array<string>> =>
  Effect.gen(function* () {
    const ids: Array<string> = []
    const error = yield* node.network.sendMessage(peer, Chat, { text }).pipe(
      Effect.map((id) => ids.push(id)),
      Effect.forever,
      Effect.flip
    )
    assert.strictEqual(error._tag, "SendTimeout")
    return ids
  })

describe("Peers that end badly", () => {
  for (const ending of ["end", "reset"] as const) {
    hostile(`${ending === "end" ? "FIN" : "RST"} in the middle of a frame: the peer is dead, others are not`, () =>
      Effect.gen(function* () {
        const node = yield* startNode()
        const other = yield* connect(node.port)
        const peer = yield* connect(node.port)
        peer.say("CHAT", { text: "whole" })
        peer.write(frame(message(peer.id, "CHAT", { text })).subarray(0, 30_000))
        yield* node.until("the whole one", () => node.delivered.length === 1)
        peer[ending]()
        yield* peer.closed
        yield* node.until("dead", () => tagsOf(node).includes("PeerDead"))
        assert.deepStrictEqual(peer.errors(), [])
        assert.lengthOf(node.delivered, 1)
        yield* node.until("one is left", ({ connections: { closing, inbound } }) => closing === 0 && inbound === 1)
        yield* assertServes(other)
      })
    )
  }

  for (const ending of ["end", "reset"] as const) {
    hostile(`${ending === "end" ? "FIN" : "RST"} while messages wait for it: they are reported lost, by id`, () =>
      Effect.gen(function* () {
        const node = yield* startNode({ sendTimeout: "300 millis", outboundQueue: 64 })
        const peer = yield* connect(node.port)
        peer.stopReading()
        const ids = yield* fill(node, peer.id)
        peer[ending]()
        yield* node.until("lost", () => tagsOf(node).includes("MessagesLost"))
        yield* node.until("dead", () => tagsOf(node).includes("PeerDead"))
        const lost = lostBy(node)
        assert.isAtLeast(lost.length, 60)
        assert.deepStrictEqual(lost, ids.slice(-lost.length), "the last ones, in order")
        assert.strictEqual(yield* node.count("lost"), lost.length)
        yield* node.until("no connection is left", ({ connections: { closing, inbound } }) => closing + inbound === 0)
        const error = yield* Effect.flip(node.network.sendMessage(peer.id, Chat, { text: "late" }))
        assert.strictEqual(error._tag, "PeerNotConnected")
      })
    )
  }

  hostile("a peer that says a fatal ERROR while messages wait for it: they are reported lost", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ sendTimeout: "300 millis", outboundQueue: 64 })
      const peer = yield* connect(node.port)
      peer.stopReading()
      const ids = yield* fill(node, peer.id)
      peer.say("ERROR", { code: "SHUTTING_DOWN", message: "", fatal: true })
      yield* node.until("left", () => tagsOf(node).includes("PeerLeft"))
      yield* node.until("lost", () => tagsOf(node).includes("MessagesLost"))
      const lost = lostBy(node)
      assert.deepStrictEqual(lost, ids.slice(-lost.length))
    })
  )

  hostile("a peer that never reads: sending to it fails alone, and the node stops in time all the same", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ sendTimeout: "300 millis", outboundQueue: 64 })
      const other = yield* connect(node.port)
      const peer = yield* connect(node.port)
      peer.stopReading()
      const ids = yield* fill(node, peer.id)
      const id = yield* node.network.sendMessage(other.id, Chat, { text: "hi" }).pipe(Effect.orDie)
      yield* other.next("its message", (received) => received.id === id)
      const receipt = yield* node.network.broadcast(Chat, { text: "all" }).pipe(Effect.orDie)
      assert.deepStrictEqual<ReadonlyArray<string>>(receipt.sent, [other.id])
      assert.deepStrictEqual(
        receipt.failed.map((failed) => [failed.peer, failed.error._tag]),
        [[peer.id, "SendTimeout"]]
      )
      yield* Effect.forkScoped(Effect.flatMap(other.ended, () => Effect.sync(() => other.end())))
      // Grace and closeTimeout are 1.5 seconds here.
      yield* node.network.stop.pipe(Effect.disconnect, Effect.timeout("4 seconds"), Effect.orDie)
      const goodbye = yield* other.next("the goodbye", ({ type }) => type === "ERROR")
      assert.strictEqual(goodbye.payload["code"], "SHUTTING_DOWN")
      yield* node.until("told", () => tagsOf(node).includes("Stopped"))
      const lost = lostBy(node)
      assert.isAbove(lost.length, 0)
      assert.deepStrictEqual(lost, ids.slice(-lost.length))
    })
  )

  hostile("what came before a FIN is delivered, however slow the handler is", () =>
    Effect.gen(function* () {
      const open = yield* Deferred.make<void>()
      const node = yield* startNode({}, Deferred.await(open))
      const peer = yield* connect(node.port)
      const ids = Array.from({ length: 1_000 }, () => peer.say("CHAT", { text: "hi" }))
      peer.end()
      yield* node.until("the first", () => node.delivered.length === 1)
      yield* Deferred.succeed(open, undefined)
      yield* peer.closed
      assert.isUndefined(peer.cause)
      yield* node.until("all delivered", () => node.delivered.length === ids.length)
      assert.deepStrictEqual(node.delivered, ids)
    })
  )

  hostile("a peer that is told to go, and does not: what it still sends is discarded, and it is cut off", () =>
    Effect.gen(function* () {
      const node = yield* startNode()
      const other = yield* connect(node.port)
      const peer = yield* connect(node.port)
      peer.send("no JSON")
      yield* peer.ended
      const more = frame(message(peer.id, "CHAT", { text }))
      // Within closeTimeout it takes what comes, and from then on nothing.
      yield* peer.flood({ next: () => ({ done: peer.isClosed, value: more }) })
      yield* peer.closed
      assert.lengthOf(node.delivered, 0)
      yield* node.until("one is left", ({ connections: { closing, inbound } }) => closing === 0 && inbound === 1)
      assert.strictEqual(yield* node.count("invalid"), 1)
      yield* assertServes(other)
    })
  )

  hostile("peers in every state of a connection: the node stops in time", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ maxInvalidMessages: 1, banDuration: "1 seconds" })
      yield* dial(node.port)
      const half = yield* connect(node.port)
      half.write(frame(message(half.id, "CHAT", { text })).subarray(0, 100))
      const finished = yield* connect(node.port)
      finished.end()
      const deaf = yield* connect(node.port)
      deaf.stopReading()
      const banned = yield* connect(node.port)
      banned.send("{}")
      yield* banned.ended
      yield* dial(node.port)
      yield* node.network.stop.pipe(Effect.disconnect, Effect.timeout("4 seconds"), Effect.orDie)
      const { connections, running } = yield* node.network.status
      assert.isFalse(running)
      assert.deepStrictEqual(connections, { inbound: 0, outbound: 0, handshaking: 0, closing: 0 })
      yield* half.ended
      assert.deepStrictEqual(
        half.errors().map(({ payload }) => payload["code"]),
        ["SHUTTING_DOWN"]
      )
    })
  )
})

describe("Listeners that do not answer", () => {
  hostile("one that accepts and says nothing is HANDSHAKE_TIMEOUT", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ handshakeTimeout: "300 millis" })
      const { accepted, address } = yield* listen
      const error = yield* Effect.flip(node.network.connect(address, { retryFor: 0 }))
      assert.strictEqual(error._tag, "HandshakeTimeout")
      const peer = yield* accepted
      yield* peer.ended
      assert.deepStrictEqual(
        peer.received.map(({ payload, type }) => [type, payload["code"]]),
        [
          ["HELLO", undefined],
          ["ERROR", "HANDSHAKE_TIMEOUT"]
        ]
      )
    })
  )

  /** Listens with room for one or two, and then never looks at who comes. */
  const neverAccepts = Effect.acquireRelease(
    Effect.async<{ readonly port: number; readonly worker: Worker }>((resume) => {
      const worker = new Worker(
        `const { parentPort } = require("node:worker_threads")
         const server = require("node:net").createServer()
         server.listen({ port: 0, host: "127.0.0.1", backlog: 1 }, () => {
           parentPort.postMessage(server.address().port)
           setImmediate(() => Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 9000))
         })`,
        { eval: true }
      )
      worker.once("message", (port: number) => resume(Effect.succeed({ port, worker })))
    }),
    ({ worker }) => Effect.promise(() => worker.terminate())
  )

  hostile("one that never accepts is a time-out, of the handshake while it has room, then of the dial", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ handshakeTimeout: "300 millis", connectTimeout: "300 millis" })
      const { port } = yield* neverAccepts
      const attempt = Effect.flip(node.network.connect(`127.0.0.1:${port}`, { retryFor: 0 }))
      const first = yield* attempt
      assert.strictEqual(first._tag, "HandshakeTimeout")
      const fillers = Array.from({ length: 8 }, () => net.connect(port, "127.0.0.1").on("error", () => {}))
      yield* Effect.addFinalizer(() => Effect.sync(() => fillers.forEach((socket) => socket.destroy())))
      const second = yield* attempt
      assert.include(["DialTimeout", "HandshakeTimeout"], second._tag)
      const third = yield* attempt
      assert.strictEqual(third._tag, "DialTimeout")
    })
  )
})

describe("Addresses that cannot be listened at", () => {
  hostile("a port in use is ListenFailed, and the node starts once it is free", () =>
    Effect.gen(function* () {
      const first = yield* startNode()
      const second = yield* startNode({ port: first.port, nodeId: "node-b" }, Effect.void, { autoStart: false })
      for (let n = 0; n < 2; n++) {
        const error = yield* Effect.flip(second.network.start)
        assert.strictEqual(error._tag, "ListenFailed")
        assert.strictEqual(error.reason, "AddressInUse")
        assert.strictEqual(error.address.port, first.port)
        const { running } = yield* second.network.status
        assert.isFalse(running)
      }
      yield* first.network.stop
      yield* second.network.start.pipe(Effect.orDie)
      const peer = yield* connect(first.port)
      yield* assertServes(peer)
    })
  )

  hostile("a host that is not of this machine is ListenFailed", () =>
    Effect.gen(function* () {
      const node = yield* startNode({ host: "203.0.113.1" }, Effect.void, { autoStart: false })
      const error = yield* Effect.flip(node.network.start)
      assert.strictEqual(error._tag, "ListenFailed")
      assert.strictEqual(error.reason, "AddressNotAvailable")
    })
  )
})
