/**
 * A node that a person watches: it runs until it is told to stop.
 *
 * @since 0.1.0
 */
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import type { ListenFailed } from "../NetworkError.js"
import { P2PNetwork } from "../P2PNetwork.js"

/**
 * Starts the network, with what `show` starts beside it, and stops it when `interrupted` succeeds.
 *
 * @since 0.1.0
 * @category constructors
 */
export const run = <R>(
  interrupted: Effect.Effect<void>,
  show: Effect.Effect<void, never, R>
): Effect.Effect<void, ListenFailed, P2PNetwork | Exclude<R, Scope.Scope>> =>
  Effect.gen(function* () {
    const network = yield* P2PNetwork
    yield* Effect.raceFirst(network.start, interrupted)
    yield* Effect.raceFirst(Effect.scoped(Effect.zipRight(show, Effect.never)), interrupted)
    yield* Effect.logInfo("stopping: by signal (a second one stops at once)")
    yield* network.stop
  })
