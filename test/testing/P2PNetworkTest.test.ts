import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as MessageType from "../../src/MessageType.js"
import {
  AddressInvalid,
  BatchFailed,
  ListenFailed,
  MessageTooLarge,
  PeerNotConnected,
  RequestTimeout
} from "../../src/NetworkError.js"
import * as NodeId from "../../src/NodeId.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as Expect from "../../src/testing/Expect.js"
import type * as P2PNetworkMemory from "../../src/testing/P2PNetworkMemory.js"
import { P2PNetworkTest } from "../../src/testing/P2PNetworkTest.js"
import { Ask, Chat, Other, recordChats } from "../utils/network.js"
import { simulate } from "../utils/simulated.js"

const inTest = (options: P2PNetworkMemory.Options = {}) => Effect.provide(P2PNetworkTest.layer(options))

const both = Effect.all([P2PNetwork, P2PNetworkTest])

/** Notes the names of the events of peers, as an application would. */
const noteEvents = Effect.gen(function* () {
  const network = yield* P2PNetwork
  const noted: Array<string> = []
  yield* Stream.runForEach(network.events, (event) =>
    // A reader that takes a few turns for each.
    Effect.zipRight(
      Effect.repeatN(Effect.yieldNow(), 20),
      Effect.sync(() => noted.push(event._tag))
    )
  ).pipe(Effect.forkScoped)
  yield* Effect.yieldNow()
  return noted
})

