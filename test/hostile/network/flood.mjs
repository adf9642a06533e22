// Sends valid messages and pings to every node as fast as each takes them: to the node, to others over it, and to all.
import { count, frame, keepPeer, message, order, ping } from "./attacker.mjs"

const { id, targets } = order
const text = "x".repeat(100)

// What goes to all is passed on by all: one such message is as much work as two hundred that go to one node. These are
// made once: no rule keeps a node from being sent the same direct message twice.
const direct = Buffer.concat(
  Array.from({ length: 200 }, (_, n) => (n % 2 === 0 ? ping(id) : frame(message(id, "FLOOD", { text }))))
)

const toAll = () => frame(message(id, "FLOOD", { text }, { ttl: 8 }))
const toSomeone = () => frame(message(id, "FLOOD", { text }, { ttl: 8, recipient: "nobody" }))

const pour = (socket) => {
  if (!socket.writable) return
  const bytes = Buffer.concat([direct, toAll(), toSomeone()])
  socket.write(bytes, () => {
    count("messages", 202)
    count("bytes", bytes.length)
    setImmediate(() => pour(socket))
  })
}

// The others first get at the nodes while those have time for them.
setTimeout(() => {
  for (const target of targets) keepPeer(target, { id, pause: 200, use: pour })
}, 7_000)
