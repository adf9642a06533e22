import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Either from "effect/Either"
import * as Schema from "effect/Schema"
import * as Commands from "../../src/cli/Commands.js"
import * as FakeNetwork from "./support/FakeNetwork.js"

const read = (value: unknown) => Commands.read(JSON.stringify(value))

const rejection = (value: unknown) =>
  Either.match(read(value), {
    onLeft: (rejected) => rejected,
    onRight: () => assert.fail(`${JSON.stringify(value)} was taken`)
  })

const payload = { text: "hi" }

describe("Commands", () => {
  it("reads every command, and ignores what it does not know", () => {
    const commands: ReadonlyArray<Commands.Command> = [
      { command: "connect", address: "127.0.0.1:9470" },
      { command: "disconnect", peer: FakeNetwork.nodeId },
      { command: "send", to: FakeNetwork.nodeId, type: "CHAT", payload },
      { command: "send", to: FakeNetwork.nodeId, type: "DATA_SYNC", payload },
      { command: "request", to: FakeNetwork.nodeId, type: "ASK", payload },
      { command: "request", to: FakeNetwork.nodeId, type: "ASK", payload, timeout: 0.5 },
      { command: "reply", from: FakeNetwork.nodeId, to: "m-1", payload },
      { command: "reply", from: FakeNetwork.nodeId, to: "m-1", failure: null },
      { command: "broadcast", type: "NEWS", payload },
      { command: "peers" },
      { command: "status" },
      { command: "stop" }
    ]
    for (const command of commands) {
      assert.deepStrictEqual(read({ ...command, more: 1 }), Either.right({ command }))
      assert.deepStrictEqual(read({ ref: 0, ...command }), Either.right({ ref: 0, command }))
    }
  })

  it("names all that is wrong with a command, on one line, and changes nothing of its ref", () => {
    assert.deepStrictEqual(rejection({ ref: [null], command: "send", to: "no one", type: "ERROR" }), {
      ref: [null],
      error: {
        _tag: "CommandInvalid",
        message:
          "send: to a node id is 1 to 128 characters of A-Z a-z 0-9 . _ : -; type is the protocol's own: choose another name; payload is missing"
      }
    })
  })

  it("refuses what is not allowed in a member", () => {
    const to = "node-b"
    for (const value of [
      { command: "connect" },
      { command: "connect", address: 9470 },
      { command: "disconnect", peer: "" },
      { command: "send", to, type: "CHAT", payload: [] },
      { command: "send", to, type: "CHAT", payload: null },
      { command: "send", to, type: "chat", payload },
      { command: "send", to, type: "HELLO", payload },
      { command: "broadcast", type: "SYNAPSE_X", payload },
      { command: "request", to, type: "ASK", payload, timeout: 0 },
      { command: "request", to, type: "ASK", payload, timeout: "1 second" },
      { command: "reply", from: "node-b", to: "m-1" },
      { command: "reply", from: "node-b", to: "m-1", payload, failure: 1 }
    ]) {
      assert.strictEqual(rejection(value).error._tag, "CommandInvalid", JSON.stringify(value))
    }
  })

  it("names the commands there are when there is none of that name", () => {
    for (const command of ["fly", "toString", "__proto__", 1, null, undefined]) {
      const { error, ref } = rejection({ ref: "r", command })
      assert.deepStrictEqual([error._tag, ref], ["NotCommand", "r"])
      assert.include(error.message, "connect, disconnect, send, request, reply, broadcast, peers, status, stop")
    }
  })

  it("reads nothing but objects", () => {
    for (const line of ["", " ", "{", "nul", "\u{feff}{}", "{} {}", "{'command':'stop'}"]) {
      assert.strictEqual(Either.flip(Commands.read(line)).pipe(Either.getOrThrow).error._tag, "NotJson", line)
    }
    for (const value of [null, 1, "stop", true, [], [{ command: "stop" }]]) {
      assert.strictEqual(rejection(value).error._tag, "NotCommand", JSON.stringify(value))
    }
  })

  it("gives back any ref as it came", () => {
    fc.assert(
      fc.property(fc.jsonValue(), fc.constantFrom("stop", "fly", "send"), (value, command) => {
        const ref: unknown = JSON.parse(JSON.stringify(value))
        const { ref: found } = Either.merge(read({ ref, command }))
        assert.deepStrictEqual(found, ref)
      })
    )
  })

  it("leaves out a ref that is nested too deep to be written", () => {
    const depth = 100_000
    const line = `{"command":"fly","ref":${"[".repeat(depth)}${"]".repeat(depth)}}`
    assert.notProperty(Either.merge(Commands.read(line)), "ref")
  })

  it("never throws, whatever the line holds", () => {
    fc.assert(
      fc.property(fc.oneof(fc.string(), fc.json()), (line) => assert.isTrue(Either.isEither(Commands.read(line))))
    )
  })

  it("describes every event as it stands on its line", () => {
    const decode = Schema.decodeUnknownSync(Commands.Event)
    const encode = Schema.encodeSync(Commands.Event)
    const peer = FakeNetwork.peer("node-b", { roundTrip: { lastMs: 1, meanMs: 1, p99Ms: 2 } })
    const error = { _tag: "PeerSilent", message: "silent" }
    const events: ReadonlyArray<Commands.Event> = [
      { event: "listening", nodeId: FakeNetwork.nodeId, address: FakeNetwork.address },
      { event: "peer", peer },
      { event: "peer", peer, error },
      { event: "message", from: peer.id, message: payload },
      { event: "result", ref: 1, ok: true, value: {} },
      { event: "result", ok: false, error: { ...error, failure: null } },
      { event: "error", ref: null, error },
      { event: "lost", peer: peer.id, ids: ["m-1"] },
      { event: "stopped" }
    ]
    for (const event of events) {
      assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(encode(event)))), event)
    }
  })

  it("has a schema for the value of every result", () => {
    assert.deepStrictEqual(Schema.encodeSync(Commands.results.status)(FakeNetwork.status).address, {
      host: "127.0.0.1",
      port: 9470
    })
    assert.deepStrictEqual(Schema.decodeUnknownSync(Commands.results.send)({ id: "s-1" }), { id: "s-1" })
  })
})
