/** Secret streams of hyperswarm over TCP, bare or with protomux on them. */
import net from "node:net"
import { messaging } from "./envelope.mjs"
import { once, requestLoops, sendLoop } from "./loops.mjs"

/**
 * `attach(stream, receive)` gives what sends a text: its promise resolves when the two ends can talk. What it gives then
 * says false where the stream is full.
 */
export const startSecret = async (options, attach) => {
  const { default: SecretStream } = await import("@hyperswarm/secret-stream")
  const messages = messaging(options)
  const keyPair = SecretStream.keyPair()
  const streams = new Map()
  const open = async (isInitiator, socket) => {
    socket.setNoDelay(true)
    const stream = new SecretStream(isInitiator, socket, { keyPair })
    stream.on("error", () => undefined)
    stream.setKeepAlive(5000)
    let drained
    let send
    const write = (json) => {
      if (send(json)) return undefined
      drained ??= once(stream, "drain").then(() => {
        drained = undefined
      })
      return drained
    }
    send = await attach(stream, (json) => messages.receive(json, write))
    return { stream, write }
  }
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined)
    open(false, socket).then(
      ({ stream, write }) => {
        streams.set(stream, write)
        stream.on("close", () => streams.delete(stream))
      },
      () => undefined
    )
  })
  if (options.listen) await new Promise((resolve) => server.listen(0, "127.0.0.1", 4096, resolve))
  return {
    address: options.listen ? String(server.address().port) : undefined,
    connected: () => streams.size,
    connect: async (address) => {
      const socket = net.connect(Number(address), "127.0.0.1")
      const { stream, write } = await open(true, socket)
      const request = (payload) => messages.request(payload, write)
      return {
        stream: sendLoop((payload) => write(messages.envelope.note(payload))),
        request,
        requests: requestLoops(request),
        close: async () => {
          stream.destroy()
          if (!socket.closed) await once(socket, "close")
        }
      }
    },
    broadcast: async (next) => {
      for (let payload = next(); payload !== undefined; payload = next()) {
        const json = messages.envelope.note(payload)
        await Promise.all(Array.from(streams.values(), (write) => write(json)))
      }
    },
    close: async () => {
      server.close()
      for (const stream of streams.keys()) stream.destroy()
    }
  }
}
