import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Context from "effect/Context"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Scope from "effect/Scope"
import * as TestClock from "effect/TestClock"
import * as ConnectionPool from "../src/ConnectionPool.js"
import * as Discovery from "../src/Discovery.js"
import * as Heartbeat from "../src/Heartbeat.js"
import * as LocalNode from "../src/LocalNode.js"
import * as NetworkConfig from "../src/NetworkConfig.js"
import * as NetworkStats from "../src/NetworkStats.js"
import * as NodeIdentity from "../src/NodeIdentity.js"
import * as P2PNetwork from "../src/P2PNetwork.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as PeerBook from "../src/PeerBook.js"
import * as Handler from "../src/Handler.js"
import * as Router from "../src/Router.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import * as Observe from "../src/testing/Observe.js"
import { Transport } from "../src/Transport.js"
import {
  addressOf,
  Ask,
  Chat,
  handPeer,
  join,
  line,
  listenByHand,
  node,
  nodeIn,
  quiet,
  recordChats,
  recordEvents,
  rest,
  until
} from "./utils/network.js"
import type { Network } from "./utils/network.js"

const inMemory = Effect.provide(MemoryTransport.layerNetwork)

const statusOf = (network: Network, id: string) =>
  Effect.map(network.peer(id), (peer) => Option.getOrUndefined(peer)?.status)

const tags = (events: ReadonlyArray<{ readonly _tag: string }>): ReadonlyArray<string> => events.map(({ _tag }) => _tag)

describe("start and stop", () => {
  it.scoped("are idempotent, and the node starts again after a stop", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { autoStart: false })
      const events = yield* recordEvents(a)
      const before = yield* a.status
      assert.deepInclude(before, { running: false, uptimeMs: 0 })
      assert.notProperty(before, "address")
      yield* a.stop
      yield* Effect.all([a.start, a.start], { concurrency: "unbounded" })
      yield* a.start
      for (let round = 0; round < 2; round++) {
        yield* a.start
        const b = yield* handPeer("b", "a")
        yield* TestClock.adjust("3 seconds")
        assert.strictEqual((yield* a.status).uptimeMs, 3_000)
        yield* a.stop
        yield* a.stop
        assert.isTrue(b.isClosed())
      }
      yield* rest
      assert.deepStrictEqual(
        tags(events).filter((tag) => tag === "Listening" || tag === "Stopped"),
        ["Listening", "Stopped", "Listening", "Stopped"]
      )
    }).pipe(inMemory)
  )

  it.scoped("give each session its own name", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const came = yield* listenByHand("b", (peer) =>
        Effect.flatMap(peer.take("HELLO"), (hello) =>
          Effect.sync(() => {
            peer.hello({ session: "s" }, { replyTo: hello.id })
            peer.received.push(hello)
          })
        )
      )
      const sessionOf = Effect.gen(function* () {
        yield* a.connect("b:9470")
        const peer = yield* came.take
        return peer.received[0]?.payload["session"]
      })
      const first = yield* sessionOf
      yield* a.stop
      yield* a.start
      const second = yield* sessionOf
      assert.isString(first)
      assert.notStrictEqual(first, second)
    }).pipe(inMemory)
  )

  it.scoped("nothing is sent, asked or dialed while the node does not run", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { autoStart: false })
      const refused = yield* Effect.all([
        Effect.flip(a.connect("b:9470")),
        Effect.flip(a.sendMessage("b", Chat, { text: "" })),
        Effect.flip(a.request("b", Ask, { question: "" })),
        Effect.flip(a.broadcast(Chat, { text: "" }))
      ])
      for (const error of refused) assert.deepInclude(error, { _tag: "NetworkNotRunning" })
      yield* a.disconnect("b")
    }).pipe(inMemory)
  )

  it.scoped("stop within the grace period though a handler never ends", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      const a = yield* nodeIn(scope, "a", { shutdownGrace: "5 seconds" })
      yield* a.handle(Chat, () => Effect.never)
      const b = yield* node("b")
      yield* join(b, a)
      yield* b.sendMessages("a", Chat, [{ text: "1" }, { text: "2" }])
      const asking = yield* Effect.fork(a.request("b", Ask, { question: "?" }))
      yield* rest
      const stopping = yield* Effect.fork(a.stop)
      yield* rest
      assert.strictEqual(stopping.unsafePoll(), null)
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(stopping)
      assert.isTrue(Exit.isFailure(yield* Fiber.await(asking)))
      assert.strictEqual((yield* a.status).queued.requests, 0)
      assert.strictEqual(yield* statusOf(b, "a"), "left")
      yield* Scope.close(scope, Exit.void)
    }).pipe(inMemory)
  )

  it.scoped("stop sends what is queued first", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const got = yield* recordChats(b)
      const texts = Array.from({ length: 500 }, (_, i) => ({ text: String(i) }))
      yield* a.sendMessages("b", Chat, texts)
      yield* a.stop
      yield* rest
      assert.strictEqual(got.length, 500)
    }).pipe(inMemory)
  )

  it.scoped("start fails where it cannot listen, and works once it can", () =>
    Effect.gen(function* () {
      const scope = yield* Scope.make()
      yield* nodeIn(scope, "a")
      const other = yield* node("other", { host: "a", autoStart: false })
      assert.deepInclude(yield* Effect.flip(other.start), { _tag: "ListenFailed", reason: "AddressInUse" })
      assert.isFalse((yield* other.status).running)
      yield* Scope.close(scope, Exit.void)
      yield* other.start
      assert.isTrue((yield* other.status).running)
    }).pipe(inMemory)
  )

  it.scoped("handlers given to the node stand before the first connection; two for a type are refused", () =>
    Effect.gen(function* () {
      const got: Array<string> = []
      yield* listenByHand("b", (peer) =>
        Effect.flatMap(peer.take("HELLO"), (hello) =>
          Effect.sync(() => {
            peer.hello({}, { replyTo: hello.id })
            peer.say("CHAT", { text: "at once" })
          })
        )
      )
      const chat = Handler.make(Chat, ({ payload }) => Effect.sync(() => got.push(payload.text)))
      yield* node("a", { bootstrap: ["b:9470"], handlers: [chat] })
      yield* until("the first message", () => got.length === 1)
      const twice = yield* Effect.flip(node("c", { handlers: [chat, chat] }))
      assert.strictEqual(twice._tag, "HandlerExists")
    }).pipe(inMemory)
  )
})

