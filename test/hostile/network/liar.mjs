// Tells of nodes that are not there, and of real ones where they are not: thousands at a time, asked and unasked. Where
// it listens nobody gets an answer, or one that makes no sense.
import net from "node:net"
import { below, count, frame, hello, keepPeer, message, oneOf, onMessage, order } from "./attacker.mjs"

const { from, id, targets } = order
const entries = 3_000

const listen = (take) =>
  new Promise((resolve) => {
    const server = net.createServer((socket) => {
      count("dialed")
      socket.on("error", () => {})
      take(socket)
    })
    server.listen(0, from, () => resolve({ host: from, port: server.address().port }))
  })

/** Says nothing at all. */
const silent = await listen((socket) => socket.resume())
/** Is another stranger each time. */
const anybody = await listen((socket) =>
  onMessage(socket, (first) => {
    if (first.type === "HELLO") {
      socket.write(frame(hello(`anybody-${below(1_000_000)}`, { listen: [anybody] }, { replyTo: first.id })))
    }
  })
)

const places = [
  () => silent,
  () => anybody,
  () => ({ host: from, port: 1 + below(65_535) }),
  () => ({ host: `127.0.${3 + below(200)}.${1 + below(250)}`, port: 1 + below(65_535) }),
  // Where a real node is, under the name of another.
  () => {
    const { host, port } = oneOf(targets)
    return { host, port }
  },
  () => ({ host: "nowhere.invalid", port: 9470 }),
  () => ({ host: "0.0.0.0", port: 0 }),
  () => ({ host: 7, port: "x" })
]

const lie = () => ({
  id: oneOf([() => oneOf(targets).id, () => `nobody-${below(1_000_000)}`, () => id, () => ""])(),
  addresses: Array.from({ length: 1 + below(10) }, () => oneOf(places)())
})

// Made once: to lie must not cost more than to listen.
const lists = Array.from({ length: 20 }, () => JSON.stringify(Array.from({ length: entries }, lie)))

const lies = (kind, more) => {
  count("entries", entries)
  const envelope = JSON.stringify(message(id, "PEER_LIST", { kind, peers: "" }, more))
  return frame(envelope.replace('"peers":""', () => `"peers":${oneOf(lists)}`))
}

const announce = (socket) => {
  if (socket.writable) socket.write(lies("announce"), () => setTimeout(() => announce(socket), 500))
}

for (const target of targets) {
  keepPeer(target, {
    id,
    pause: 500,
    payload: { listen: [anybody, silent] },
    use: announce,
    take: (socket, { id: replyTo, payload, type }) => {
      if (type !== "PEER_LIST" || payload.kind !== "request") return
      socket.write(lies("response", { replyTo }))
    }
  })
}
