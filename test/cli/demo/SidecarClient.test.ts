import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Queue from "effect/Queue"
import * as Schema from "effect/Schema"
import * as Stream from "effect/Stream"
import type { EventLine } from "../../../src/cli/Commands.js"
import * as SidecarClient from "../../../src/cli/demo/SidecarClient.js"
import * as NodeId from "../../../src/NodeId.js"
import type { PeerStatus } from "../../../src/Peer.js"
import { Peer } from "../../../src/Peer.js"
import * as FakeNetwork from "../support/FakeNetwork.js"

const make = Effect.gen(function* () {
  const events = yield* Queue.unbounded<string>()
  const commands = yield* Queue.unbounded<Record<string, unknown>>()
  const client = yield* SidecarClient.make({
    id: "node-a",
    lines: Stream.fromQueue(events),
    write: (line) => Effect.asVoid(Queue.offer(commands, JSON.parse(line) as Record<string, unknown>))
  })
  const show = (event: EventLine | string) =>
    Queue.offer(events, typeof event === "string" ? event : JSON.stringify(event))
  return { client, show, asked: Queue.take(commands) }
})

const peer = (status: PeerStatus): EventLine => ({
  event: "peer",
  peer: Schema.encodeSync(Peer)(FakeNetwork.peer("node-b", { status }))
})

const message = (change: Record<string, string | boolean | Record<string, string>>): EventLine => ({
  event: "message",
  from: "node-b",
  message: { type: "CHAT", id: "m-1", sender: "node-b", payload: { text: "hi" }, ...change }
})

const isIt = (shown: { readonly [name: string]: unknown }) => shown["id"] === "m-2"

describe("SidecarClient", () => {
  it.scoped("gives each command its own result", () =>
    Effect.gen(function* () {
      const { asked, client, show } = yield* make
      const first = yield* Effect.fork(client.ask({ command: "peers" }))
      const second = yield* Effect.fork(
        client.ask({ command: "send", to: NodeId.make("node-b"), type: "CHAT", payload: {} })
      )
      const one = yield* asked
      const two = yield* asked
      yield* show({ event: "result", ref: two["ref"] as number, ok: true, value: { id: "s-1" } })
      yield* show({ event: "result", ref: one["ref"] as number, ok: true, value: [] })
      assert.deepStrictEqual(yield* Fiber.join(second), { id: "s-1" })
      assert.deepStrictEqual(yield* Fiber.join(first), [])
    })
  )

  it.scoped("fails a command that was refused, or whose result is not what it should be", () =>
    Effect.gen(function* () {
      const { asked, client, show } = yield* make
      const refused = yield* Effect.fork(Effect.flip(client.ask({ command: "status" })))
      const { ref } = yield* asked
      const error = { _tag: "NetworkNotRunning", message: "the network is not running" }
      yield* show({ event: "result", ref: ref as number, ok: false, error })
      assert.strictEqual((yield* Fiber.join(refused)).message, `node-a: status failed: ${error.message}`)
      const odd = yield* Effect.fork(Effect.flip(client.ask({ command: "status" })))
      yield* show({ event: "result", ref: (yield* asked)["ref"] as number, ok: true, value: {} })
      assert.strictEqual((yield* Fiber.join(odd))._tag, "CommandFailed")
    })
  )

  it.scoped("waits until a peer is shown as it should be, or sees that it is", () =>
    Effect.gen(function* () {
      const { client, show } = yield* make
      const waiting = yield* Effect.fork(client.waitForPeer("node-b", "dead"))
      yield* show(peer("connected"))
      yield* client.waitForPeer("node-b", "connected")
      assert.isNull(waiting.unsafePoll())
      yield* show(peer("dead"))
      yield* Fiber.join(waiting)
      yield* client.waitForPeer("node-b", "dead")
      assert.deepStrictEqual([...client.peers()], [["node-b", "dead"]])
    })
  )

  it.scoped("finds a message that is expected, and counts those that came", () =>
    Effect.gen(function* () {
      const { client, show } = yield* make
      const arrival = yield* client.expectMessage(isIt)
      yield* show(message({ id: "m-1" }))
      yield* show(message({ id: "m-2" }))
      yield* show(message({ id: "m-2" }))
      const shown = yield* arrival
      assert.strictEqual(shown.message["id"], "m-2")
      yield* show({ event: "listening", nodeId: "node-a", address: { host: "::1", port: 1 } })
      assert.strictEqual(String(yield* client.listening), "[::1]:1")
      assert.strictEqual(client.count(isIt), 2)
    })
  )

  it.scoped("answers requests of the types it was told to", () =>
    Effect.gen(function* () {
      const { asked, client, show } = yield* make
      yield* client.answer("ASK", (payload) => ({ payload }))
      yield* show(message({ type: "OTHER", expectsReply: true }))
      yield* show(message({ type: "ASK" }))
      yield* show(message({ type: "ASK", id: "m-2", expectsReply: true }))
      assert.deepStrictEqual(yield* asked, { command: "reply", from: "node-b", to: "m-2", payload: { text: "hi" } })
    })
  )

  it.scoped("goes on after lines that it does not understand, and those it need not", () =>
    Effect.gen(function* () {
      const { client, show } = yield* make
      yield* show("rubbish")
      yield* show({ event: "error", error: { _tag: "NotJson", message: "no" } })
      yield* show({ event: "result", ok: true, value: {} })
      yield* show({ event: "result", ref: 99, ok: true, value: {} })
      yield* show({ event: "lost", peer: "node-b", ids: [] })
      yield* show(peer("left"))
      yield* client.waitForPeer("node-b", "left")
    })
  )
})