describe("connect", () => {
  it.scoped("gives the peer, and reuses the connection there is", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const b = yield* node("b", { tags: { role: "storage" } })
      const peer = yield* a.connect(addressOf("b"))
      assert.deepInclude(peer, { id: b.nodeId, status: "connected", direction: "outbound", attempts: 0 })
      assert.deepStrictEqual(peer.tags, { role: "storage" })
      const again = yield* Effect.all(
        [a.connect("b:9470"), a.connect(PeerAddress.make("b", 9470), { id: "b" }), b.connect("a:9470")],
        { concurrency: "unbounded" }
      )
      assert.deepStrictEqual(
        again.map(({ id }) => id),
        [b.nodeId, b.nodeId, a.nodeId]
      )
      assert.deepInclude((yield* a.status).connections, { inbound: 0, outbound: 1, handshaking: 0 })
    }).pipe(inMemory)
  )

  it.scoped("refuses what is no address, and a node other than the one meant", () =>
    Effect.gen(function* () {
      const [a] = yield* line(["a", "b"])
      yield* node("c")
      for (const text of ["", "b", "b:0x1", "b:70000", "b:-1"]) {
        assert.strictEqual((yield* Effect.flip(a.connect(text)))._tag, "AddressInvalid", text)
      }
      assert.strictEqual((yield* Effect.flip(a.connect("b:9470", { id: "not an id" })))._tag, "AddressInvalid")
      for (const to of ["b", "c"]) {
        const error = yield* Effect.flip(a.connect(`${to}:9470`, { id: "x", retryFor: 0 }))
        assert.deepInclude(error, { _tag: "IdentityMismatch", expected: "x" as never, actual: to as never })
      }
      yield* rest
      assert.strictEqual((yield* a.status).peers.connected, 1)
    }).pipe(inMemory)
  )

  it.scoped("tries again while the failure may pass, for as long as is said", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const patient = yield* Effect.fork(a.connect("b:9470"))
      const hasty = yield* Effect.fork(a.connect("c:9470", { retryFor: "1 second" }))
      yield* rest
      yield* TestClock.adjust("2 seconds")
      assert.strictEqual((yield* Effect.flip(Fiber.join(hasty)))._tag, "DialRefused")
      assert.strictEqual(patient.unsafePoll(), null)
      yield* node("b")
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* Fiber.join(patient)).id, "b")
    }).pipe(inMemory)
  )

  it.scoped("tries again at a node that is full, once it says there may be room", () =>
    Effect.gen(function* () {
      const full = yield* node("full", { maxPeers: 1, maxInbound: 1, targetPeers: 1 })
      const first = yield* handPeer("first", "full")
      const a = yield* node("a")
      const trying = yield* Effect.fork(a.connect("full:9470"))
      const hasty = yield* Effect.flip(a.connect("full:9470", { retryFor: "1 second" }))
      assert.strictEqual(hasty._tag, "TooManyConnections")
      assert.strictEqual(trying.unsafePoll(), null)
      first.link.destroy()
      yield* rest
      yield* TestClock.adjust("8 seconds")
      assert.strictEqual((yield* Fiber.join(trying)).id, full.nodeId)
    }).pipe(inMemory)
  )
})

