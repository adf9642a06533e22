/** Waiting for what nodes say, and how late this machine is. */
import * as Data from "effect/Data"
import * as Effect from "effect/Effect"

/** What was waited for has not come. */
export class NotYet extends Data.TaggedError("NotYet")<{ readonly what: string; readonly millis: number }> {
  override get message(): string {
    return `not within ${Math.round(this.millis)} ms: ${this.what}`
  }
}

/** Milliseconds of this process. */
export const now = (): number => performance.now()

const looks = new Set<() => void>()
let isDue = false

/** To be called whenever a node has said something: what is waited for may be so now. */
export const changed = (): void => {
  if (isDue || looks.size === 0) return
  isDue = true
  setImmediate(() => {
    isDue = false
    for (const look of looks) look()
  })
}

/** Waits until it is so: how long that took, milliseconds. `what` is asked for when it is not so in time. */
export const until = (condition: () => boolean, seconds: number, what: () => string): Effect.Effect<number, NotYet> =>
  Effect.suspend(() => {
    const begun = now()
    const found = Effect.async<number>((resume) => {
      const look = (): void => {
        if (!condition()) return
        looks.delete(look)
        resume(Effect.succeed(now() - begun))
      }
      looks.add(look)
      look()
      return Effect.sync(() => looks.delete(look))
    })
    return Effect.timeoutFail(found, {
      duration: seconds * 1000,
      onTimeout: () => new NotYet({ what: what(), millis: now() - begun })
    })
  })

/** Asks again and again until it is so: what was answered. */
export const askUntil = <A, E>(
  ask: Effect.Effect<A, E>,
  isSo: (answer: A) => boolean,
  seconds: number,
  what: string
): Effect.Effect<A, E | NotYet> => {
  const again: Effect.Effect<A, E> = Effect.flatMap(ask, (answer) =>
    isSo(answer) ? Effect.succeed(answer) : Effect.delay(again, 100)
  )
  return Effect.timeoutFail(again, {
    duration: seconds * 1000,
    onTimeout: () => new NotYet({ what, millis: seconds * 1000 })
  })
}

/**
 * How much later than promised something may be for want of a turn: a second, and three times the longest delay that this
 * process, which is one of those that share the machine, has met itself meanwhile.
 */
export const watchDelays = (): (() => number) => {
  const every = 20
  let last = now()
  let longest = 0
  const timer = setInterval(() => {
    longest = Math.max(longest, now() - last - every)
    last = now()
  }, every)
  return () => {
    clearInterval(timer)
    return 1000 + 3 * longest
  }
}
