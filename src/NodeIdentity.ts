/**
 * Who this node is. With credentials its id is that of a key, which it can prove; without TLS it is a name and nothing
 * more. The layers that have keys stand in `synapse-p2p/node`.
 *
 * @since 0.1.0
 */
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import type { Credentials } from "./Credentials.js"
import { NetworkConfig } from "./NetworkConfig.js"
import * as NodeId from "./NodeId.js"

/**
 * The id of this node. Where it has `credentials`, every other node has to prove its id too: links that prove nothing are
 * refused, and messages that came over other nodes must be signed.
 *
 * @since 0.1.0
 * @category tags
 */
export class NodeIdentity extends Context.Tag("synapse-p2p/NodeIdentity")<
  NodeIdentity,
  { readonly id: NodeId.NodeId; readonly credentials?: Credentials | undefined }
>() {}

/**
 * The configured node id, or a random one that lives as long as the layer: a name that proves nothing.
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

/**
 * The node that has these credentials.
 *
 * @since 0.1.0
 * @category constructors
 */
export const fromCredentials = (credentials: Credentials): NodeIdentity["Type"] =>
  NodeIdentity.of({ id: credentials.id, credentials })
