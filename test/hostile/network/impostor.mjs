// Calls itself what one of the nodes is called, towards all others and towards that node too, and behaves well otherwise.
import { frame, keepPeer, message, order } from "./attacker.mjs"

const { stolen: id, targets } = order

const talk = (socket) => {
  if (!socket.writable) return
  socket.write(frame(message(id, "FLOOD", { text: "it is me" }, { ttl: 8 })))
  setTimeout(() => talk(socket), 1_000)
}

for (const target of targets) keepPeer(target, { id, pause: 1_000, payload: { session: "impostor" }, use: talk })
