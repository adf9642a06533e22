import { assert, describe, it } from "@effect/vitest"
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import * as Stream from "effect/Stream"
import { PassThrough, Writable } from "node:stream"
import * as Stdio from "../../src/cli/Stdio.js"

const make = (stdout: Stdio.Streams["stdout"] = new PassThrough()) => {
  const stdin = new PassThrough()
  const stderr = new PassThrough()
  return { stdin, stdout, stderr, stdio: Stdio.make({ stdin, stdout, stderr }) }
}

/** A reader that takes one piece each time it is told to. */
const slowReader = () => {
  const waiting: Array<() => void> = []
  const taken: Array<string> = []
  const stdout = new Writable({
    highWaterMark: 10,
    decodeStrings: false,
    write: (text: string, _, done) => {
      taken.push(text)
      waiting.push(done)
    }
  })
  return { stdout, taken, take: () => waiting.shift()?.() }
}

const turn = Effect.async<void>((resume) => {
  setImmediate(() => resume(Effect.void))
})

describe("Stdio", () => {
  it.live("reads the input as a stream, to its end", () =>
    Effect.gen(function* () {
      const { stdin, stdio } = make()
      stdin.end("hello")
      const chunks = yield* Stream.runCollect(stdio.stdin)
      assert.strictEqual(Buffer.concat(Chunk.toReadonlyArray(chunks)).toString(), "hello")
    })
  )

  it.live("suspends a write while there is no room, and goes on when there is", () =>
    Effect.gen(function* () {
      const { stdout, take, taken } = slowReader()
      const { stdio } = make(stdout)
      yield* stdio.write("short")
      const fiber = yield* Effect.fork(stdio.write("longer than that"))
      yield* turn
      assert.isNull(fiber.unsafePoll())
      assert.strictEqual(stdout.listenerCount("drain"), 1)
      take()
      yield* turn
      take()
      yield* Fiber.join(fiber)
      assert.deepStrictEqual(taken, ["short", "longer than that"])
      assert.strictEqual(stdout.listenerCount("drain"), 0)
    })
  )

  it.live("leaves no listener behind when a write is interrupted", () =>
    Effect.gen(function* () {
      const { stdout } = slowReader()
      const { stdio } = make(stdout)
      const fiber = yield* Effect.fork(stdio.write("longer than there is room"))
      yield* turn
      yield* Fiber.interrupt(fiber)
      assert.strictEqual(stdout.listenerCount("drain"), 0)
    })
  )

  it.live("fails a write that waits, and every later one, when the reader has gone", () =>
    Effect.gen(function* () {
      const { stdout } = slowReader()
      const { stdio } = make(stdout)
      const waiting = yield* Effect.fork(Effect.flip(stdio.write("longer than there is room")))
      yield* turn
      stdout.destroy(Object.assign(new Error("write EPIPE"), { code: "EPIPE" }))
      assert.strictEqual((yield* Fiber.join(waiting))._tag, "OutputClosed")
      assert.include((yield* Effect.flip(stdio.write("more"))).message, "nobody reads")
      yield* stdio.outputClosed
      yield* stdio.flushed
    })
  )

  it.live("is flushed when all is taken", () =>
    Effect.gen(function* () {
      const { stdout, take } = slowReader()
      const { stdio } = make(stdout)
      yield* stdio.write("short")
      const fiber = yield* Effect.fork(stdio.flushed)
      yield* turn
      assert.isNull(fiber.unsafePoll())
      take()
      yield* turn
      take()
      yield* Fiber.join(fiber)
    })
  )

  it.live("writes errors, and survives that nobody reads them", () =>
    Effect.gen(function* () {
      const { stderr, stdio } = make()
      stdio.writeError("trouble\n")
      assert.strictEqual(String(stderr.read()), "trouble\n")
      stderr.destroy(new Error("write EPIPE"))
      yield* turn
      stdio.writeError("more\n")
      yield* turn
    })
  )

  it("offers a terminal to draw on only where there is one, with its present size", () => {
    assert.isUndefined(make().stdio.terminal)
    const stdout = Object.assign(new PassThrough(), { isTTY: true, columns: 120, rows: 40 })
    const { terminal } = make(stdout).stdio
    assert.deepStrictEqual([terminal?.width(), terminal?.height()], [120, 40])
    stdout.columns = 60
    assert.strictEqual(terminal?.width(), 60)
    terminal?.write("drawn")
    assert.strictEqual(String(stdout.read()), "drawn")
    const unsized = make(Object.assign(new PassThrough(), { isTTY: true })).stdio.terminal
    assert.deepStrictEqual([unsized?.width(), unsized?.height()], [80, 24])
    Object.assign(stdout, { columns: 0, rows: 0 })
    assert.deepStrictEqual([terminal?.width(), terminal?.height()], [80, 24])
  })
})
