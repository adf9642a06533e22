import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Option from "effect/Option"
import * as Queue from "effect/Queue"
import * as Stream from "effect/Stream"
import { OutputClosed } from "../../../src/cli/Stdio.js"

const encoder = new TextEncoder()

/** Standard streams in the hands of a test. */
export interface FakeStdio {
  readonly stdin: Stream.Stream<Uint8Array>
  readonly write: (line: string) => Effect.Effect<void, OutputClosed>
  readonly outputClosed: Effect.Effect<void>
  /** Sends a command, or any text, as a line. */
  readonly send: (line: unknown) => Effect.Effect<void>
  readonly sendBytes: (bytes: Uint8Array) => Effect.Effect<void>
  readonly end: Effect.Effect<void>
  /** How many chunks of input have been taken. */
  readonly taken: () => number
  /** The next line written, parsed. */
  readonly next: Effect.Effect<Record<string, unknown>>
  /** The lines written and not yet taken. */
  readonly rest: Effect.Effect<ReadonlyArray<Record<string, unknown>>>
  /** From now on writing waits until `read`. */
  readonly block: Effect.Effect<void>
  readonly read: Effect.Effect<void>
  /** From now on nobody reads. */
  readonly close: Effect.Effect<void>
  /** How many writes wait for the reader. */
  readonly waiting: () => number
}

export const make: Effect.Effect<FakeStdio> = Effect.gen(function* () {
  const input = yield* Queue.unbounded<Option.Option<Uint8Array>>()
  const output = yield* Queue.unbounded<Record<string, unknown>>()
  const room = yield* Effect.makeLatch(true)
  const closed = yield* Deferred.make<never, OutputClosed>()
  let taken = 0
  let waiting = 0

  const sendBytes = (bytes: Uint8Array): Effect.Effect<void> => Queue.offer(input, Option.some(bytes))

  return {
    stdin: Stream.repeatEffectOption(
      Effect.flatMap(Queue.take(input), (chunk) => {
        taken++
        return Option.match(chunk, { onNone: () => Effect.fail(Option.none()), onSome: Effect.succeed })
      })
    ),
    write: (line) =>
      Effect.gen(function* () {
        if (Option.isSome(yield* Deferred.poll(closed))) return yield* Deferred.await(closed)
        waiting++
        yield* Effect.raceFirst(room.await, Deferred.await(closed)).pipe(Effect.ensuring(Effect.sync(() => waiting--)))
        yield* Queue.offer(output, JSON.parse(line) as Record<string, unknown>)
      }),
    outputClosed: Effect.ignore(Deferred.await(closed)),
    send: (line) => sendBytes(encoder.encode(`${typeof line === "string" ? line : JSON.stringify(line)}\n`)),
    sendBytes,
    end: Queue.offer(input, Option.none()),
    taken: () => taken,
    next: Queue.take(output),
    rest: Effect.map(Queue.takeAll(output), (lines) => [...lines]),
    block: Effect.asVoid(room.close),
    read: Effect.asVoid(room.open),
    close: Effect.asVoid(Deferred.fail(closed, new OutputClosed({}))),
    waiting: () => waiting
  }
})