describe("a peer", () => {
  it.scoped("comes and goes in every way, and the application is told before the test goes on", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const noted = yield* noteEvents
      const alice = yield* outside.join("alice", { tags: { role: "storage" } })
      assert.deepStrictEqual(noted.splice(0), ["PeerConnected"])
      assert.deepInclude((yield* network.peers({ tags: { role: "storage" } }))[0], {
        id: alice.id,
        status: "connected"
      })
      for (const [go, event, status] of [
        [alice.leave, "PeerLeft", "left"],
        [alice.vanish, "PeerDead", "dead"]
      ] as const) {
        yield* go
        assert.deepStrictEqual(noted.splice(0), [event])
        yield* Expect.status(network, "alice", status)
        yield* go
        yield* alice.restart
        assert.deepStrictEqual(noted.splice(0), ["PeerConnected"])
      }
      for (const [go, event, status] of [
        [alice.disconnect, "PeerDisconnected", "disconnected"],
        [alice.drop, "PeerDead", "dead"]
      ] as const) {
        yield* go
        assert.deepStrictEqual(noted.splice(0), [event])
        yield* Expect.status(network, "alice", status)
        yield* alice.connect
        assert.deepStrictEqual(noted.splice(0), ["PeerConnected"])
      }
    }).pipe(inTest())
  )

  it.scoped("that restarts while it is connected is another session, for which nothing has to be waited", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* alice.handle(Ask, () => Effect.never)
      const asking = yield* Effect.fork(Effect.flip(network.request("alice", Ask, { question: "?" })))
      yield* alice.nextSent(Ask)
      yield* alice.restart
      assert.deepInclude(yield* Fiber.join(asking), { _tag: "RequestLost", sent: true })
      yield* Expect.peers(network, ["alice"])
      yield* network.sendMessage("alice", Chat, { text: "hello again" })
    }).pipe(inTest())
  )

  it.scoped("whose connection broke is dialed again by the application's node in its own time", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* alice.drop
      yield* Expect.status(network, "alice", "dead")
      const back = yield* Effect.fork(Expect.peers(network, ["alice"], { within: "5 seconds" }))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(back)
    }).pipe(inTest())
  )

  it.scoped("that listens waits for the application to connect", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.listen("alice")
      yield* Expect.peers(network, [])
      const peer = yield* network.connect(alice.address)
      assert.deepInclude(peer, { id: alice.id, direction: "outbound" })
      yield* alice.vanish
      const error = yield* Effect.flip(network.connect(alice.address, { retryFor: 0 }))
      assert.strictEqual(error._tag, "DialRefused")
    }).pipe(inTest())
  )

  it.scoped("is refused as a real one is, and dies where the test contradicts itself", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      assert.strictEqual((yield* Effect.flip(outside.join("bob")))._tag, "TooManyConnections")
      for (const contradiction of [outside.join("alice"), outside.join("not an id"), outside.join("app")]) {
        assert.isTrue(Option.isSome(Option.fromNullable(yield* Effect.flip(Effect.sandbox(contradiction)))))
      }
      yield* alice.leave
      assert.strictEqual((yield* Effect.flip(Effect.sandbox(alice.send(Chat, { text: "" }))))._tag, "Die")
      yield* outside.join("alice")
      yield* network.stop
      assert.strictEqual((yield* Effect.flip(outside.join("carol")))._tag, "NetworkNotRunning")
    }).pipe(inTest({ maxPeers: 1 }))
  )

  it.scoped("that is silent is suspect, then dead; one that is heard again in time is not", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const bob = yield* outside.join("bob")
      yield* alice.freeze
      const heard = yield* recordChats(network)
      yield* alice.send(Chat, { text: "heard later" })
      yield* bob.vanishSilently
      yield* Expect.peers(network, ["alice", "bob"])
      yield* TestClock.adjust("10 seconds")
      yield* Expect.peers(network, ["alice", "bob"], { status: "suspect" })
      yield* alice.resume
      yield* Expect.status(network, "alice", "connected")
      assert.deepStrictEqual(heard, ["heard later"])
      yield* TestClock.adjust("15 seconds")
      yield* Expect.peers(network, ["alice"], { status: "connected" })
      yield* Expect.status(network, "bob", "dead")
    }).pipe(inTest())
  )

  it.scoped("that does not read lets sends time out, and gets in order what waited once it reads", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const texts: Array<string> = []
      yield* alice.handle(Chat, ({ payload }) => Effect.sync(() => texts.push(payload.text)))
      yield* alice.stall
      const chat = (text: string) => network.sendMessage("alice", Chat, { text })
      yield* chat("1")
      const second = yield* Effect.fork(chat("2"))
      yield* Expect.status(network, "alice", "connected")
      const third = yield* Effect.fork(Effect.flip(chat("3")))
      yield* TestClock.adjust("5 seconds")
      yield* Fiber.join(second)
      assert.strictEqual((yield* Fiber.join(third))._tag, "SendTimeout")
      const asking = yield* Effect.fork(Effect.flip(network.request("alice", Ask, { question: "4" })))
      yield* TestClock.adjust("5 seconds")
      assert.deepInclude(yield* Fiber.join(asking), { _tag: "SendTimeout" })
      yield* outside.expectNothingSent(Ask)
      const heard = yield* recordChats(network)
      yield* alice.send(Chat, { text: "it still talks" })
      assert.deepStrictEqual(heard, ["it still talks"])
      yield* alice.resume
      yield* outside.expectSent(Chat, { text: "2" }, { to: "alice" })
      yield* Effect.repeatN(Effect.yieldNow(), 300)
      assert.deepStrictEqual(texts, ["1", "2"])
    }).pipe(inTest({ outboundQueue: 1 }))
  )

  it.effect("and the node stop in no time, whatever hangs", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const [alice, bob, carol] = yield* Effect.all([
        outside.join("alice"),
        outside.join("bob"),
        Effect.tap(outside.join("carol"), ({ vanishSilently }) => vanishSilently)
      ])
      yield* network.handle(Chat, () => Effect.never)
      yield* alice.handle(Ask, () => Effect.never)
      yield* alice.send(Chat, { text: "never handled" }, { await: "nothing" })
      yield* Effect.forkDaemon(Effect.ignore(network.request("alice", Ask, { question: "?" })))
      yield* alice.nextSent(Ask)
      yield* bob.freeze
      yield* carol.leave
    }).pipe(Effect.scoped, inTest())
  )
})