describe("disconnect", () => {
  it.scoped("closes with grace; the peer is not dialed again until connect, or until it dials", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      const [ofA, ofB] = [yield* recordEvents(a), yield* recordEvents(b)]
      const got = yield* recordChats(b)
      yield* a.sendMessage("b", Chat, { text: "last words" })
      yield* a.disconnect("b")
      yield* rest
      assert.deepStrictEqual(got, ["last words"])
      assert.deepStrictEqual([yield* statusOf(a, "b"), yield* statusOf(b, "a")], ["disconnected", "disconnected"])
      assert.deepStrictEqual([tags(ofA), tags(ofB)], [["PeerDisconnected"], ["PeerDisconnected"]])
      yield* TestClock.adjust("30 seconds")
      assert.strictEqual(yield* statusOf(a, "b"), "disconnected")
      yield* a.disconnect("b")
      yield* a.disconnect("not an id")
      yield* b.connect("a:9470")
      assert.strictEqual(yield* statusOf(a, "b"), "connected")
    }).pipe(inMemory)
  )

  it.scoped("leaves both sides with the same counts", () =>
    Effect.gen(function* () {
      const [a, b] = yield* line(["a", "b"])
      yield* recordChats(b)
      yield* b.handle(Ask, ({ payload }) => Effect.succeed({ answer: payload.question }))
      for (let i = 0; i < 20; i++) {
        yield* a.sendMessage("b", Chat, { text: "x".repeat(i * 500) })
        yield* a.request("b", Ask, { question: "?" })
      }
      yield* a.disconnect("b")
      yield* rest
      const [ofA, ofB] = [Option.getOrThrow(yield* a.peer("b")), Option.getOrThrow(yield* b.peer("a"))]
      assert.deepStrictEqual(
        [ofA.messages.in, ofA.messages.out, ofA.bytes.in, ofA.bytes.out],
        [ofB.messages.out, ofB.messages.in, ofB.bytes.out, ofB.bytes.in]
      )
      const status = yield* a.status
      assert.deepStrictEqual([status.messages, status.bytes], [ofA.messages, ofA.bytes])
      assert.isAbove(ofA.messages.out, 40)
    }).pipe(inMemory)
  )
})

