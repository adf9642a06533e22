/**
 * A node in another language: examples/peer.py, written from docs/PROTOCOL.md alone, joins a network of two nodes that
 * knows nothing of it, is found, sends and receives, asks and answers, and leaves. Needs python3.
 */
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"
import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Queue from "effect/Queue"
import * as Schedule from "effect/Schedule"
import * as Schema from "effect/Schema"
import * as MessageType from "../../src/MessageType.js"
import { plain } from "../utils/plain.js"
import * as P2PNetworkNode from "../../src/node/P2PNetworkNode.js"
import { P2PNetwork } from "../../src/P2PNetwork.js"

const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
const Ask = MessageType.request(
  "ASK",
  Schema.Struct({ question: Schema.String }),
  Schema.Struct({ answer: Schema.String })
)

const node = (options: P2PNetworkNode.Options) =>
  Effect.map(Layer.build(P2PNetworkNode.layer({ ...plain, ...options })), Context.get(P2PNetwork))

type Line = Readonly<Record<string, unknown>>

/** The peer as a process: its lines, and a way to tell it something. */
const python = (args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const lines = yield* Queue.unbounded<Line>()
    const child = yield* Effect.acquireRelease(
      Effect.sync(() =>
        spawn("python3", ["examples/peer.py", "--json", ...args], { stdio: ["pipe", "pipe", "inherit"] })
      ),
      (running) => Effect.sync(() => running.kill("SIGKILL"))
    )
    createInterface(child.stdout).on("line", (line) => Queue.unsafeOffer(lines, JSON.parse(line) as Line))
    const next = (event: string): Effect.Effect<Line> =>
      Queue.take(lines).pipe(Effect.repeat({ until: (line) => line["event"] === event }))
    const quit = Effect.async<number | null>((resume) => {
      child.once("exit", (code) => resume(Effect.succeed(code)))
      child.kill("SIGTERM")
    })
    return { next, quit }
  })

describe("a peer in Python", () => {
  it.scopedLive(
    "joins, is found, sends and receives, asks and answers, and leaves",
    () =>
      Effect.gen(function* () {
        const heard = yield* Queue.unbounded<readonly [at: string, text: string, from: string]>()
        const alice = yield* node({ port: 0, nodeId: "alice", discoveryInterval: "500 millis" })
        const { address } = yield* alice.status
        const bob = yield* node({
          port: 0,
          nodeId: "bob",
          bootstrap: [`${address}`],
          discoveryInterval: "500 millis"
        })
        for (const each of [alice, bob]) {
          yield* each.handle(Chat, ({ payload, sender }) => Queue.offer(heard, [each.nodeId, payload.text, sender]))
          yield* each.handle(Ask, ({ payload }) => Effect.succeed({ answer: `${each.nodeId}: ${payload.question}` }))
        }
        yield* alice.waitForPeers(1)

        const peer = yield* python([
          `--connect=${address}`,
          "--listen=127.0.0.1:0",
          "--id=python",
          "--seconds=60",
          "--say=hello from Python",
          "--ask",
          "bob",
          "who are you"
        ])
        // It knows alice only: that bob is connected too means that they found each other.
        yield* bob.waitForPeers(2)

        const said = [yield* Queue.take(heard), yield* Queue.take(heard)].sort()
        assert.deepStrictEqual(said, [
          ["alice", "hello from Python", "python"],
          ["bob", "hello from Python", "python"]
        ])
        assert.strictEqual((yield* peer.next("reply"))["answer"], "bob: who are you")

        const { answer } = yield* bob.request("python", Ask, { question: "and you" })
        assert.strictEqual(answer, "AND YOU")
        yield* bob.broadcast(Chat, { text: "hello from Effect" })
        const message = yield* peer.next("message").pipe(Effect.repeat({ until: (line) => line["type"] === "CHAT" }))
        assert.strictEqual(message["sender"], "bob")

        assert.strictEqual(yield* peer.quit, 0)
        yield* Effect.repeat(alice.peer("python"), {
          until: (known) => known._tag === "Some" && known.value.status !== "connected",
          schedule: Schedule.spaced("20 millis")
        })
        const after = yield* alice.peers({ status: "left" })
        assert.deepStrictEqual(
          after.map(({ id }) => id),
          ["python"]
        )
      }),
    60_000
  )
})