describe("what a peer says", () => {
  it.scoped("has been handled when that returns", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const got: Array<readonly [string, string, boolean]> = []
      yield* network.handle(Chat, ({ isBroadcast, payload, sender }) =>
        Effect.zipRight(
          Effect.repeatN(Effect.yieldNow(), 5_000),
          Effect.sync(() => got.push([sender, payload.text, isBroadcast]))
        )
      )
      const id = yield* alice.send(Chat, { text: "1" })
      assert.match(id, /-/)
      assert.deepStrictEqual(got.splice(0), [["alice", "1", false]])
      const { sent } = yield* alice.broadcast(Chat, { text: "2" })
      assert.deepStrictEqual(sent, [network.nodeId])
      assert.deepStrictEqual(got.splice(0), [["alice", "2", true]])
      yield* alice.send(Chat, { text: "3" }, { await: "nothing" })
      yield* alice.broadcast(Chat, { text: "4" }, { await: "nothing" })
      assert.deepStrictEqual(got, [])
      yield* alice.send(Chat, { text: "5" })
      assert.deepStrictEqual(
        got.map(([, text]) => text),
        ["3", "4", "5"]
      )
    }).pipe(inTest())
  )

  it.scoped("has been taken by readers of messages too, and is not waited for where they do not come back", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const got: Array<string> = []
      const read = (take: (text: string) => Effect.Effect<void>) =>
        Stream.runForEach(network.messages(Chat), ({ payload }) => take(payload.text)).pipe(Effect.forkScoped)
      yield* read((text) =>
        Effect.zipRight(
          Effect.repeatN(Effect.yieldNow(), 100),
          Effect.sync(() => got.push(text))
        )
      )
      yield* read(() => Effect.never)
      yield* Effect.yieldNow()
      for (const text of ["1", "2"]) {
        yield* alice.send(Chat, { text })
        assert.strictEqual(got.at(-1), text)
      }
      const first = yield* Effect.fork(Stream.runHead(network.messages(Other)))
      yield* Effect.yieldNow()
      yield* alice.send(Other, { text: "one is enough" })
      assert.isNotNull(first.unsafePoll())
    }).pipe(inTest())
  )

  it.scoped("may be what the application does not understand", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const texts = yield* recordChats(network)
      yield* alice.sendJson(Chat, { words: 1 })
      yield* alice.sendJson("NOBODY_KNOWS", {})
      yield* alice.send(Chat, { text: "after all" })
      assert.deepStrictEqual(texts, ["after all"])
      assert.deepInclude((yield* network.status).counts, { undecodable: 1, unsupported: 1 })
    }).pipe(inTest())
  )

  it.scoped("may be a question: the answer, the typed failure, or that nobody answers", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      assert.deepInclude(yield* Effect.flip(alice.request(Ask, { question: "?" })), { _tag: "UnsupportedType" })
      yield* network.handle(Ask, ({ payload }) =>
        payload.question === ""
          ? Effect.fail({ reason: "nothing asked" })
          : Effect.succeed({ answer: payload.question })
      )
      assert.deepStrictEqual(yield* alice.request(Ask, { question: "tea" }), { answer: "tea" })
      assert.deepStrictEqual(yield* Effect.flip(alice.request(Ask, { question: "" })), { reason: "nothing asked" })
    }).pipe(inTest())
  )

  it.scoped("is lost with the connection, and nobody waits for it", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* network.handle(Chat, () => network.disconnect("alice"))
      yield* alice.send(Chat, { text: "hang up" })
      yield* Expect.status(network, "alice", "disconnected")
      assert.instanceOf(yield* Effect.flip(alice.send(Chat, { text: "?" })), PeerNotConnected)
    }).pipe(inTest())
  )
})

describe("what a peer answers", () => {
  it.scoped("is as it is told last, in later sessions too", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const ask = network.request("alice", Ask, { question: "?" })
      assert.deepInclude(yield* Effect.flip(ask), { _tag: "UnsupportedType" })
      yield* alice.handle(Ask, () => Effect.succeed({ answer: "yes" }))
      assert.deepStrictEqual(yield* ask, { answer: "yes" })
      yield* alice.handle(Ask, () => Effect.fail({ reason: "busy" }))
      assert.deepStrictEqual(yield* Effect.flip(ask), { reason: "busy" })
      yield* alice.restart
      assert.deepStrictEqual(yield* Effect.flip(ask), { reason: "busy" })
      yield* alice.handle(MessageType.jsonRequest("ASK"), () => Effect.succeed({ wrong: true }))
      assert.deepInclude(yield* Effect.flip(ask), { _tag: "ReplyInvalid" })
      yield* alice.handle(Ask, () => Effect.dieMessage("broken"))
      assert.deepInclude(yield* Effect.flip(ask), { _tag: "RequestBroke" })
    }).pipe(inTest())
  )

  it.scoped("may use what the test provides, and may never come", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* alice.handle(Ask, () => Effect.map(P2PNetworkTest, (same) => ({ answer: String(same === outside) })))
      assert.deepStrictEqual(yield* network.request("alice", Ask, { question: "?" }), { answer: "true" })
      yield* alice.handle(Ask, () => Effect.never)
      const asking = yield* Effect.fork(Effect.flip(network.request("alice", Ask, { question: "?" })))
      yield* TestClock.adjust("10 seconds")
      assert.instanceOf(yield* Fiber.join(asking), RequestTimeout)
    }).pipe(inTest())
  )

  it.scoped("is nothing to one-way messages, which it takes in silence", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* network.sendMessage("alice", Chat, { text: "hello" })
      const node = yield* alice.node
      yield* Effect.repeatN(Effect.yieldNow(), 300)
      assert.strictEqual((yield* node.status).counts["unsupported"], 0)
    }).pipe(inTest())
  )
})

