/**
 * The parts that need Node.
 *
 * @since 0.1.0
 */
export * as P2PNetworkNode from "./P2PNetworkNode.js"
export * as TcpTransport from "./TcpTransport.js"
