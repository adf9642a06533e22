/**
 * Who reads the streams of a network, and how far each has come, so that a test can go on once all have seen what
 * happened.
 *
 * @internal
 */
import * as Chunk from "effect/Chunk"
import * as Effect from "effect/Effect"
import * as Stream from "effect/Stream"
import { settled } from "./Waiting.js"

interface Reader {
  /** The keys of what has been worked off: the reader has asked for more since. */
  readonly done: Set<unknown>
}

/** Turns of the scheduler for what a reader does once its stream has ended. */
const turnsAfterwards = 20

/** The readers of streams of one kind. */
export class Readers {
  private readonly open = new Set<Reader>()
  private hadSome = false

  /** The same stream, whose readers are known, one element at a time. */
  readonly known = <A>(stream: Stream.Stream<A>, keyOf: (value: A) => unknown): Stream.Stream<A> =>
    Stream.unwrapScoped(
      Effect.gen(this, function* () {
        const reader: Reader = { done: new Set() }
        yield* Effect.acquireRelease(
          Effect.sync(() => {
            this.hadSome = true
            return this.open.add(reader)
          }),
          () => Effect.sync(() => this.open.delete(reader))
        )
        let current: ReadonlyArray<A> = []
        const pull = yield* Stream.toPull(Stream.rechunk(stream, 1))
        return Stream.repeatEffectChunkOption(
          Effect.suspend(() => {
            for (const value of current) reader.done.add(keyOf(value))
            current = []
            return Effect.map(pull, (chunk) => {
              current = Chunk.toReadonlyArray(chunk)
              return chunk
            })
          })
        )
      })
    )

  /** Waits until every reader there is has worked off what has that key, or waits for something else itself. */
  readonly haveSeen = (key: unknown): Effect.Effect<void> =>
    Effect.suspend(() => {
      const waiting = settled(() => [...this.open].every(({ done }) => done.has(key)))
      // Who has read enough goes on in its own fiber.
      return this.hadSome ? Effect.zipRight(waiting, Effect.repeatN(Effect.yieldNow(), turnsAfterwards)) : waiting
    })
}
