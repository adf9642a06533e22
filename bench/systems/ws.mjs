import { messaging } from "../lib/envelope.mjs"
import { once, requestLoops, sendLoop } from "../lib/loops.mjs"

/** Bytes that may wait in a socket before its sender waits, too. */
const highWater = 1_048_576

/** Gives a promise where the caller has to wait for room. */
const writeTo = (socket) => (json) => {
  if (socket.bufferedAmount < highWater) {
    socket.send(json)
    return undefined
  }
  return new Promise((resolve) => socket.send(json, () => resolve(undefined)))
}

/** @type {import("../lib/types.js").System} */
export default {
  name: "ws",
  about: "WebSocket text messages without compression; no identity, no liveness",
  packages: ["ws"],
  start: async (options) => {
    const { WebSocket, WebSocketServer } = await import("ws")
    const messages = messaging(options)
    const sockets = new Map()
    const attach = (socket) => {
      const write = writeTo(socket)
      socket.on("message", (data) => messages.receive(data.toString(), write))
      return write
    }
    let server
    if (options.listen) {
      server = new WebSocketServer({ host: "127.0.0.1", port: 0, backlog: 4096, perMessageDeflate: false })
      server.on("connection", (socket) => {
        sockets.set(socket, attach(socket))
        socket.on("close", () => sockets.delete(socket))
      })
      await once(server, "listening")
    }
    return {
      address: server === undefined ? undefined : `ws://127.0.0.1:${server.address().port}`,
      connected: () => sockets.size,
      connect: async (address) => {
        const socket = new WebSocket(address, { perMessageDeflate: false })
        const write = attach(socket)
        await once(socket, "open")
        const request = (payload) => messages.request(payload, write)
        return {
          stream: sendLoop((payload) => write(messages.envelope.note(payload))),
          request,
          requests: requestLoops(request),
          close: () => {
            socket.close()
            return once(socket, "close")
          }
        }
      },
      broadcast: async (next) => {
        for (let payload = next(); payload !== undefined; payload = next()) {
          const json = messages.envelope.note(payload)
          await Promise.all(Array.from(sockets.values(), (write) => write(json)))
        }
      },
      close: async () => {
        for (const socket of sockets.keys()) socket.terminate()
        server?.close()
      }
    }
  }
}