describe("what was sent", () => {
  it.scoped("is kept in order, of every kind, for each peer", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const bob = yield* outside.join("bob")
      yield* network.sendMessage("alice", Chat, { text: "1" })
      yield* network.broadcast(Chat, { text: "2" })
      yield* network.sendMessages("bob", Other, [{ text: "3" }, { text: "4" }])
      yield* Effect.ignore(network.request("bob", Ask, { question: "5" }))
      const all = yield* outside.sent()
      assert.deepStrictEqual(
        all.map(({ kind, to, type }) => [kind, type, ...to].join(" ")),
        ["message CHAT alice", "broadcast CHAT alice bob", "message OTHER bob", "message OTHER bob", "request ASK bob"]
      )
      assert.deepStrictEqual(
        (yield* outside.sent(Chat)).map(({ payload }) => payload.text),
        ["1", "2"]
      )
      assert.deepStrictEqual(
        (yield* outside.sent(Chat, { to: "bob" })).map(({ payload }) => payload.text),
        ["2"]
      )
      assert.deepStrictEqual([(yield* alice.sent()).length, (yield* bob.sent()).length], [2, 4])
      assert.deepStrictEqual((yield* bob.sent(Ask))[0]?.payload, { question: "5" })
    }).pipe(inTest())
  )

  it.scoped("is what was handed over, and nothing else", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      yield* Effect.ignore(network.sendMessage("nobody", Chat, { text: "" }))
      yield* Effect.ignore(network.request("nobody", Ask, { question: "" }))
      yield* outside.join("alice")
      const wrong = { text: 1 } as never
      yield* Effect.ignore(network.sendMessage("alice", Chat, wrong))
      yield* Effect.ignore(network.broadcast(Chat, wrong))
      yield* outside.expectNothingSent()
      const error = yield* Effect.flip(network.sendMessages("alice", Chat, [{ text: "1" }, wrong, { text: "3" }]))
      assert.strictEqual(error.taken, 1)
      const [only, ...others] = yield* outside.sent()
      assert.deepStrictEqual([only?.payload, others.length], [{ text: "1" }, 0])
      yield* outside.expectNothingSent(Other)
      yield* outside.expectNothingSent(Chat, { to: "bob" })
    }).pipe(inTest())
  )

  it.scoped("may be waited for: each is given once to each who asks", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const next = Effect.map(outside.nextSent(Chat), ({ payload }) => payload.text)
      const waiting = yield* Effect.fork(next)
      yield* Effect.yieldNow()
      yield* network.broadcast(Other, { text: "0" })
      yield* network.broadcast(Chat, { text: "1" })
      yield* network.sendMessage("alice", Chat, { text: "2" })
      assert.deepStrictEqual([yield* Fiber.join(waiting), yield* next], ["1", "2"])
      assert.deepStrictEqual((yield* alice.nextSent(Chat)).payload, { text: "1" })
      const vain = yield* Effect.fork(Effect.flip(next))
      yield* TestClock.adjust("4 seconds")
      const { message } = yield* Fiber.join(vain)
      assert.match(message, /^expected: another CHAT is sent\nactual: {3}kind/)
      assert.match(message, /message {4}CHAT {3}alice {2}\{"text":"2"\}$/)
    }).pipe(inTest())
  )

  it.scoped("may be expected, by equality or by a condition", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      yield* network.broadcast(Chat, { text: "to nobody" })
      const { kind, to } = yield* outside.expectSent(Chat, { text: "to nobody" })
      assert.deepStrictEqual([kind, to], ["broadcast", []])
      yield* outside.expectSent(Chat)
      yield* outside.expectSent(Chat, ({ text }) => text.startsWith("to"))
      const failures = yield* Effect.all([
        Effect.flip(outside.expectSent(Chat, { text: "else" })),
        Effect.flip(outside.expectSent(Chat, () => false, { to: "alice" })),
        Effect.flip(outside.expectNothingSent()),
        Effect.flip(outside.expectNothingSent(Chat))
      ])
      assert.deepStrictEqual(
        failures.map(({ expected }) => expected),
        [
          'CHAT {"text":"else"} is sent',
          "CHAT for which its condition holds is sent to alice",
          "no message is sent",
          "no CHAT is sent"
        ]
      )
    }).pipe(inTest())
  )

  it.scoped("is of the application alone: not its answers, nor what it passes on", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      const bob = yield* outside.join("bob")
      const texts = yield* Effect.flatMap(bob.node, recordChats)
      yield* network.handle(Ask, () => Effect.succeed({ answer: "" }))
      yield* recordChats(network)
      yield* alice.request(Ask, { question: "" })
      yield* alice.broadcast(Chat, { text: "pass it on" })
      yield* outside.expectNothingSent()
      assert.deepStrictEqual(texts, ["pass it on"])
    }).pipe(inTest())
  )
})

