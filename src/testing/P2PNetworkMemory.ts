/**
 * Whole nodes on a network in memory: the real thing but for the sockets, with time in the hands of the test clock.
 *
 * @example
 * ```ts
 * import { MessageType } from "synapse-p2p"
 * import { MemoryTransport, P2PNetworkMemory } from "synapse-p2p/testing"
 * import { Effect, Schema } from "effect"
 *
 * const Chat = MessageType.make("CHAT", Schema.Struct({ text: Schema.String }))
 *
 * const test = Effect.gen(function* () {
 *   const alice = yield* P2PNetworkMemory.make({ nodeId: "alice" })
 *   const bob = yield* P2PNetworkMemory.make({ nodeId: "bob", bootstrap: ["alice:9470"] })
 *   yield* bob.waitForPeers(1)
 *   yield* alice.broadcast(Chat, { text: "hello" })
 * }).pipe(Effect.scoped, Effect.provide(MemoryTransport.layerNetwork))
 * ```
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import { namedSettings } from "../internal/testing/namedSettings.js"
import * as NetworkConfig from "../NetworkConfig.js"
import type { ConfigInvalid, HandlerExists, ListenFailed } from "../NetworkError.js"
import * as NodeIdentity from "../NodeIdentity.js"
import * as P2PNetwork from "../P2PNetwork.js"
import * as MemoryTransport from "./MemoryTransport.js"

/**
 * Settings and options of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> extends NetworkConfig.Input, P2PNetwork.Options<R> {
  /** Its name, and by default its host. */
  readonly nodeId?: string
}

/**
 * A node on the network in memory that is provided. It listens at its `host`, by default its node id, so that
 * `bootstrap: ["alice:9470"]` finds the node `alice`.
 *
 * @since 0.1.0
 * @category testing
 */
export const layer = <R = never>(
  options: Options<R> = {}
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists | ConfigInvalid,
  MemoryTransport.MemoryNetwork | Exclude<R, Scope.Scope>
> => {
  const { autoStart = true, handlers = [], ...settings } = options
  const host = settings.host ?? settings.nodeId ?? "memory"
  const config = Layer.effect(NetworkConfig.NetworkConfig, namedSettings({ ...settings, host }))
  return P2PNetwork.layer({ autoStart, handlers }).pipe(
    Layer.provide(Layer.merge(Layer.fresh(NodeIdentity.layer), MemoryTransport.layerTransportAt(host))),
    Layer.provide(config)
  )
}

/**
 * The same as a value, for tests of several nodes. Scope: stops the node.
 *
 * @since 0.1.0
 * @category testing
 */
export const make = <R = never>(
  options: Options<R> = {}
): Effect.Effect<
  P2PNetwork.P2PNetwork["Type"],
  ListenFailed | HandlerExists | ConfigInvalid,
  MemoryTransport.MemoryNetwork | Exclude<R, Scope.Scope> | Scope.Scope
> => Effect.map(Layer.build(layer(options)), Context.get(P2PNetwork.P2PNetwork))
