// Sends valid messages and pings to every node as fast as each takes them: to the node, to others over it, and to all.
import { count, frame, keepPeer, message, order, ping } from "./attacker.mjs"

const { id, targets } = order
const text = "x".repeat(100)

// No rule keeps a node from being sent the same direct message twice: these are made once.
const direct = Buffer.concat(
  Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? ping(id) : frame(message(id, "FLOOD", { text }))))
)

const toAll = () => frame(message(id, "FLOOD", { text }, { ttl: 8 }))
const toSomeone = () => frame(message(id, "FLOOD", { text }, { ttl: 8, recipient: "nobody" }))

const pour = (socket) => {
  if (!socket.writable) return
  const bytes = Buffer.concat([direct, ...Array.from({ length: 10 }, toAll), ...Array.from({ length: 10 }, toSomeone)])
  socket.write(bytes, () => {
    count("messages", 220)
    count("bytes", bytes.length)
    setImmediate(() => pour(socket))
  })
}

for (const target of targets) keepPeer(target, { id, pause: 200, use: pour })
