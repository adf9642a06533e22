/**
 * The network over TCP, ready to use: the one module that chooses transport, identity and settings.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type * as Scope from "effect/Scope"
import * as NetworkConfig from "../NetworkConfig.js"
import type { ConfigInvalid, HandlerExists, ListenFailed } from "../NetworkError.js"
import * as NodeIdentity from "../NodeIdentity.js"
import * as P2PNetwork from "../P2PNetwork.js"
import * as TcpTransport from "./TcpTransport.js"

/**
 * Settings and options of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> extends NetworkConfig.Input, P2PNetwork.Options<R> {}

/**
 * A node with settings that stand in the context.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  options: P2PNetwork.Options<R> = {}
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists,
  NetworkConfig.NetworkConfig | Exclude<R, Scope.Scope>
> => P2PNetwork.layer(options).pipe(Layer.provide(Layer.merge(Layer.fresh(NodeIdentity.layer), TcpTransport.layer)))

/**
 * A node with these settings and the defaults for the rest; the environment is not looked at.
 *
 * @example
 * ```ts
 * import { P2PNetworkNode } from "synapse-p2p/node"
 *
 * const NetworkLive = P2PNetworkNode.layer({ port: 9470, bootstrap: ["10.0.0.6:9470"] })
 * ```
 * @since 0.1.0
 * @category layers
 */
export const layer = <R = never>(
  options: Options<R> = {}
): Layer.Layer<P2PNetwork.P2PNetwork, ListenFailed | HandlerExists | ConfigInvalid, Exclude<R, Scope.Scope>> => {
  const { autoStart, handlers, ...settings } = options
  return layerConfig<R>(given({ autoStart, handlers })).pipe(Layer.provide(NetworkConfig.layer(settings)))
}

/**
 * A node with settings from the environment (`SYNAPSE_…`), over which the given ones win.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromEnv = <R = never>(
  options: Options<R> = {}
): Layer.Layer<P2PNetwork.P2PNetwork, ListenFailed | HandlerExists | ConfigInvalid, Exclude<R, Scope.Scope>> => {
  const { autoStart, handlers, ...settings } = options
  return layerConfig<R>(given({ autoStart, handlers })).pipe(Layer.provide(NetworkConfig.layerFromEnv(settings)))
}

const given = <R>(options: {
  readonly autoStart: boolean | undefined
  readonly handlers: P2PNetwork.Options<R>["handlers"] | undefined
}): P2PNetwork.Options<R> => ({
  ...(options.autoStart === undefined ? {} : { autoStart: options.autoStart }),
  ...(options.handlers === undefined ? {} : { handlers: options.handlers })
})
