// Sends what is no frame, no JSON, no message, or a message that breaks a rule; before the handshake and after it.
import { randomBytes } from "node:crypto"
import { below, count, dial, frame, hello, lengthOf, message, oneOf, onMessage, order } from "./attacker.mjs"

const { id, targets } = order

const noise = () => randomBytes(1 + below(8_192))

/** A valid message with one of its bytes changed. */
const bitten = () => {
  const bytes = frame(message(id, "CHAT", { text: "x".repeat(below(200)) }, { ttl: below(300) }))
  bytes[4 + below(bytes.length - 4)] = below(256)
  return bytes
}

const broken = [
  () => ({ ...message(id, "CHAT"), type: "chat" }),
  () => ({ ...message(id, "CHAT"), id: "" }),
  () => message("somebody-else", "CHAT"),
  () => message(id, "CHAT", {}, { ttl: 256 }),
  () => message(id, "CHAT", {}, { ttl: 8, expectsReply: true }),
  () => message(id, "HEARTBEAT", { kind: "ping", seq: -1 }),
  () => message(id, "PEER_LIST", { kind: "response", peers: 7 }),
  () => message(id, "ERROR", { code: 1 }),
  () => hello(id)
]

const ends = [
  noise,
  () => lengthOf(0),
  () => lengthOf(0xffffffff),
  () => frame(noise()),
  () => frame("[]"),
  () => frame('{"type":'),
  () => frame("[".repeat(5_000)),
  () => Buffer.from("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
]

const afterwards = [...ends, bitten, () => Buffer.concat(Array.from({ length: 20 }, () => frame(oneOf(broken)())))]

const attack = (target) => {
  const socket = dial(target)
  socket.setTimeout(5_000, () => socket.destroy())
  socket.on("close", () => setTimeout(() => attack(target), 10))
  onMessage(socket, ({ payload, type }) => {
    if (type === "ERROR") count(payload.code)
    if (type !== "HELLO") return
    count("handshakes")
    socket.write(Buffer.concat([bitten(), bitten(), oneOf(afterwards)()]))
  })
  socket.write(oneOf([() => frame(hello(id)), () => oneOf(ends)(), () => frame(oneOf(broken)())])())
}

for (const target of targets) attack(target)
