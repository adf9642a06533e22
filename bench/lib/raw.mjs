/** Frames and JSON over node:net and nothing else. */
import net from "node:net"
import { messaging } from "./envelope.mjs"
import { frames } from "./frames.mjs"
import { listening, once, portOf, requestLoops, sendLoop } from "./loops.mjs"

/**
 * How a message gets its id and its time, and how it becomes a frame.
 *
 * @param {{ stamps: () => import("./envelope.mjs").Stamps, frameOf: (json: string) => Buffer, writer: (socket: net.Socket) => (message: string | Buffer) => Promise<unknown> | undefined }} way
 * @returns {import("./types.js").System["start"]}
 */
export const startRaw = ({ frameOf, stamps, writer }) => {
  const attach = (socket, { envelope, receive }) => {
    socket.setNoDelay(true)
    const write = writer(socket)
    socket.on(
      "data",
      frames((bytes, from, to) => receive(bytes.utf8Slice(from, to), write))
    )
    return { write, send: (payload) => write(envelope.note(payload)) }
  }
  return async (options) => {
    const messages = messaging(options, stamps)
    const sockets = new Map()
    const server = net.createServer((socket) => {
      sockets.set(socket, attach(socket, messages))
      socket.on("close", () => sockets.delete(socket))
      socket.on("error", () => undefined)
    })
    if (options.listen) await listening(server)
    return {
      address: options.listen ? `127.0.0.1:${portOf(server)}` : undefined,
      connected: () => sockets.size,
      connect: async (address) => {
        const [host, port] = address.split(":")
        const socket = net.connect(Number(port), host)
        await once(socket, "connect")
        const { send, write } = attach(socket, messages)
        const request = (payload) => messages.request(payload, write)
        return {
          stream: sendLoop(send),
          request,
          requests: requestLoops(request),
          close: () => {
            socket.end()
            return once(socket, "close")
          }
        }
      },
      broadcast: async (next) => {
        for (let payload = next(); payload !== undefined; payload = next()) {
          const frame = frameOf(messages.envelope.note(payload))
          const waits = []
          for (const { write } of sockets.values()) {
            const room = write(frame)
            if (room !== undefined) waits.push(room)
          }
          if (waits.length > 0) await Promise.all(waits)
        }
      },
      close: async () => {
        server.close()
        for (const socket of sockets.keys()) socket.destroy()
      }
    }
  }
}