describe("what is seen", () => {
  it.scoped("peers by status and by tag", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      for (const [id, zone] of [
        ["b", "x"],
        ["c", "x"],
        ["d", "y"]
      ] as const) {
        const other = yield* node(id, { tags: { zone, role: id } })
        yield* join(a, other)
      }
      yield* a.disconnect("c")
      const ids = (filter?: Parameters<typeof a.peers>[0]) =>
        Effect.map(a.peers(filter), (peers) => peers.map(({ id }) => String(id)).sort())
      assert.deepStrictEqual(yield* ids(), ["b", "c", "d"])
      assert.deepStrictEqual(yield* ids({ status: "connected" }), ["b", "d"])
      assert.deepStrictEqual(yield* ids({ status: ["connected", "disconnected"] }), ["b", "c", "d"])
      assert.deepStrictEqual(yield* ids({ tags: { zone: "x" } }), ["b", "c"])
      assert.deepStrictEqual(yield* ids({ status: "connected", tags: { zone: "x" } }), ["b"])
      assert.deepStrictEqual(yield* ids({ tags: { zone: "x", role: "d" } }), [])
      assert.deepStrictEqual(yield* ids({ tags: { toString: "x" } }), [])
      assert.isTrue(Option.isNone(yield* a.peer("nobody")))
      assert.isTrue(Option.isNone(yield* a.peer("not an id")))
    }).pipe(inMemory)
  )

  it.scoped("events in the order of what happened", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { retryBase: "1 minute" })
      const events = yield* recordEvents(a)
      const ids = (): ReadonlyArray<string> =>
        events.map((event) =>
          "peer" in event && typeof event.peer === "object" ? `${event._tag} ${event.peer.id}` : event._tag
        )
      const scope = yield* Scope.make()
      const b = yield* nodeIn(scope, "b")
      yield* join(b, a)
      const dead = yield* handPeer("dead", "a", { listen: [{ host: "dead", port: 1 }] })
      yield* rest
      dead.link.destroy()
      yield* rest
      yield* b.stop
      yield* rest
      yield* Effect.ignore(a.connect("nobody:9470", { retryFor: 0 }))
      yield* rest
      assert.deepStrictEqual(ids(), [
        "PeerConnected b",
        "PeerConnected dead",
        "PeerDead dead",
        "PeerLeft b",
        "DialFailed"
      ])
      assert.deepInclude((yield* a.status).peers, { connected: 0, dead: 1, left: 1 })
      yield* Scope.close(scope, Exit.void)
    }).pipe(inMemory)
  )

  it.scoped("a silent peer: suspect, heard again, dead", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { heartbeatInterval: "5 seconds", heartbeatTimeout: "15 seconds" })
      const events = yield* recordEvents(a)
      const b = yield* handPeer("b", "a", { listen: [{ host: "b", port: 1 }] })
      b.link.pause()
      yield* TestClock.adjust("9 seconds")
      assert.strictEqual(yield* statusOf(a, "b"), "suspect")
      assert.strictEqual((yield* a.waitForPeers(1)).length, 1)
      b.say("HEARTBEAT", { kind: "ping", seq: 1 })
      yield* rest
      assert.strictEqual(yield* statusOf(a, "b"), "connected")
      yield* TestClock.adjust("17 seconds")
      assert.strictEqual(yield* statusOf(a, "b"), "dead")
      assert.deepStrictEqual(tags(events).slice(0, 5), [
        "PeerConnected",
        "PeerSuspect",
        "PeerRecovered",
        "PeerSuspect",
        "PeerDead"
      ])
    }).pipe(inMemory)
  )

  it.scoped("waitForPeers waits for as many, and leaves nothing behind when interrupted", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      assert.deepStrictEqual(yield* a.waitForPeers(0), [])
      const two = yield* Effect.fork(a.waitForPeers(2))
      const never = yield* Effect.fork(a.waitForPeers(9))
      yield* rest
      yield* handPeer("b", "a")
      yield* rest
      assert.strictEqual(two.unsafePoll(), null)
      yield* handPeer("c", "a")
      assert.strictEqual((yield* Fiber.join(two)).length, 2)
      yield* Fiber.interrupt(never)
    }).pipe(inMemory)
  )

  it.scoped("two nodes with one id", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const events = yield* Observe.events(a)
      const twin = yield* node("a", { host: "twin" })
      yield* Effect.flip(twin.connect("a:9470", { retryFor: 0 }))
      yield* events.next("IdConflict")
    }).pipe(inMemory)
  )

  it.scoped("a connect that waits to try again ends with stop", () =>
    Effect.gen(function* () {
      const a = yield* node("a")
      const connecting = yield* Effect.fork(Effect.flip(a.connect("nobody:9470", { retryFor: "1 hour" })))
      yield* TestClock.adjust("1 second")
      yield* a.stop
      assert.strictEqual((yield* Fiber.join(connecting))._tag, "NetworkNotRunning")
    }).pipe(inMemory)
  )

  it.scoped("the status, field by field", () =>
    Effect.gen(function* () {
      const a = yield* node("a", { bootstrap: ["nobody:9470"], network: "net", heartbeatInterval: "1 second" })
      const b = yield* node("b", { network: "net" })
      yield* join(b, a)
      const gate = yield* Deferred.make<void>()
      yield* Effect.addFinalizer(() => Deferred.succeed(gate, undefined))
      yield* a.handle(Chat, () => Deferred.await(gate))
      yield* a.handle(Ask, () => Effect.succeed({ answer: "" }))
      yield* b.sendMessages("a", Chat, [{ text: "1" }, { text: "2" }])
      const asking = yield* Effect.fork(b.request("a", Ask, { question: "" }, { timeout: "1 minute" }))
      yield* TestClock.adjust("3 seconds")
      const status = yield* a.status
      assert.deepInclude(status, { nodeId: a.nodeId, running: true, network: "net", uptimeMs: 3_000 })
      assert.strictEqual(String(status.address), "a:9470")
      assert.deepStrictEqual(status.advertised.map(String), ["a:9470"])
      assert.deepInclude(status.peers, { connected: 1, dead: 0 })
      assert.deepStrictEqual(status.connections, { inbound: 1, outbound: 0, handshaking: 0, closing: 0 })
      assert.strictEqual(status.queued.inbound, 2)
      assert.isAbove(status.queued.inboundBytes, 100)
      assert.strictEqual((yield* b.status).queued.requests, 1)
      assert.isAbove(status.messages.in, 3)
      assert.isAbove(status.rates.messages.in, 0)
      assert.isDefined(status.roundTrip)
      assert.deepStrictEqual(
        status.dialing.map(({ address, error }) => [String(address), error?._tag]),
        [["nobody:9470", "DialRefused"]]
      )
      assert.isAbove(status.errors["DialRefused"] ?? 0, 0)
      yield* Deferred.succeed(gate, undefined)
      assert.deepStrictEqual(yield* Fiber.join(asking), { answer: "" })
    }).pipe(inMemory)
  )
})

