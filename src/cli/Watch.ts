/**
 * What happens in the network, told to a function in a fiber of its own.
 *
 * @since 0.1.0
 */
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import type * as Scope from "effect/Scope"
import * as Stream from "effect/Stream"
import { P2PNetwork } from "../P2PNetwork.js"
import type { NetworkEvent } from "../Peer.js"

/**
 * Calls `tell` with each event, one after the other, from now on: nothing is missed of a network that is started after.
 * The effect given back succeeds once it has been told that the network has stopped. Scope: ends with it.
 *
 * @since 0.1.0
 * @category constructors
 */
export const events = <R>(
  tell: (event: NetworkEvent) => Effect.Effect<void, never, R>
): Effect.Effect<Effect.Effect<void>, never, P2PNetwork | R | Scope.Scope> =>
  Effect.gen(function* () {
    const network = yield* P2PNetwork
    const stopped = yield* Deferred.make<void>()
    const onEvent = (event: NetworkEvent): Effect.Effect<void, never, R> =>
      event._tag === "Stopped" ? Effect.zipRight(tell(event), Deferred.succeed(stopped, undefined)) : tell(event)
    yield* Effect.forkScoped(
      Effect.catchAllCause(Stream.runForEach(network.events, onEvent), (cause) =>
        Effect.logError("the events of the network are not shown any more", cause)
      )
    )
    // The new fiber takes its place among the readers before anything more happens here.
    yield* Effect.yieldNow()
    return Deferred.await(stopped)
  })
