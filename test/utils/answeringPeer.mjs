// A peer in a process of its own: dials the port given, shakes hands, and answers pings until it is killed. Says
// "open" when it has shaken hands and "closed" when the connection is gone.
import net from "node:net"

const [port, id] = process.argv.slice(2)
const socket = net.connect({ host: "127.0.0.1", port: Number(port), noDelay: true })
let made = 0
let buffered = Buffer.alloc(0)

const say = (type, payload, more = {}) => {
  const timestamp = new Date().toISOString()
  const body = Buffer.from(JSON.stringify({ type, id: `m-${++made}`, sender: id, timestamp, payload, ...more }))
  const header = Buffer.alloc(4)
  header.writeUInt32BE(body.length)
  socket.write(Buffer.concat([header, body]))
}

const take = ({ id: replyTo, payload, type }) => {
  if (type === "HELLO") process.stdout.write("open\n")
  if (type === "HEARTBEAT" && payload.kind === "ping") say("HEARTBEAT", { kind: "pong", seq: payload.seq }, { replyTo })
}

socket.on("data", (chunk) => {
  buffered = Buffer.concat([buffered, chunk])
  while (buffered.length >= 4 && buffered.length >= 4 + buffered.readUInt32BE(0)) {
    const end = 4 + buffered.readUInt32BE(0)
    take(JSON.parse(buffered.toString("utf8", 4, end)))
    buffered = buffered.subarray(end)
  }
})
socket.on("error", () => {})
socket.on("close", () => {
  process.stdout.write("closed\n")
  process.exit()
})
say("HELLO", { version: 1, minVersion: 1, network: "synapse", listen: [], features: [] })
