import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import { spawn } from "node:child_process"
import { existsSync } from "node:fs"
import type { Socket } from "node:net"
import { connect } from "node:net"
import { createInterface } from "node:readline"
import { fileURLToPath } from "node:url"
import { plainEnv } from "../utils/plain.js"
import * as Frame from "../../src/Frame.js"

const program = fileURLToPath(new URL("../../dist/bin.js", import.meta.url))

/** The program as a process, its events, and how it ended. */
const start = (args: ReadonlyArray<string>, env: Readonly<Record<string, string>> = {}) =>
  Effect.acquireRelease(
    Effect.sync(() => {
      const child = spawn(process.execPath, [program, "start", ...args], {
        env: { ...process.env, ...plainEnv, ...env }
      })
      let stderr = ""
      child.stderr.on("data", (chunk) => {
        stderr += String(chunk)
      })
      const ended = new Promise<{ readonly code: number | null; readonly signal: string | null }>((resolve) => {
        child.on("close", (code, signal) => resolve({ code, signal }))
      })
      const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]()
      return {
        child,
        stderr: () => stderr,
        ended: Effect.promise(() => ended),
        next: Effect.promise(async () => {
          const { value } = (await lines.next()) as { readonly value: string }
          return JSON.parse(value) as Record<string, unknown>
        })
      }
    }),
    ({ child, ended }) =>
      Effect.suspend(() => {
        child.kill("SIGKILL")
        return ended
      })
  )

const portOf = (line: Record<string, unknown>): number => (line["address"] as { readonly port: number }).port

/** A peer that shakes hands and then never closes its end. */
const stubborn = (port: number) =>
  Effect.acquireRelease(
    Effect.async<Socket>((resume) => {
      const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true })
      const payload = { version: 1, minVersion: 1, network: "synapse", listen: [], features: [] }
      const hello = { type: "HELLO", id: "h-1", sender: "stubborn", timestamp: "2026-11-22T14:00:00Z", payload }
      socket.write(Frame.encode(JSON.stringify(hello)))
      socket.once("data", () => resume(Effect.succeed(socket)))
    }),
    (socket) => Effect.sync(() => socket.destroy())
  )

// It needs the program as it is built.
describe.skipIf(!existsSync(program))("the program", () => {
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    it.scopedLive(`stops with grace at ${signal} and ends with exit code 0`, () =>
      Effect.gen(function* () {
        const { child, ended, next, stderr } = yield* start(["--json", "--port", "0"])
        yield* next
        child.kill(signal)
        assert.deepStrictEqual(yield* next, { event: "stopped" })
        assert.deepStrictEqual(yield* ended, { code: 0, signal: null })
        assert.include(stderr(), "a second one stops at once")
      })
    )
  }

  it.scopedLive("ends with exit code 0 at the end of its input, and by command", () =>
    Effect.gen(function* () {
      const first = yield* start(["--json", "--port", "0"])
      yield* first.next
      first.child.stdin.end()
      assert.deepStrictEqual(yield* first.ended, { code: 0, signal: null })
      const second = yield* start(["--json", "--port", "0"])
      yield* second.next
      second.child.stdin.write('{"ref":1,"command":"stop"}\n')
      assert.deepStrictEqual(yield* second.next, { event: "result", ref: 1, ok: true, value: {} })
      assert.deepStrictEqual(yield* second.next, { event: "stopped" })
      assert.deepStrictEqual(yield* second.ended, { code: 0, signal: null })
    })
  )

  it.scopedLive("stops at once at a second signal", () =>
    Effect.gen(function* () {
      const patient = { SYNAPSE_SHUTDOWN_GRACE: "1 hour", SYNAPSE_CLOSE_TIMEOUT: "1 hour" }
      const { child, ended, next } = yield* start(["--json", "--port", "0"], patient)
      yield* stubborn(portOf(yield* next))
      yield* next
      child.kill("SIGTERM")
      // It says how it stands with its peer while it waits for it.
      yield* next
      child.kill("SIGINT")
      assert.deepStrictEqual(yield* ended, { code: null, signal: "SIGINT" })
    })
  )

  it.scopedLive("stops with grace when the reader of its events goes", () =>
    Effect.gen(function* () {
      const { child, ended, next, stderr } = yield* start(["--json", "--port", "0"])
      yield* next
      child.stdout.destroy()
      child.stdin.write("rubbish\n")
      assert.deepStrictEqual(yield* ended, { code: 0, signal: null })
      assert.include(stderr(), "nobody reads the output any more")
    })
  )

  it.scopedLive("says on one line that its port is in use, and ends with exit code 1", () =>
    Effect.gen(function* () {
      const port = String(portOf(yield* Effect.flatMap(start(["--json", "--port", "0"]), ({ next }) => next)))
      const { ended, stderr } = yield* start(["--port", port])
      assert.deepStrictEqual(yield* ended, { code: 1, signal: null })
      assert.match(stderr(), new RegExp(`^synapse: 127\\.0\\.0\\.1:${port} is in use[^\\n]+--port 0[^\\n]+\\n$`))
    })
  )
})
