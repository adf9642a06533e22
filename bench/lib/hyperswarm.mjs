/** Secret streams of hyperswarm over TCP, bare or with protomux on them. */
import net from "node:net"
import { messaging } from "./envelope.mjs"
import { listening, once, portOf, requestLoops, sendLoop } from "./loops.mjs"

/**
 * `attach(stream, receive)` gives what sends a text, which says false where the stream is full, and a promise that the
 * two ends can talk.
 */
export const startSecret = async (options, attach) => {
  const { default: SecretStream } = await import("@hyperswarm/secret-stream")
  const messages = messaging(options)
  const keyPair = SecretStream.keyPair()
  const streams = new Map()
  const open = (isInitiator, socket) => {
    socket.setNoDelay(true)
    const stream = new SecretStream(isInitiator, socket, { keyPair })
    stream.on("error", () => undefined)
    stream.setKeepAlive(5000)
    let drained
    const write = (json) => {
      if (attached.send(json)) return undefined
      drained ??= once(stream, "drain").then(() => {
        drained = undefined
      })
      return drained
    }
    const attached = attach(stream, (json) => messages.receive(json, write))
    return { ready: attached.ready, stream, write }
  }
  const server = net.createServer((socket) => {
    socket.on("error", () => undefined)
    const { ready, stream, write } = open(false, socket)
    stream.on("close", () => streams.delete(stream))
    ready.then(
      () => streams.set(stream, write),
      () => undefined
    )
  })
  if (options.listen) await listening(server)
  return {
    address: options.listen ? String(portOf(server)) : undefined,
    connected: () => streams.size,
    connect: async (address) => {
      const socket = net.connect(Number(address), "127.0.0.1")
      const { ready, stream, write } = open(true, socket)
      await ready
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
