/**
 * The network over TLS, or plain TCP where the settings say so, ready to use: the one module that chooses transport,
 * identity and settings.
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
import { IdentityFailed } from "../NetworkError.js"
import * as NodeIdentity from "../NodeIdentity.js"
import * as P2PNetwork from "../P2PNetwork.js"
import * as Identity from "./Identity.js"
import * as StateFolder from "./StateFolder.js"
import * as TcpTransport from "./TcpTransport.js"
import * as TlsTransport from "./TlsTransport.js"

/**
 * Settings and options of a node.
 *
 * @since 0.1.0
 * @category models
 */
export interface Options<out R = never> extends NetworkConfig.Input, P2PNetwork.Options<R> {}

type Failures = ListenFailed | HandlerExists | StateFolderFailed | IdentityFailed

const files = Layer.merge(NodeFileSystem.layer, NodePath.layer)

/** Who the node is where no folder keeps that. */
const identityOf = ({
  encryption,
  identityKey
}: NetworkConfig.Settings): Layer.Layer<NodeIdentity.NodeIdentity, IdentityFailed, NetworkConfig.NetworkConfig> =>
  encryption === "none"
    ? NodeIdentity.layer
    : Option.match(identityKey, { onNone: () => Identity.layerEphemeral, onSome: Identity.layerPem })

/** The same, unless the settings ask for another id than the key's. */
const checked = <E, R>(identity: Layer.Layer<NodeIdentity.NodeIdentity, E, R>, { nodeId }: NetworkConfig.Settings) =>
  Layer.effect(
    NodeIdentity.NodeIdentity,
    Effect.filterOrFail(
      NodeIdentity.NodeIdentity,
      ({ id }) => Option.isNone(nodeId) || nodeId.value === id,
      ({ id }) =>
        new IdentityFailed({
          reason: "OtherNodeId",
          detail: `nodeId is ${Option.getOrElse(nodeId, () => "")}, but with TLS this node is ${id}, as its key says`
        })
    )
  ).pipe(Layer.provide(identity))

/** The transport that the settings ask for, and whom it speaks for. */
const linksOf = <E, R>(settings: NetworkConfig.Settings, identity: Layer.Layer<NodeIdentity.NodeIdentity, E, R>) =>
  Layer.provideMerge(
    settings.encryption === "none" ? TcpTransport.layer : TlsTransport.layer,
    checked(identity, settings)
  )

/** A node that is who the folder says, and finds again whom it knew. */
const inFolder = <R>(path: string, settings: NetworkConfig.Settings, options: P2PNetwork.Options<R>) => {
  const parts = StateFolder.layerPeers.pipe(
    Layer.provideMerge(P2PNetwork.layerParts),
    Layer.provide(linksOf(settings, StateFolder.layerIdentity)),
    Layer.provide(StateFolder.layer(path)),
    Layer.provide(files)
  )
  return P2PNetwork.layerFromParts(options).pipe(Layer.provide(parts))
}

/**
 * A node with settings that stand in the context. Fails with `StateFolderFailed` where it cannot have its `stateDir`, and
 * with `IdentityFailed` where its key cannot be used.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerConfig = <R = never>(
  options: P2PNetwork.Options<R> = {}
): Layer.Layer<P2PNetwork.P2PNetwork, Failures, NetworkConfig.NetworkConfig | Exclude<R, Scope.Scope>> =>
  Layer.unwrapEffect(
    Effect.map(NetworkConfig.NetworkConfig, (settings) =>
      Layer.fresh(
        Option.match(settings.stateDir, {
          onNone: () =>
            P2PNetwork.layerFromParts(options).pipe(
              Layer.provide(P2PNetwork.layerParts),
              Layer.provide(linksOf(settings, identityOf(settings)))
            ),
          onSome: (path) => inFolder(path, settings, options)
        })
      )
    )
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
): Layer.Layer<P2PNetwork.P2PNetwork, Failures | ConfigInvalid, Exclude<R, Scope.Scope>> =>
  configured(options, NetworkConfig.layer)

/**
 * A node with settings from the environment (`SYNAPSE_…`), over which the given ones win.
 *
 * @since 0.1.0
 * @category layers
 */
export const layerFromEnv = <R = never>(
  options: Options<R> = {}
): Layer.Layer<P2PNetwork.P2PNetwork, Failures | ConfigInvalid, Exclude<R, Scope.Scope>> =>
  configured(options, NetworkConfig.layerFromEnv)

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
