/**
 * The standard streams of a process: input as a stream that is read no faster than it is used, output as a function
 * that waits for its reader.
 *
 * @since 0.1.0
 */
import * as NodeStream from "@effect/platform-node/NodeStream"
import * as Data from "effect/Data"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"
import type * as Stream from "effect/Stream"
import type { Readable, Writable } from "node:stream"

/**
 * Nobody will read what is written: the reader has gone.
 *
 * @since 0.1.0
 * @category errors
 */
export class OutputClosed extends Data.TaggedError("OutputClosed")<{ readonly cause?: unknown }> {
  override get message(): string {
    return "nobody reads the output any more"
  }
}

/**
 * What can be drawn on.
 *
 * @since 0.1.0
 * @category models
 */
export interface Terminal {
  readonly write: (text: string) => void
  readonly width: () => number
  readonly height: () => number
}

/**
 * @since 0.1.0
 * @category models
 */
export interface Stdio {
  readonly stdin: Stream.Stream<Uint8Array, unknown>
  /** Writes to standard output, and succeeds when there is room for more. */
  readonly write: (text: string) => Effect.Effect<void, OutputClosed>
  /** Succeeds when standard output has no reader any more. That shows only when something is written. */
  readonly outputClosed: Effect.Effect<void>
  /** Succeeds when the operating system has taken all that was written, or the reader has gone. */
  readonly flushed: Effect.Effect<void>
  /** Writes to standard error; what nobody reads is lost. */
  readonly writeError: (text: string) => void
  /** Standard output, where it is a terminal. */
  readonly terminal: Terminal | undefined
}

/**
 * The streams of a process.
 *
 * @since 0.1.0
 * @category models
 */
export interface Streams {
  readonly stdin: Readable
  readonly stdout: Writable & { readonly isTTY?: boolean; readonly columns?: number; readonly rows?: number }
  readonly stderr: Writable
}

/**
 * Takes over the streams of a process. From then on no closed pipe ends it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = ({ stderr, stdin, stdout }: Streams): Stdio => {
  const closed = Deferred.unsafeMake<never, OutputClosed>(FiberId.none)
  let isClosed = false
  const close = (cause?: unknown): void => {
    isClosed = true
    Deferred.unsafeDone(closed, Effect.fail(new OutputClosed({ cause })))
  }
  stdout.on("error", close)
  stdout.on("close", () => close())
  stderr.on("error", () => undefined)

  const drained = Effect.async<void>((resume) => {
    const onDrain = (): void => resume(Effect.void)
    stdout.once("drain", onDrain)
    return Effect.sync(() => stdout.off("drain", onDrain))
  })

  const write = (text: string): Effect.Effect<void, OutputClosed> =>
    Effect.suspend(() => {
      if (isClosed) return Deferred.await(closed)
      return stdout.write(text) ? Effect.void : Effect.raceFirst(drained, Deferred.await(closed))
    })

  const outputClosed = Effect.ignore(Deferred.await(closed))

  return {
    stdin: NodeStream.fromReadable(
      () => stdin,
      (cause) => cause
    ),
    write,
    outputClosed,
    flushed: Effect.raceFirst(
      Effect.async<void>((resume) => {
        stdout.write("", () => resume(Effect.void))
      }),
      outputClosed
    ),
    writeError: (text) => {
      stderr.write(text)
    },
    terminal:
      stdout.isTTY === true
        ? {
            write: (text) => {
              stdout.write(text)
            },
            // A terminal that does not know its size says 0.
            width: () => stdout.columns || 80,
            height: () => stdout.rows || 24
          }
        : undefined
  }
}