describe("failNext", () => {
  it.scoped("makes each operation fail as it is told, once or as often as it is told", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      yield* outside.join("alice")
      const gone = new PeerNotConnected({ peer: "alice" })
      const operations = [
        ["connect", new AddressInvalid({ detail: "no" }), network.connect("alice:9470")],
        ["sendMessage", gone, network.sendMessage("alice", Chat, { text: "1" })],
        [
          "sendMessages",
          new BatchFailed({ taken: 0, error: gone }),
          network.sendMessages("alice", Chat, [{ text: "2" }])
        ],
        [
          "request",
          new RequestTimeout({ peer: NodeId.make("alice"), id: "x", millis: 1 }),
          network.request("alice", Ask, { question: "3" })
        ],
        [
          "broadcast",
          new MessageTooLarge({ type: "CHAT", bytes: 2, limit: 1 }),
          network.broadcast(Chat, { text: "4" })
        ],
        ["start", new ListenFailed({ address: PeerAddress.make("app", 1), reason: "Other" }), network.start]
      ] as const
      for (const [operation, error, effect] of operations) {
        yield* outside.failNext(operation, error as never)
        assert.strictEqual(yield* Effect.flip(effect as Effect.Effect<unknown, unknown>), error)
      }
      yield* outside.expectNothingSent()
      const [, [, , send]] = operations
      yield* outside.failNext("sendMessage", gone, { times: 2 })
      assert.deepStrictEqual([yield* Effect.flip(send), yield* Effect.flip(send)], [gone, gone])
      yield* send
      assert.lengthOf(yield* outside.sent(Chat), 1)
    }).pipe(inTest())
  )
})

describe("the layer", () => {
  it.live("works by the live clock as well", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      const alice = yield* outside.join("alice")
      yield* alice.handle(Ask, () => Effect.delay(Effect.succeed({ answer: "late" }), "5 millis"))
      assert.deepStrictEqual(yield* network.request("alice", Ask, { question: "?" }), { answer: "late" })
      const missing = yield* Effect.flip(outside.nextSent(Chat, { within: "1 millis" }))
      assert.include(missing.message, "request  ASK")
      const back = yield* Effect.fork(Expect.status(network, "alice", "dead", { within: "1 second" }))
      yield* alice.vanish
      yield* Fiber.join(back)
    }).pipe(inTest({ sendTimeout: "1 second" }))
  )

  it.effect("gives each build a network of its own, with the settings and the handlers given", () =>
    Effect.gen(function* () {
      const layer = P2PNetworkTest.layer({ nodeId: "me", port: 1, autoStart: false })
      const build = Effect.gen(function* () {
        const [network, outside] = yield* both
        assert.deepStrictEqual([network.nodeId, (yield* network.status).running], [NodeId.make("me"), false])
        yield* network.start
        yield* outside.join("alice")
        yield* Expect.peers(network, ["alice"])
      })
      yield* Effect.all([build.pipe(Effect.provide(layer)), build.pipe(Effect.provide(Layer.fresh(layer)))])
    })
  )
})

describe("the lists of who may be connected", () => {
  it.scoped("name nodes as tests call them, in the settings and while the node runs", () =>
    Effect.gen(function* () {
      const [network, outside] = yield* both
      yield* outside.join("alice")
      assert.strictEqual((yield* Effect.flip(outside.join("bob")))._tag, "Unauthorized")
      yield* network.setAccess({ allow: ["Bob"], deny: [] })
      yield* outside.join("Bob")
      assert.strictEqual((yield* Effect.flip(network.setAccess({ allow: ["no id!"] })))._tag, "ConfigInvalid")
    }).pipe(inTest({ allow: ["alice"], deny: ["bob"] }))
  )

  it.live("do so on the simulated network too", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const { network } = yield* simulated.node({ nodeId: "alice", allow: ["carol"] })
        assert.deepStrictEqual((yield* network.access).allow, [NodeId.make("carol")])
      })
    )
  )
})
