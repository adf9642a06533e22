/**
 * Order among things done side by side: those with the same key wait for each other, in the order in which they asked.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/**
 * @since 0.1.0
 * @category models
 */
export interface Turns {
  /**
   * Takes the next turn for the key, at once: the order is that of the calls, not of the effects. The effect given back
   * runs `work` when the turns before it are over, and ends its own, however `work` ends. It must be run.
   */
  readonly next: (key: string) => <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E, R>
  /** Waits for the turns taken so far for the key, and takes none. */
  readonly after: (key: string) => Effect.Effect<void>
  /** How many keys have turns that are not over. */
  readonly size: () => number
}

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (): Turns => {
  const last = new Map<string, Deferred.Deferred<void>>()

  const after = (key: string): Effect.Effect<void> => {
    const before = last.get(key)
    return before === undefined ? Effect.void : Deferred.await(before)
  }

  return {
    next: (key) => {
      const before = after(key)
      const over = Deferred.unsafeMake<void>(FiberId.none)
      last.set(key, over)
      const end = Effect.sync(() => {
        if (last.get(key) === over) last.delete(key)
        Deferred.unsafeDone(over, Effect.void)
      })
      return (work) => Effect.ensuring(Effect.zipRight(before, work), end)
    },
    after,
    size: () => last.size
  }
}
