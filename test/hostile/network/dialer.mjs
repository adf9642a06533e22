// Dials everybody all the time: breaks off at once, half way through a frame, half way through the handshake or right
// after it, now as one node, now as one that nobody has met, which says that it listens where nobody does.
import { below, count, dial, frame, hello, lengthOf, onMessage, oneOf, order } from "./attacker.mjs"

const { from, id, targets } = order
const atOnce = 24

const drop = (socket) => {
  if (below(2) === 0) socket.resetAndDestroy()
  else socket.destroy()
}

const shake = (as, more) => (socket) => {
  const sender = as()
  onMessage(socket, ({ type }) => {
    if (type !== "HELLO") return
    count("handshakes")
    setTimeout(() => drop(socket), below(100))
  })
  socket.write(frame(hello(sender, { listen: [{ host: from, port: 9 }], ...more() })))
}

let strangers = 0

const ways = [
  drop,
  (socket) => setTimeout(() => drop(socket), below(1_000)),
  (socket) => {
    socket.write(lengthOf(100))
    setTimeout(() => drop(socket), below(1_000))
  },
  (socket) => {
    socket.write(frame(hello(id)))
    drop(socket)
  },
  shake(
    () => `stranger-${++strangers}`,
    () => ({})
  ),
  shake(
    () => id,
    () => ({})
  ),
  shake(
    () => id,
    () => ({ session: `s-${below(1_000_000)}` })
  )
]

const attack = () => {
  const socket = dial(oneOf(targets))
  socket.setTimeout(5_000, () => socket.destroy())
  socket.on("close", () => setTimeout(attack, 1))
  socket.once("connect", () => oneOf(ways)(socket))
}

for (let n = 0; n < atOnce; n++) attack()
