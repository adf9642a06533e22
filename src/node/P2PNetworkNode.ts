/**
 * The network over TCP, ready to use: the one module that chooses transport, identity and settings.
 *
 * @since 0.1.0
 */
import * as NodeFileSystem from "@effect/platform-node/NodeFileSystem"
import * as NodePath from "@effect/platform-node/NodePath"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import * as NetworkConfig from "../NetworkConfig.js"
import type { ConfigInvalid, HandlerExists, ListenFailed, StateFolderFailed } from "../NetworkError.js"
import * as NodeIdentity from "../NodeIdentity.js"
import * as P2PNetwork from "../P2PNetwork.js"
import type { Transport } from "../Transport.js"
import * as StateFolder from "./StateFolder.js"
import * as TcpTransport from "./TcpTransport.js"

/**
 * Settings and options of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> extends NetworkConfig.Input, P2PNetwork.Options<R> {}

/** The parts of a node that is who the folder says, and finds again whom it knew. */
const partsIn = (stateDir: string) =>
  StateFolder.layerPeers.pipe(
    Layer.provideMerge(P2PNetwork.layerParts),
    Layer.provide(StateFolder.layerIdentity),
    Layer.provide(StateFolder.layer(stateDir)),
    Layer.provide(Layer.merge(NodeFileSystem.layer, NodePath.layer))
  )

const layerIn = <R>(
  stateDir: Option.Option<string>,
  options: P2PNetwork.Options<R>
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists | StateFolderFailed,
  NetworkConfig.NetworkConfig | Transport | Exclude<R, Scope.Scope>
> =>
  Option.isNone(stateDir)
    ? P2PNetwork.layer(options).pipe(Layer.provide(Layer.fresh(NodeIdentity.layer)))
    : Layer.fresh(P2PNetwork.layerFromParts(options).pipe(Layer.provide(partsIn(stateDir.value))))

/**
 * A node with settings that stand in the context. Fails with `StateFolderFailed` where it cannot have its `stateDir`.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  options: P2PNetwork.Options<R> = {}
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists | StateFolderFailed,
  NetworkConfig.NetworkConfig | Exclude<R, Scope.Scope>
> =>
  Layer.unwrapEffect(Effect.map(NetworkConfig.NetworkConfig, ({ stateDir }) => layerIn(stateDir, options))).pipe(
    Layer.provide(TcpTransport.layer)
  )

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
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists | StateFolderFailed | ConfigInvalid,
  Exclude<R, Scope.Scope>
> => configured(options, NetworkConfig.layer)

/**
 * A node with settings from the environment (`SYNAPSE_…`), over which the given ones win.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromEnv = <R = never>(
  options: Options<R> = {}
): Layer.Layer<
  P2PNetwork.P2PNetwork,
  ListenFailed | HandlerExists | StateFolderFailed | ConfigInvalid,
  Exclude<R, Scope.Scope>
> => configured(options, NetworkConfig.layerFromEnv)

const configured = <R>(
  { autoStart, handlers, ...settings }: Options<R>,
  config: (settings: NetworkConfig.Input) => Layer.Layer<NetworkConfig.NetworkConfig, ConfigInvalid>
) => layerConfig<R>(given({ autoStart, handlers })).pipe(Layer.provide(config(settings)))

const given = <R>(options: {
  readonly autoStart: boolean | undefined
  readonly handlers: P2PNetwork.Options<R>["handlers"] | undefined
}): P2PNetwork.Options<R> => ({
  ...(options.autoStart === undefined ? {} : { autoStart: options.autoStart }),
  ...(options.handlers === undefined ? {} : { handlers: options.handlers })
})
