import { assert, describe, it } from "@effect/vitest"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as Sidecar from "../../src/cli/Sidecar.js"
import { HandlerExists, ListenFailed, PeerNotConnected, RequestFailed } from "../../src/NetworkError.js"
import * as NodeId from "../../src/NodeId.js"
import * as FakeNetwork from "./support/FakeNetwork.js"
import * as FakeStdio from "./support/FakeStdio.js"

/** Lets all other fibers run as far as they come. */
const settle = Effect.forEach(Array.from({ length: 50 }), () => Effect.yieldNow(), { discard: true })

const start = (
  script: FakeNetwork.Script = {},
  options: Partial<Sidecar.Options> & { readonly input?: Stream.Stream<Uint8Array, unknown> } = {}
) =>
  Effect.gen(function* () {
    const stdio = yield* FakeStdio.make
    const network = yield* FakeNetwork.make(script)
    const interrupted = yield* Deferred.make<void>()
    const { input, ...rest } = options
    const fiber = yield* Sidecar.run({
      ...stdio,
      ...(input === undefined ? {} : { stdin: input }),
      interrupted: Deferred.await(interrupted),
      maxMessageBytes: 65_536,
      requestTimeout: Duration.seconds(10),
      sendTimeout: Duration.seconds(5),
      shutdownGrace: Duration.seconds(5),
      ...rest
    }).pipe(Effect.provide(network.layer), Effect.fork)
    return {
      ...stdio,
      network,
      interrupt: Effect.asVoid(Deferred.succeed(interrupted, undefined)),
      ended: Fiber.join(fiber),
      fiber
    }
  })

/** The same, with the line that says where it listens taken. */
const listening = (...parameters: Parameters<typeof start>) =>
  Effect.tap(start(...parameters), (sidecar) => sidecar.next)

const errorOf = (line: Record<string, unknown>) => line["error"] as Record<string, unknown>