/** The parts of a node, with the discovery and the transport given. */
const nodeOf = (
  id: string,
  parts: {
    readonly discovery?: Layer.Layer<Discovery.Discovery>
    readonly transport?: (transport: Transport["Type"]) => Transport["Type"]
    readonly bootstrap?: ReadonlyArray<string>
  }
) => {
  const config = Layer.effect(
    NetworkConfig.NetworkConfig,
    Either.map(
      NetworkConfig.make({ ...quiet, nodeId: id, host: id, bootstrap: [...(parts.bootstrap ?? [])] }),
      ({ settings }) => settings
    )
  )
  const transport = Layer.effect(
    Transport,
    Effect.map(MemoryTransport.MemoryNetwork, (network) => (parts.transport ?? ((same) => same))(network.transport(id)))
  )
  const state = Layer.mergeAll(PeerBook.layer, NetworkStats.layer, LocalNode.layer)
  const pool = ConnectionPool.layer.pipe(Layer.provideMerge(state))
  const all = Layer.mergeAll(Heartbeat.layer, Router.layer, parts.discovery ?? Discovery.layer).pipe(
    Layer.provideMerge(pool)
  )
  return Layer.build(
    Layer.fresh(
      P2PNetwork.layerFromParts().pipe(
        Layer.provide(all),
        Layer.provide(Layer.merge(NodeIdentity.layer, transport)),
        Layer.provide(config)
      )
    )
  ).pipe(Effect.map(Context.get(P2PNetwork.P2PNetwork)))
}

describe("one part replaced, and nothing else", () => {
  it.scoped("a discovery that never dials", () =>
    Effect.gen(function* () {
      const met: Array<string> = []
      const mute = Layer.succeed(
        Discovery.Discovery,
        Discovery.Discovery.of({
          run: Effect.never,
          met: (connection) => {
            met.push(String(connection.identity?.id))
          },
          poke: () => {}
        })
      )
      const b = yield* node("b")
      const a = yield* nodeOf("a", { discovery: mute, bootstrap: ["b:9470"] })
      yield* TestClock.adjust(Duration.seconds(30))
      assert.strictEqual((yield* a.status).peers.connected, 0)
      yield* b.handle(Ask, ({ payload }) => Effect.succeed({ answer: payload.question }))
      yield* a.connect("b:9470")
      assert.deepStrictEqual(yield* a.request("b", Ask, { question: "?" }), { answer: "?" })
      assert.deepStrictEqual(met, ["b"])
    }).pipe(inMemory)
  )

  it.scoped("a transport that notes what is dialed", () =>
    Effect.gen(function* () {
      const log: Array<string> = []
      const a = yield* nodeOf("a", {
        transport: (transport) => ({
          ...transport,
          dial: (address) => {
            log.push(`dial ${address}`)
            return transport.dial(address)
          }
        })
      })
      const b = yield* node("b")
      const got = yield* recordChats(b)
      yield* a.connect("b:9470")
      yield* a.sendMessage("b", Chat, { text: "hi" })
      yield* until("it", () => got.length === 1)
      assert.deepStrictEqual(log, ["dial b:9470"])
    }).pipe(inMemory)
  )
})
