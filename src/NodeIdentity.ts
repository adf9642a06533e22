/**
 * Who this node is. Without TLS that is a name and nothing more.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NodeId from "./NodeId.js"

/**
 * The id of this node.
 *
 * @since 0.1.0
 * @category tags
 */
export class NodeIdentity extends Context.Tag("synapse-p2p/NodeIdentity")<
  NodeIdentity,
  { readonly id: NodeId.NodeId }
>() {}

/**
 * The configured node id, or a random one that lives as long as the layer.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<NodeIdentity, never, NetworkConfig> = Layer.effect(
  NodeIdentity,
  Effect.gen(function* () {
    const { nodeId } = yield* NetworkConfig
    return NodeIdentity.of({ id: Option.isSome(nodeId) ? nodeId.value : yield* NodeId.random })
  })
)