describe("Sidecar", () => {
  it.effect("says where it listens before anything else", () =>
    Effect.gen(function* () {
      const { next } = yield* start()
      assert.deepStrictEqual(yield* next, {
        event: "listening",
        nodeId: "node-a",
        address: { host: "127.0.0.1", port: 9470 }
      })
    })
  )

  it.effect("tells every change of a peer's status, with the peer as JSON and why it was lost", () =>
    Effect.gen(function* () {
      const { network, next } = yield* listening()
      const error = { _tag: "ConnectionLost", message: "node-b: connection lost" }
      const dead = FakeNetwork.peer("node-b", { status: "dead" })
      yield* network.publish({ _tag: "PeerConnected", peer: FakeNetwork.peer("node-b") })
      yield* network.publish({ _tag: "PeerSuspect", peer: FakeNetwork.peer("node-b", { status: "suspect" }) })
      yield* network.publish({ _tag: "PeerRecovered", peer: FakeNetwork.peer("node-b") })
      yield* network.publish({ _tag: "PeerDead", peer: dead, error })
      yield* network.publish({ _tag: "PeerLeft", peer: FakeNetwork.peer("node-c", { status: "left" }) })
      const connected = yield* next
      assert.strictEqual(connected["event"], "peer")
      const { address, id, messages, status } = connected["peer"] as Record<string, unknown>
      assert.deepStrictEqual(
        { address, id, messages, status },
        { address: { host: "127.0.0.1", port: 9471 }, id: "node-b", messages: { in: 3, out: 4 }, status: "connected" }
      )
      const lines = [yield* next, yield* next, yield* next, yield* next]
      assert.deepStrictEqual(
        lines.map((line) => [(line["peer"] as Record<string, unknown>)["status"], line["error"]]),
        [
          ["suspect", undefined],
          ["connected", undefined],
          ["dead", error],
          ["left", undefined]
        ]
      )
    })
  )

  it.effect("names the messages that were lost, and keeps what is for people out of its output", () =>
    Effect.gen(function* () {
      const { network, next } = yield* listening()
      const error = { _tag: "DialRefused", message: "refused" }
      const peer = NodeId.make("node-b")
      yield* network.publish({ _tag: "DialFailed", address: FakeNetwork.address, error, attempts: 1 })
      yield* network.publish({ _tag: "HandshakeFailed", address: FakeNetwork.address, direction: "inbound", error })
      yield* network.publish({ _tag: "IdConflict", id: peer, address: FakeNetwork.address })
      yield* network.publish({ _tag: "MessagesLost", peer, ids: ["m-1", "m-2"] })
      assert.deepStrictEqual(yield* next, { event: "lost", peer: "node-b", ids: ["m-1", "m-2"] })
    })
  )

  it.effect("carries out each command and gives its value under its ref", () =>
    Effect.gen(function* () {
      const { network, next, send } = yield* listening()
      const result = (command: Record<string, unknown>) => Effect.zipRight(send(command), next)
      const value = (command: Record<string, unknown>) =>
        Effect.map(result({ ...command, ref: command["command"] }), (line) => {
          assert.deepStrictEqual(
            [line["event"], line["ok"], line["ref"]],
            ["result", true, command["command"]],
            JSON.stringify(line)
          )
          return line["value"]
        })
      const type = "CHAT"
      const payload = { text: "hi" }

      const connected = (yield* value({ command: "connect", address: "127.0.0.1:9471" })) as Record<string, unknown>
      assert.strictEqual(connected["id"], "node-b")
      assert.deepStrictEqual(yield* value({ command: "send", to: "node-b", type, payload }), { id: "s-1" })
      assert.deepStrictEqual(yield* value({ command: "request", to: "node-b", type, payload }), {
        payload: { echo: payload }
      })
      yield* value({ command: "request", to: "node-b", type, payload, timeout: 250 })
      assert.deepStrictEqual(yield* value({ command: "broadcast", type, payload }), {
        id: "b-1",
        sent: ["node-a"],
        failed: []
      })
      const peers = (yield* value({ command: "peers" })) as ReadonlyArray<Record<string, unknown>>
      assert.deepStrictEqual(
        peers.map(({ id }) => id),
        ["node-b"]
      )
      const status = (yield* value({ command: "status" })) as Record<string, unknown>
      assert.deepStrictEqual([status["uptimeMs"], status["address"]], [90_000, { host: "127.0.0.1", port: 9470 }])
      assert.deepStrictEqual(yield* value({ command: "disconnect", peer: "node-b" }), {})
      assert.deepStrictEqual(network.calls, [
        "start",
        "connect 127.0.0.1:9471",
        'send node-b CHAT {"text":"hi"}',
        'request node-b CHAT {"text":"hi"} {}',
        'request node-b CHAT {"text":"hi"} {"timeout":250}',
        'broadcast CHAT {"text":"hi"}',
        "disconnect node-b"
      ])
    })
  )

  it.effect("gives the error of a command by its tag, with the failure of a refused request", () =>
    Effect.gen(function* () {
      const to = NodeId.make("node-b")
      let failure: unknown = new PeerNotConnected({ peer: "node-b" })
      const { next, send } = yield* listening({ request: () => Effect.fail(failure) })
      const refused = Effect.zipRight(
        send({ ref: 1, command: "request", to: "node-b", type: "ASK", payload: {} }),
        next
      )
      const lost = yield* refused
      assert.deepStrictEqual(lost, {
        event: "result",
        ref: 1,
        ok: false,
        error: { _tag: "PeerNotConnected", message: "node-b is not connected: connect to it first" }
      })
      failure = { _tag: "Busy", until: 5 }
      assert.deepInclude(errorOf(yield* refused), { _tag: "RequestFailed", failure: { _tag: "Busy", until: 5 } })
      failure = new RequestFailed({ peer: to, id: "m-1", detail: "no", failure: ["why"] })
      assert.deepInclude(errorOf(yield* refused), { _tag: "RequestFailed", failure: ["why"] })
      failure = new RequestFailed({ peer: to, id: "m-1", detail: "no" })
      assert.notProperty(errorOf(yield* refused), "failure")
    })
  )

  it.effect("answers a command that broke this program with a result too", () =>
    Effect.gen(function* () {
      const { next, send } = yield* listening({ request: () => Effect.die("broken") })
      yield* send({ ref: 1, command: "request", to: "node-b", type: "ASK", payload: {} })
      const line = yield* next
      assert.deepStrictEqual([line["ok"], errorOf(line)["_tag"]], [false, "Defect"])
    })
  )

  it.effect("gives results as they are done, not as they were asked for", () =>
    Effect.gen(function* () {
      const { next, send } = yield* listening({ request: () => Effect.as(Effect.sleep("1 second"), {}) })
      yield* send({ ref: "slow", command: "request", to: "node-b", type: "ASK", payload: {} })
      yield* send({ ref: "quick", command: "send", to: "node-b", type: "CHAT", payload: {} })
      assert.strictEqual((yield* next)["ref"], "quick")
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* next)["ref"], "slow")
    })
  )

  it.effect("keeps the order of sends to one peer, while others go on", () =>
    Effect.gen(function* () {
      const { network, next, send } = yield* listening({
        sendMessage: (peer, type) => Effect.as(Effect.sleep(peer === "slow" && type === "A" ? "1 second" : 0), type)
      })
      yield* send({ ref: 1, command: "send", to: "slow", type: "A", payload: {} })
      yield* send({ ref: 2, command: "send", to: "slow", type: "B", payload: {} })
      yield* send({ ref: 3, command: "request", to: "slow", type: "C", payload: {} })
      yield* send({ ref: 4, command: "send", to: "quick", type: "D", payload: {} })
      yield* TestClock.adjust("500 millis")
      assert.strictEqual((yield* next)["ref"], 4)
      assert.deepStrictEqual(network.calls, ["start", "send slow A {}", "send quick D {}"])
      yield* TestClock.adjust("1 second")
      assert.deepStrictEqual([(yield* next)["ref"], (yield* next)["ref"], (yield* next)["ref"]].sort(), [1, 2, 3])
      assert.deepStrictEqual(network.calls.slice(3), ["send slow B {}", "request slow C {} {}"])
    })
  )

  it.effect("fails the sends behind one that has no room when their own time is up, not one after the other", () =>
    Effect.gen(function* () {
      const { next, send } = yield* listening({
        sendMessage: (peer) => Effect.zipRight(Effect.sleep("6 seconds"), Effect.fail(new PeerNotConnected({ peer })))
      })
      for (const ref of [1, 2, 3]) yield* send({ ref, command: "send", to: "slow", type: "CHAT", payload: {} })
      yield* send({ ref: 4, command: "request", to: "slow", type: "ASK", payload: {} })
      yield* TestClock.adjust("5 seconds")
      const lines = [yield* next, yield* next, yield* next]
      assert.sameDeepMembers(
        lines.map((line) => [line["ref"], errorOf(line)["_tag"]]),
        [
          [2, "SendTimeout"],
          [3, "SendTimeout"],
          [4, "SendTimeout"]
        ]
      )
      yield* TestClock.adjust("1 second")
      assert.strictEqual((yield* next)["ref"], 1)
    })
  )

  it.effect("answers lines that are no commands with an error that carries their ref, and goes on", () =>
    Effect.gen(function* () {
      const { network, next, send, sendBytes } = yield* listening()
      yield* send("{")
      yield* send("[1]")
      yield* send({ ref: { deep: [1] }, command: "fly" })
      yield* send({ ref: 7, command: "send", to: "node-b", type: "chat", payload: [] })
      yield* sendBytes(new Uint8Array([0x22, 0xff, 0x22, 0x0a]))
      yield* send({ ref: 8, command: "peers" })
      const lines = [yield* next, yield* next, yield* next, yield* next, yield* next]
      assert.deepStrictEqual(
        lines.map((line) => [line["event"], line["ref"], errorOf(line)["_tag"]]),
        [
          ["error", undefined, "NotJson"],
          ["error", undefined, "NotCommand"],
          ["error", { deep: [1] }, "NotCommand"],
          ["error", 7, "CommandInvalid"],
          ["error", undefined, "NotUtf8"]
        ]
      )
      assert.strictEqual((yield* next)["ref"], 8)
      assert.deepStrictEqual(network.calls, ["start"])
    })
  )

  it.effect("drops a line that is too long up to its newline", () =>
    Effect.gen(function* () {
      const { next, send, sendBytes } = yield* listening()
      const part = new Uint8Array(50_000).fill(0x20)
      for (let i = 0; i < 5; i++) yield* sendBytes(part)
      assert.strictEqual(errorOf(yield* next)["_tag"], "LineTooLong")
      yield* send("")
      yield* send({ ref: 1, command: "peers" })
      assert.strictEqual((yield* next)["ref"], 1)
    })
  )

  it.effect("takes a last line without a newline", () =>
    Effect.gen(function* () {
      const { end, next, sendBytes } = yield* listening()
      yield* sendBytes(new TextEncoder().encode('{"ref":1,"command":"status"}'))
      yield* end
      assert.strictEqual((yield* next)["ref"], 1)
    })
  )

  describe("messages", () => {
    it.effect("shows every message with its whole envelope and the peer it came over", () =>
      Effect.gen(function* () {
        const { network, next } = yield* listening()
        const message = FakeNetwork.received({ via: NodeId.make("node-c") })
        assert.deepStrictEqual(yield* network.receive(message), Exit.succeed({}))
        assert.deepStrictEqual(yield* next, { event: "message", from: "node-c", message: message.envelope })
      })
    )

    it.effect("answers a request with what `reply` gives", () =>
      Effect.gen(function* () {
        const { network, next, send } = yield* listening()
        const request = FakeNetwork.received({ id: "r-1", expectsReply: true })
        const outcome = yield* Effect.fork(network.receive(request))
        assert.strictEqual((yield* next)["event"], "message")
        yield* send({ ref: 1, command: "reply", from: "node-b", to: "r-1", payload: { yes: true } })
        assert.deepStrictEqual(yield* next, { event: "result", ref: 1, ok: true, value: {} })
        assert.deepStrictEqual(yield* Fiber.join(outcome), Exit.succeed({ yes: true }))
      })
    )

    it.effect("refuses a request with the failure that `reply` gives, null too", () =>
      Effect.gen(function* () {
        const { network, next, send } = yield* listening()
        for (const failure of [{ code: 4 }, null]) {
          const outcome = yield* Effect.fork(network.receive(FakeNetwork.received({ id: "r-1", expectsReply: true })))
          yield* next
          yield* send({ command: "reply", from: "node-b", to: "r-1", failure })
          assert.deepStrictEqual(yield* next, { event: "result", ok: true, value: {} })
          assert.deepStrictEqual(yield* Fiber.join(outcome), Exit.fail(failure))
        }
      })
    )

    it.effect("refuses a reply to a request that it does not know, or that cannot be sent", () =>
      Effect.gen(function* () {
        const { network, next, send } = yield* listening()
        yield* Effect.fork(network.receive(FakeNetwork.received({ id: "r-1", expectsReply: true })))
        yield* next
        yield* send({ ref: 1, command: "reply", from: "node-c", to: "r-1", payload: {} })
        assert.strictEqual(errorOf(yield* next)["_tag"], "RequestUnknown")
        yield* send('{"ref":2,"command":"reply","from":"node-b","to":"r-1","payload":{"a":"\\ud800"}}')
        assert.strictEqual(errorOf(yield* next)["_tag"], "PayloadInvalid")
        yield* send({ ref: 3, command: "reply", from: "node-b", to: "r-1", payload: {} })
        assert.strictEqual((yield* next)["ok"], true)
        yield* send({ ref: 4, command: "reply", from: "node-b", to: "r-1", payload: {} })
        assert.strictEqual(errorOf(yield* next)["_tag"], "RequestUnknown")
      })
    )

    it.effect("fails a request that nobody answers in time, and then forgets it", () =>
      Effect.gen(function* () {
        const { network, next, send } = yield* listening()
        const outcome = yield* Effect.fork(network.receive(FakeNetwork.received({ id: "r-1", expectsReply: true })))
        yield* next
        yield* TestClock.adjust("10 seconds")
        assert.deepStrictEqual(
          yield* Fiber.join(outcome),
          Exit.fail({ _tag: "ReplyTimeout", message: "the application did not answer within 10000 ms" })
        )
        yield* send({ command: "reply", from: "node-b", to: "r-1", payload: {} })
        assert.strictEqual(errorOf(yield* next)["_tag"], "RequestUnknown")
      })
    )
  })

  describe("while nobody reads", () => {
    it.effect("handles no message further, so that peers are not read", () =>
      Effect.gen(function* () {
        const { block, network, next, read } = yield* listening()
        yield* block
        const handled = yield* Effect.fork(network.receive(FakeNetwork.received()))
        const second = yield* Effect.fork(network.receive(FakeNetwork.received({ id: "m-2" })))
        yield* TestClock.adjust("1 hour")
        assert.isNull(handled.unsafePoll())
        assert.isNull(second.unsafePoll())
        yield* read
        yield* Fiber.join(handled)
        yield* Fiber.join(second)
        assert.deepInclude((yield* next)["message"], { id: "m-1" })
        assert.deepInclude((yield* next)["message"], { id: "m-2" })
      })
    )

    it.effect("takes on no more commands than run side by side, reads no further and writes one line at a time", () =>
      Effect.gen(function* () {
        const { block, network, read, rest, send, taken, waiting } = yield* listening({}, { concurrency: 4 })
        yield* block
        for (let ref = 0; ref < 100; ref++)
          yield* send({ ref, command: "send", to: "node-b", type: "CHAT", payload: {} })
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(waiting(), 1)
        assert.isAtMost(taken(), 5)
        assert.isAtMost(network.calls.length, 5)
        yield* read
        yield* settle
        while ((yield* rest).length > 0) yield* settle
        assert.strictEqual(network.calls.length, 101)
      })
    )

    it.effect("reads no further when errors are what waits to be written", () =>
      Effect.gen(function* () {
        const { block, send, taken, waiting } = yield* listening()
        yield* block
        for (let i = 0; i < 100; i++) yield* send("rubbish")
        yield* TestClock.adjust("1 hour")
        assert.strictEqual(waiting(), 1)
        assert.isAtMost(taken(), 2)
      })
    )
  })

  describe("comes to its end", () => {
    it.effect("at the end of its input: what was begun ends first, then the network stops", () =>
      Effect.gen(function* () {
        const { end, ended, network, next, send } = yield* listening({
          request: () => Effect.as(Effect.sleep("2 seconds"), {})
        })
        yield* send({ ref: 1, command: "request", to: "node-b", type: "ASK", payload: {} })
        yield* end
        yield* TestClock.adjust("2 seconds")
        assert.strictEqual((yield* next)["ref"], 1)
        assert.deepStrictEqual(yield* next, { event: "stopped" })
        assert.deepStrictEqual(yield* ended, { _tag: "EndOfInput" })
        assert.strictEqual(network.calls.at(-1), "stop")
      })
    )

    it.effect("when the input breaks, as at its end", () =>
      Effect.gen(function* () {
        const { ended } = yield* listening({}, { input: Stream.fail("broken") })
        assert.deepStrictEqual(yield* ended, { _tag: "EndOfInput" })
      })
    )

    it.effect("at the end of its input, though a command never ends", () =>
      Effect.gen(function* () {
        const { end, network, next, send } = yield* listening({ request: () => Effect.never })
        yield* send({ ref: 1, command: "request", to: "node-b", type: "ASK", payload: {} })
        yield* end
        yield* TestClock.adjust("4 seconds")
        assert.notInclude(network.calls, "stop")
        yield* TestClock.adjust("2 seconds")
        const line = yield* next
        assert.deepStrictEqual([line["ref"], line["ok"], errorOf(line)["_tag"]], [1, false, "Stopped"])
        assert.deepStrictEqual(yield* next, { event: "stopped" })
      })
    )

    it.effect("by command: sends end first, requests of ours and of others fail, and nothing follows `stopped`", () =>
      Effect.gen(function* () {
        const stop = yield* Deferred.make<void>()
        const { ended, network, next, rest, send } = yield* listening({
          sendMessage: () => Effect.as(Effect.sleep("1 second"), "s-1"),
          request: (peer) => Effect.zipRight(Deferred.await(stop), Effect.fail(new PeerNotConnected({ peer }))),
          stop: Effect.asVoid(Deferred.succeed(stop, undefined))
        })
        const theirs = yield* Effect.fork(network.receive(FakeNetwork.received({ id: "r-1", expectsReply: true })))
        yield* next
        yield* send({ ref: "mine", command: "request", to: "node-b", type: "ASK", payload: {} })
        yield* send({ ref: "sent", command: "send", to: "node-b", type: "CHAT", payload: {} })
        yield* send({ ref: "stop", command: "stop" })
        yield* send({ ref: "never", command: "peers" })
        yield* TestClock.adjust("500 millis")
        assert.notInclude(network.calls, "stop")
        yield* TestClock.adjust("1 second")
        const asked = yield* ended
        assert.strictEqual(asked._tag, "StopCommand")
        const lines = yield* rest
        assert.deepStrictEqual(
          lines.map((line) => [line["event"], line["ref"], line["ok"]]),
          [
            ["result", "sent", true],
            ["result", "mine", false],
            ["result", "stop", true],
            ["stopped", undefined, undefined]
          ]
        )
        assert.deepStrictEqual(
          yield* Fiber.join(theirs),
          Exit.fail({ _tag: "ShuttingDown", message: "the node stops" })
        )
        assert.deepStrictEqual(
          yield* network.receive(FakeNetwork.received({ id: "r-2", expectsReply: true })),
          Exit.fail({ _tag: "ShuttingDown", message: "the node stops" })
        )
      })
    )

    it.effect("when it is interrupted", () =>
      Effect.gen(function* () {
        const { ended, interrupt, network, next } = yield* listening()
        yield* interrupt
        assert.deepStrictEqual(yield* next, { event: "stopped" })
        assert.deepStrictEqual(yield* ended, { _tag: "Interrupted" })
        assert.strictEqual(network.calls.at(-1), "stop")
      })
    )

    it.effect("when it is interrupted while nobody reads", () =>
      Effect.gen(function* () {
        const { block, ended, interrupt, network, send } = yield* listening()
        yield* block
        yield* send({ ref: 1, command: "send", to: "node-b", type: "CHAT", payload: {} })
        yield* settle
        yield* interrupt
        yield* TestClock.adjust("20 seconds")
        assert.deepStrictEqual(yield* ended, { _tag: "Interrupted" })
        assert.strictEqual(network.calls.at(-1), "stop")
      })
    )

    it.effect("when it is interrupted before it listens", () =>
      Effect.gen(function* () {
        const { ended, interrupt, network } = yield* start({ start: Effect.never })
        yield* settle
        yield* interrupt
        yield* TestClock.adjust("5 seconds")
        assert.deepStrictEqual(yield* ended, { _tag: "Interrupted" })
        assert.deepStrictEqual(network.calls, ["start", "stop"])
      })
    )

    it.effect("when the reader goes", () =>
      Effect.gen(function* () {
        const { close, ended, network, send } = yield* listening()
        yield* close
        yield* send({ ref: 1, command: "peers" })
        assert.deepStrictEqual(yield* ended, { _tag: "OutputClosed" })
        assert.strictEqual(network.calls.at(-1), "stop")
      })
    )

    it.effect("by a failure when it cannot listen, with nothing written", () =>
      Effect.gen(function* () {
        const error = new ListenFailed({ address: FakeNetwork.address, reason: "AddressInUse" })
        const { fiber, rest } = yield* start({ start: Effect.fail(error) })
        assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail(error))
        assert.deepStrictEqual(yield* rest, [])
      })
    )
  })

  it.effect("fails when something else handles the messages", () =>
    Effect.gen(function* () {
      const error = new HandlerExists({ type: "*" })
      const { fiber } = yield* start({ handleOther: Effect.fail(error) })
      assert.deepStrictEqual(yield* Fiber.await(fiber), Exit.fail(error))
    })
  )
})
