/**
 * Commands carried out side by side, up to a bound, each with exactly one result.
 *
 * @since 0.1.0
 */
import * as Cause from "effect/Cause"
import * as Effect from "effect/Effect"
import * as FiberSet from "effect/FiberSet"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Json } from "../Message.js"
import type { CommandRunner, Runnable } from "./CommandRunner.js"
import { isHandingOver } from "./CommandRunner.js"
import type { Asked, EventLine, LineError } from "./Commands.js"

/**
 * @since 0.1.0
 * @category models
 */
export interface Workers {
  /** Begins a command and does not wait for its end; suspends while as many as may run are running. */
  readonly take: (command: Runnable, asked: Asked) => Effect.Effect<void>
  /** Writes the result of a command that went well. */
  readonly succeed: (asked: Asked, value: Json) => Effect.Effect<void>
  /** Waits until no command runs that hands something over. */
  readonly handedOver: Effect.Effect<void>
  /** Waits until no command runs. */
  readonly idle: Effect.Effect<void>
  /** Ends the commands that run still. */
  readonly interrupt: Effect.Effect<void>
  /** Writes the results of those that were ended so. */
  readonly failRest: Effect.Effect<void>
}

/**
 * Workers that write results with `emit`. Scope: ends what runs.
 *
 * @since 0.1.0
 * @category constructors
 */
export const make = (options: {
  readonly runner: CommandRunner
  readonly emit: (event: EventLine) => Effect.Effect<void>
  readonly concurrency: number
}): Effect.Effect<Workers, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { concurrency, emit, runner } = options
    const permits = yield* Effect.makeSemaphore(concurrency)
    // Told apart for the end: what hands something over is worth waiting for, what waits for another node is not.
    const handingOver = yield* FiberSet.make<void>()
    const waiting = yield* FiberSet.make<void>()
    const unanswered = new Set<Asked>()

    const succeed = (asked: Asked, value: Json): Effect.Effect<void> => {
      const { command: _, ...ref } = asked
      unanswered.delete(asked)
      return emit({ event: "result", ...ref, ok: true, value })
    }

    const fail = (asked: Asked, error: LineError): Effect.Effect<void> => {
      const { command: _, ...ref } = asked
      unanswered.delete(asked)
      return emit({ event: "result", ...ref, ok: false, error })
    }

    const answer = (asked: Asked, result: Effect.Effect<Json, LineError>): Effect.Effect<void> =>
      Effect.matchCauseEffect(result, {
        onSuccess: (value) => succeed(asked, value),
        onFailure: (cause) =>
          Option.match(Cause.failureOption(cause), {
            onSome: (error) => fail(asked, error),
            onNone: () =>
              Effect.zipRight(
                Effect.logError(`the command ${asked.command.command} broke`, cause),
                fail(asked, { _tag: "Defect", message: "a fault of this program: see its log" })
              )
          })
      })

    const stopped = { _tag: "Stopped", message: "the node stopped before that was done" }
    const handedOver = FiberSet.awaitEmpty(handingOver)

    return {
      take: (command, asked) =>
        Effect.flatMap(permits.take(1), () => {
          unanswered.add(asked)
          const work = Effect.ensuring(answer(asked, runner.start(command)), permits.release(1))
          return FiberSet.run(isHandingOver(command) ? handingOver : waiting, work)
        }),
      succeed,
      handedOver,
      idle: Effect.zipRight(handedOver, FiberSet.awaitEmpty(waiting)),
      interrupt: Effect.zipRight(FiberSet.clear(handingOver), FiberSet.clear(waiting)),
      failRest: Effect.suspend(() =>
        Effect.forEach([...unanswered], (asked) => fail(asked, stopped), { discard: true })
      )
    }
  })
