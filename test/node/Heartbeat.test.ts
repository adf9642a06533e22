import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type { ChildProcess } from "node:child_process"
import { spawn } from "node:child_process"
import { fileURLToPath } from "node:url"
import { startNode } from "../utils/hostileNode.js"

const script = fileURLToPath(new URL("../utils/answeringPeer.mjs", import.meta.url))

/** A peer in a process of its own that has shaken hands. Scope: kills it. */
const startPeer = (port: number, id: string) =>
  Effect.acquireRelease(
    Effect.async<ChildProcess>((resume) => {
      const child = spawn(process.execPath, [script, String(port), id], { stdio: ["ignore", "pipe", "inherit"] })
      child.stdout.once("data", (said: Buffer) =>
        resume(said.toString() === "open\n" ? Effect.succeed(child) : Effect.die(`the peer said ${said.toString()}`))
      )
    }),
    (child) =>
      Effect.async<void>((resume) => {
        if (child.exitCode !== null || child.signalCode !== null) return resume(Effect.void)
        child.once("exit", () => resume(Effect.void))
        // A stopped process can be killed too.
        child.kill("SIGKILL")
      })
  )

/** Holds up this process's event loop: no timer, no socket, nothing. */
const holdUp = (millis: number): void => {
  const until = performance.now() + millis
  while (performance.now() < until) Math.sqrt(until)
}

describe("Heartbeat over TCP", () => {
  it.scopedLive(
    "declares nobody dead for the time in which this node's own event loop was held up",
    () =>
      Effect.gen(function* () {
        const node = yield* startNode({ heartbeatInterval: "3 seconds", heartbeatTimeout: "6 seconds" })
        // They are heard only when asked, so that some are silent at any moment, and so when the hold begins.
        for (const id of ["one", "two", "three", "four"]) yield* startPeer(node.port, id)
        yield* node.until("four peers", ({ peers }) => peers.connected === 4)
        yield* Effect.sleep(1_500)
        yield* Effect.sync(() => holdUp(10_000))
        yield* Effect.sleep(2_000)
        assert.deepStrictEqual(
          node.events.filter(({ _tag }) => _tag === "PeerDead" || _tag === "PeerDisconnected"),
          []
        )
        const { errors, peers } = yield* node.network.status
        assert.strictEqual(peers.connected, 4)
        assert.isUndefined(errors["PeerSilent"])
      }),
    40_000
  )

  it.scopedLive(
    "suspects a frozen peer and declares it dead",
    () =>
      Effect.gen(function* () {
        const node = yield* startNode({ heartbeatInterval: "500 millis", heartbeatTimeout: "3 seconds" })
        const frozen = yield* startPeer(node.port, "frozen")
        yield* startPeer(node.port, "well")
        yield* node.until("two peers", ({ peers }) => peers.connected === 2)
        frozen.kill("SIGSTOP")
        yield* node.until("one suspect", ({ peers }) => peers.suspect === 1)
        yield* node.until("one gone", ({ peers }) => peers.connected + peers.suspect === 1)
        const told = node.events.flatMap((event) =>
          event._tag === "PeerSuspect" || event._tag === "PeerDead" ? [[event._tag, event.peer.id] as const] : []
        )
        assert.deepStrictEqual(told, [
          ["PeerSuspect", "frozen"],
          ["PeerDead", "frozen"]
        ] as unknown as typeof told)
        assert.strictEqual((yield* node.network.status).errors["PeerSilent"], 1)
      }),
    30_000
  )
})
