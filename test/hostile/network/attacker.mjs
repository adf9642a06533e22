// What the attackers have in common. Each is a process of its own, written from docs/PROTOCOL.md alone: its order is the
// first argument ({ from, id, targets, stolen }), and what it has done it tells on one line when its input ends.
import net from "node:net"

export const order = JSON.parse(process.argv[2])

const tally = {}

export const count = (what, by = 1) => {
  tally[what] = (tally[what] ?? 0) + by
}

process.stdin.resume()
process.stdin.on("end", () => {
  process.stdout.write(`${JSON.stringify(tally)}\n`, () => process.exit())
})

// --- Chance ---

export const below = (limit) => Math.floor(Math.random() * limit)

export const oneOf = (choices) => choices[below(choices.length)]

// --- Messages ---

export const lengthOf = (bytes) => {
  const header = Buffer.alloc(4)
  header.writeUInt32BE(bytes)
  return header
}

/** A frame of bytes, of a text, or of a value as JSON. */
export const frame = (body) => {
  const bytes = Buffer.isBuffer(body) ? body : Buffer.from(typeof body === "string" ? body : JSON.stringify(body))
  return Buffer.concat([lengthOf(bytes.length), bytes])
}

let made = 0

export const message = (sender, type, payload = {}, more = {}) => ({
  type,
  id: `${process.pid}-${++made}`,
  sender,
  timestamp: new Date().toISOString(),
  payload,
  ...more
})

export const hello = (sender, payload = {}, more = {}) =>
  message(
    sender,
    "HELLO",
    { version: 1, minVersion: 1, network: "synapse", listen: [], features: ["relay"], ...payload },
    more
  )

export const ping = (sender) => frame(message(sender, "HEARTBEAT", { kind: "ping", seq: made }))

export const pong = (sender, { id, payload }) =>
  frame(message(sender, "HEARTBEAT", { kind: "pong", seq: payload.seq }, { replyTo: id }))

// --- Connections ---

/** A connection from the attacker's own address. That it may break is what it is for. */
export const dial = ({ host, port }) => {
  count("dials")
  const socket = net.connect({ host, port, localAddress: order.from, noDelay: true })
  socket.on("error", () => {})
  return socket
}

/** Gives each message that comes in. */
export const onMessage = (socket, take) => {
  let buffered = Buffer.alloc(0)
  socket.on("data", (chunk) => {
    buffered = Buffer.concat([buffered, chunk])
    while (buffered.length >= 4 && buffered.length >= 4 + buffered.readUInt32BE(0)) {
      const end = 4 + buffered.readUInt32BE(0)
      take(JSON.parse(buffered.toString("utf8", 4, end)))
      buffered = buffered.subarray(end)
    }
  })
}

/** Keeps a connection to a node: `use` gets one that has just been dialed, and another some time after it is gone. */
export const keep = (target, pause, use) => {
  const socket = dial(target)
  socket.on("close", () => setTimeout(() => keep(target, pause, use), pause))
  socket.once("connect", () => use(socket))
}

/** The same with the handshake done, the pings answered, and errors counted by their code. */
export const keepPeer = (target, { id, pause, payload, take = () => {}, use = () => {} }) =>
  keep(target, pause, (socket) => {
    onMessage(socket, (received) => {
      if (received.type === "HELLO") {
        count("handshakes")
        use(socket)
      } else if (received.type === "HEARTBEAT" && received.payload.kind === "ping") {
        socket.write(pong(id, received))
      } else if (received.type === "ERROR") {
        count(received.payload.code)
      }
      take(socket, received)
    })
    socket.write(frame(hello(id, payload)))
  })
