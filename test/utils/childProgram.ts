/**
 * Programs of a test in processes of their own: bundled once into a folder of the test's, and started as often as wanted.
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import * as Queue from "effect/Queue"
import { build } from "esbuild"
import { spawn } from "node:child_process"
import { createInterface } from "node:readline"

/** Makes one file of a program. */
export const bundle = (program: string, into: string): Promise<unknown> =>
  build({
    entryPoints: [program],
    outfile: into,
    bundle: true,
    platform: "node",
    format: "esm",
    target: "node20",
    logLevel: "error",
    banner: {
      js: 'import { createRequire as bundledRequire } from "node:module"; const require = bundledRequire(import.meta.url);'
    }
  })

/** Starts a program. Scope: kills it, and waits until it is gone. */
export const start = (program: string, args: ReadonlyArray<string>) =>
  Effect.gen(function* () {
    const lines = yield* Queue.unbounded<string>()
    const gone = Deferred.unsafeMake<void>(FiberId.none)
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [program, ...args], { stdio: ["pipe", "pipe", "inherit"] })
        child.on("exit", () => Deferred.unsafeDone(gone, Effect.void))
        child.stdin.on("error", () => undefined)
        return child
      }),
      (child) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return Deferred.await(gone)
        })
    )
    createInterface(child.stdout).on("line", (line) => Queue.unsafeOffer(lines, line))
    return {
      pid: child.pid ?? 0,
      line: Queue.take(lines),
      /** Ends its input, and waits until it has ended. */
      end: Effect.suspend(() => {
        child.stdin.end()
        return Deferred.await(gone)
      }),
      kill: Effect.suspend(() => {
        child.kill("SIGKILL")
        return Deferred.await(gone)
      })
    }
  })
