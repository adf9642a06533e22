/**
 * A program whose interruption is a request to come to an end, not the end: what it does then may take its time, and is
 * itself free to use time limits.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"

/**
 * Runs the program in a fiber of its own, with an effect that succeeds once this one is interrupted. Interruption:
 * waits for the program to end.
 *
 * @since 0.1.0
 * @category combinators
 */
export const run = <A, E, R>(
  program: (interrupted: Effect.Effect<void>) => Effect.Effect<A, E, R>
): Effect.Effect<A, E, R> =>
  Effect.uninterruptibleMask((restore) =>
    Effect.gen(function* () {
      const interrupted = yield* Deferred.make<void>()
      const fiber = yield* Effect.forkDaemon(Effect.interruptible(program(Deferred.await(interrupted))))
      return yield* restore(Fiber.join(fiber)).pipe(
        Effect.onInterrupt(() => Effect.zipRight(Deferred.succeed(interrupted, undefined), Fiber.await(fiber)))
      )
    })
  )
