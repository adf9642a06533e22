// Nodes that nobody has met come and go: each shakes hands, says where it listens, and leaves. So what their host knows
// changes all the time.
import { dial, frame, hello, message, onMessage, order } from "../../hostile/network/attacker.mjs"

const [target] = order.targets
const pause = 20

let guests = 0

const visit = () => {
  const id = `${order.id}-${process.pid}-${++guests}`
  const socket = dial(target)
  onMessage(socket, ({ type }) => {
    if (type !== "HELLO") return
    socket.end(frame(message(id, "ERROR", { code: "DISCONNECTED", message: "", fatal: true })))
  })
  socket.setTimeout(2_000, () => socket.destroy())
  socket.on("close", () => setTimeout(visit, pause))
  socket.once("connect", () => {
    // An address each, at which nobody is.
    const listen = [{ host: `10.99.200.${guests % 250}`, port: 1 + (guests % 60_000) }]
    socket.write(frame(hello(id, { listen })))
  })
}

visit()
