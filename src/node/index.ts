/**
 * The parts that need Node.
 *
 * @since 0.1.0
 */
export * as Identity from "./Identity.js"
export * as Keys from "./Keys.js"
export * as P2PNetworkNode from "./P2PNetworkNode.js"
export * as TcpTransport from "./TcpTransport.js"
export * as TlsTransport from "./TlsTransport.js"
