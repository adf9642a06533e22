/**
 * Order among things done side by side: those with the same key wait for each other, in the order in which they asked.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import type * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as FiberId from "effect/FiberId"

/**
 * @since 0.1.0
 * @category models
 */
export interface Turns {
  /**
   * Takes the next turn for the key, at once: the order is that of the calls, not of the effects. The effect given back
   * runs `work` when the turns before it are over, and ends its own, however `work` ends. It must be run. Where the
   * others take longer than the limit it gives its turn up and fails.
   */
  readonly next: (key: string) => <A, E, R>(work: Effect.Effect<A, E, R>) => Effect.Effect<A, E | TurnTimeout, R>
  /** How many keys have turns that are not over. */
  readonly size: () => number
}

/**
 * The turns before took too long.
 *
 * @since 0.1.0
 * @category errors
 */
export interface TurnTimeout {
  readonly _tag: "TurnTimeout"
}

type Turn = Deferred.Deferred<void>

const onTimeout = (): TurnTimeout => ({ _tag: "TurnTimeout" })

/**
 * @since 0.1.0
 * @category constructors
 */
export const make = (limit: Duration.Duration): Turns => {
  const queues = new Map<string, Array<Turn>>()

  const take = (key: string): Turn => {
    const turn = Deferred.unsafeMake<void>(FiberId.none)
    const queue = queues.get(key)
    if (queue === undefined) {
      Deferred.unsafeDone(turn, Effect.void)
      queues.set(key, [turn])
    } else {
      queue.push(turn)
    }
    return turn
  }

  const end = (key: string, turn: Turn): void => {
    const queue = queues.get(key) ?? []
    queue.splice(queue.indexOf(turn), 1)
    const [first] = queue
    if (first === undefined) queues.delete(key)
    else Deferred.unsafeDone(first, Effect.void)
  }

  return {
    next: (key) => {
      const turn = take(key)
      return (work) =>
        Effect.flatMap(Deferred.isDone(turn), (isOurs) =>
          isOurs
            ? work
            : Effect.zipRight(Effect.timeoutFail(Deferred.await(turn), { duration: limit, onTimeout }), work)
        ).pipe(Effect.ensuring(Effect.sync(() => end(key, turn))))
    },
    size: () => queues.size
  }
}
