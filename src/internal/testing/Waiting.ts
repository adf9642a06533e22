/**
 * Waiting for what tests wait for: woken by what happens, never by a timer of its own.
 *
 * @internal
 */
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import * as Runtime from "effect/Runtime"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"

/** Turns of the scheduler in which what is under way in memory comes to rest. */
const patience = 1_000

/** Calls the function whenever what is waited for may have come about. */
export type Watch = (tell: () => void) => Effect.Effect<void, never, Scope.Scope>

/** Hands on what a stream gives. Once this is through, it reads. Scope: ends that. */
export const follow = <A>(
  stream: Stream.Stream<A>,
  each: (value: A) => void
): Effect.Effect<void, never, Scope.Scope> =>
  Effect.flatMap(Effect.runtime<never>(), (runtime) => {
    const reading = Effect.interruptible(Stream.runForEach(stream, (value) => Effect.sync(() => each(value))))
    // Forked so, it runs at once, up to where it waits.
    const begin = Effect.sync(() => Runtime.runFork(runtime)(reading))
    return Effect.asVoid(Effect.acquireRelease(begin, Fiber.interrupt))
  })

/** Functions to be called when something has changed. */
export class Listeners {
  private readonly all = new Set<() => void>()

  readonly watch: Watch = (tell) =>
    Effect.asVoid(
      Effect.acquireRelease(
        Effect.sync(() => this.all.add(tell)),
        () => Effect.sync(() => this.all.delete(tell))
      )
    )

  tell(): void {
    for (const tell of this.all) tell()
  }
}

/** Lets what is under way go on until it is so, and gives up after a while in which no time passes. */
export const settled = (isSo: () => boolean): Effect.Effect<void> =>
  Effect.gen(function* () {
    for (let turn = 0; turn < patience && !isSo(); turn++) yield* Effect.yieldNow()
  })

/**
 * Waits until the check succeeds, up to `within` by the Clock, then fails as the check did last. Without `within` only
 * for what is under way already.
 */
export const eventually = <A, E>(
  check: Effect.Effect<Either.Either<A, E>>,
  options: { readonly watch: Watch; readonly within: Duration.DurationInput | undefined }
): Effect.Effect<A, E> =>
  Effect.gen(function* () {
    const { watch, within } = options
    const changed = yield* Effect.makeLatch(false)
    let isChanged = false
    yield* watch(() => {
      isChanged = true
      changed.unsafeOpen()
    })
    const next = Effect.suspend(() => {
      isChanged = false
      changed.unsafeClose()
      return check
    })
    const waiting = within === undefined ? settled(() => isChanged) : changed.await
    const trying = Effect.gen(function* () {
      for (;;) {
        const result = yield* next
        if (Either.isRight(result)) return result
        yield* waiting
        if (!isChanged) return result
      }
    })
    if (within === undefined) return yield* yield* trying
    const done = yield* Effect.timeoutOption(trying, within)
    return yield* Option.isSome(done) ? done.value : yield* check
  }).pipe(Effect.scoped)
