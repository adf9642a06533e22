/**
 * Nodes that find each other, keep each other's connections alive, and send each other typed messages.
 *
 * @since 0.1.0
 */
export * as Connection from "./Connection.js"
export * as ConnectionPool from "./ConnectionPool.js"
export * as Discovery from "./Discovery.js"
export * as Frame from "./Frame.js"
export * as Handshake from "./Handshake.js"
export * as Heartbeat from "./Heartbeat.js"
export * as LocalNode from "./LocalNode.js"
export * as Message from "./Message.js"
export * as MessageType from "./MessageType.js"
export * as NetworkConfig from "./NetworkConfig.js"
export * as NetworkError from "./NetworkError.js"
export * as NetworkLogger from "./NetworkLogger.js"
export * as NetworkStats from "./NetworkStats.js"
export * as NodeId from "./NodeId.js"
export * as NodeIdentity from "./NodeIdentity.js"
export { P2PNetwork } from "./P2PNetwork.js"
export * as Network from "./P2PNetwork.js"
export * as Payloads from "./Payloads.js"
export * as Peer from "./Peer.js"
export * as PeerAddress from "./PeerAddress.js"
export * as PeerBook from "./PeerBook.js"
export * as Policy from "./Policy.js"
export * as Router from "./Router.js"
export * as Transport from "./Transport.js"
