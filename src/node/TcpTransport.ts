/**
 * The transport over plain TCP: bytes as they are, which whoever is on the way can read and change.
 *
 * @since 0.1.0
 */
import * as Layer from "effect/Layer"
import type { Socket } from "node:net"
import type { Link } from "../Transport.js"
import { Transport } from "../Transport.js"
import type { Addresses } from "./DuplexLink.js"
import { fromDuplex } from "./DuplexLink.js"
import * as Sockets from "./Sockets.js"

export { type Addresses, fromDuplex } from "./DuplexLink.js"

const toLink = (socket: Socket, addresses: Addresses): Link => fromDuplex(socket, addresses, Sockets.reset)

/**
 * TCP over IPv4 and IPv6, with half-open sockets, TCP_NODELAY and keep-alive. A dialed name is tried at its addresses one
 * after the other. `destroy` resets the connection, except where all of our data and our FIN are on their way.
 *
 * @since 0.1.0
 * @category layers
 */
export const layer: Layer.Layer<Transport> = Layer.succeed(Transport, {
  listen: (address, onLink) => Sockets.listen(address, onLink, toLink),
  dial: (address) => Sockets.connect(address, toLink),
  resolve: Sockets.resolve
})
