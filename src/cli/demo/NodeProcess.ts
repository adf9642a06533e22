/**
 * A node in a process of its own: the program as a sidecar, with its lines.
 *
 * @since 0.1.0
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { spawn } from "node:child_process"
import type { SidecarClient } from "./SidecarClient.js"
import * as Client from "./SidecarClient.js"

/**
 * How a process ended: its exit code, or the signal that killed it.
 *
 * @since 0.1.0
 * @category models
 */
export interface Ended {
  readonly code: number | null
  readonly signal: string | null
}

/**
 * @since 0.1.0
 * @category models
 */
export interface NodeProcess extends SidecarClient {
  readonly signal: (name: "SIGTERM" | "SIGKILL") => Effect.Effect<void>
  readonly ended: Effect.Effect<Ended>
  /** The last lines of its log. */
  readonly log: () => ReadonlyArray<string>
}

/** How many lines of a log are kept. */
const kept = 20

/**
 * Starts `program` with Node. Scope: kills it if it still runs, and waits until it is gone.
 *
 * @since 0.1.0
 * @category constructors
 */
export const start = (options: {
  readonly id: string
  /** The path of the program. */
  readonly program: string
  readonly args: ReadonlyArray<string>
  readonly env: Readonly<Record<string, string>>
}): Effect.Effect<NodeProcess, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { args, env, id, program } = options
    const ended = Deferred.unsafeMake<Ended>(FiberId.none)
    const end = (code: number | null, signal: string | null): void =>
      Deferred.unsafeDone(ended, Effect.succeed({ code, signal }))
    const child = yield* Effect.acquireRelease(
      Effect.sync(() => {
        const child = spawn(process.execPath, [program, ...args], {
          env: { ...process.env, ...env },
          stdio: ["pipe", "pipe", "pipe"]
        })
        child.on("exit", end)
        child.on("error", () => end(null, null))
        // It may be gone before it has read what it was sent.
        child.stdin.on("error", () => undefined)
        return child
      }),
      (child) =>
        Effect.suspend(() => {
          child.kill("SIGKILL")
          return Deferred.await(ended)
        })
    )

    const log: Array<string> = []
    yield* linesOf(child.stderr).pipe(
      Stream.runForEach((line) =>
        Effect.sync(() => {
          log.push(line)
          if (log.length > kept) log.shift()
        })
      ),
      Effect.forkScoped
    )

    const client = yield* Client.make({
      id,
      lines: linesOf(child.stdout),
      write: (line) =>
        Effect.sync(() => {
          child.stdin.write(line)
        })
    })
    return {
      ...client,
      signal: (name) =>
        Effect.sync(() => {
          child.kill(name)
        }),
      ended: Deferred.await(ended),
      log: () => log
    }
  })

const linesOf = (readable: NodeJS.ReadableStream): Stream.Stream<string> =>
  NodeStream.fromReadable(
    () => readable,
    (cause) => cause
  ).pipe(
    Stream.decodeText(),
    Stream.splitLines,
    // A stream that breaks has ended, as its process will.
    Stream.catchAll(() => Stream.empty)
  )
