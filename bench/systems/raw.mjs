/** The limit of the wire format: node:net, the same frames and JSON, and one write for what is made in one turn. */
import net from "node:net"
import { messaging } from "../lib/envelope.mjs"
import { listening, once, portOf, requestLoops, sendLoop } from "../lib/loops.mjs"

const sliceBytes = 65_536

/** Takes frames out of chunks cut anywhere. */
export const frames = (onBody) => {
  let held
  return (chunk) => {
    let bytes = held === undefined ? chunk : Buffer.concat([held, chunk])
    let offset = 0
    while (bytes.length - offset >= 4) {
      const end = offset + 4 + bytes.readUInt32BE(offset)
      if (end > bytes.length) break
      onBody(bytes, offset + 4, end)
      offset = end
    }
    held = offset === bytes.length ? undefined : bytes.subarray(offset)
  }
}

/** Joins the frames of one turn of the event loop in one write. */
export const writer = (socket) => {
  let pending = []
  let bytes = 0
  let scheduled = false
  let drained
  const flush = () => {
    scheduled = false
    if (bytes === 0) return true
    const chunk = Buffer.allocUnsafe(bytes)
    let offset = 0
    for (const message of pending) {
      if (typeof message === "string") {
        const length = chunk.write(message, offset + 4)
        chunk.writeUInt32BE(length, offset)
        offset += 4 + length
      } else offset += message.copy(chunk, offset)
    }
    pending = []
    bytes = 0
    return socket.write(chunk)
  }
  /** Takes JSON or a whole frame; gives a promise where the caller has to wait for room. */
  return (message) => {
    pending.push(message)
    bytes += typeof message === "string" ? 4 + Buffer.byteLength(message) : message.length
    if (bytes >= sliceBytes) {
      if (flush()) return undefined
      drained ??= once(socket, "drain").then(() => {
        drained = undefined
      })
      return drained
    }
    if (!scheduled) {
      scheduled = true
      queueMicrotask(flush)
    }
    return undefined
  }
}

/** The frame of a JSON text. */
export const frameOf = (json) => {
  const frame = Buffer.allocUnsafe(4 + Buffer.byteLength(json))
  frame.writeUInt32BE(frame.length - 4)
  frame.write(json, 4)
  return frame
}

const attach = (socket, { envelope, receive }) => {
  socket.setNoDelay(true)
  const write = writer(socket)
  socket.on(
    "data",
    frames((bytes, from, to) => receive(bytes.utf8Slice(from, to), write))
  )
  return { write, send: (payload) => write(envelope.note(payload)) }
}

/** @type {import("../lib/types.js").System} */
export default {
  name: "raw",
  about: "node:net with the same frames and JSON, batched writes; no handshake, limits, validation or liveness",
  packages: [],
  start: async (options) => {
    const messages = messaging(options)
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
