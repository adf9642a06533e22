/** Nodes of js-libp2p over TCP and yamux, with what encrypts the connection given. */
import { messaging } from "./envelope.mjs"
import { requestLoops, sendLoop } from "./loops.mjs"
import { frameOf, frames } from "./frames.mjs"

const protocol = "/bench/1.0.0"

const unlimited = {
  // Its own limits are for strangers.
  maxConnections: 20_000,
  maxParallelDials: 1000,
  maxDialQueueLength: 20_000,
  inboundConnectionThreshold: 1e9,
  maxIncomingPendingConnections: 20_000
}

/**
 * One stream for all messages, each with its length before it. Room is waited for by the event: what `onDrain()` gives is
 * the same promise ever after, so that from the second time on nobody would wait.
 */
const attach = (stream, receive) => {
  let drained
  const write = (json) => {
    if (stream.send(frameOf(json))) return undefined
    drained ??= new Promise((resolve) =>
      stream.addEventListener(
        "drain",
        () => {
          drained = undefined
          resolve(undefined)
        },
        { once: true }
      )
    )
    return drained
  }
  const take = frames((bytes, from, to) => receive(bytes.utf8Slice(from, to), write))
  stream.addEventListener("message", ({ data }) => {
    const bytes = data.subarray()
    take(Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength))
  })
  return write
}

export const startLibp2p = (encrypter) => async (options) => {
  const [{ createLibp2p }, { tcp }, { yamux }, { multiaddr }] = await Promise.all([
    import("libp2p"),
    import("@libp2p/tcp"),
    import("@chainsafe/libp2p-yamux"),
    import("@multiformats/multiaddr")
  ])
  const messages = messaging(options)
  // A node of its own for each that dials, as light ones too: of many dials of one node to one address it makes one.
  const node = await createLibp2p({
    addresses: { listen: options.listen ? ["/ip4/127.0.0.1/tcp/0"] : [] },
    transports: [tcp({ backlog: 4096 })],
    connectionEncrypters: [await encrypter()],
    streamMuxers: [yamux()],
    connectionManager: unlimited
  })
  const streams = new Map()
  if (options.listen) {
    await node.handle(
      protocol,
      (stream) => {
        streams.set(stream, attach(stream, messages.receive))
        stream.addEventListener("close", () => streams.delete(stream))
      },
      { maxInboundStreams: 20_000 }
    )
  }
  return {
    address: options.listen ? node.getMultiaddrs()[0].toString() : undefined,
    connected: () => streams.size,
    connect: async (address) => {
      const connection = await node.dial(multiaddr(address))
      const stream = await connection.newStream(protocol)
      const write = attach(stream, messages.receive)
      const request = (payload) => messages.request(payload, write)
      return {
        stream: sendLoop((payload) => write(messages.envelope.note(payload))),
        request,
        requests: requestLoops(request),
        close: () => connection.close()
      }
    },
    broadcast: async (next) => {
      for (let payload = next(); payload !== undefined; payload = next()) {
        const json = messages.envelope.note(payload)
        await Promise.all(Array.from(streams.values(), (write) => write(json)))
      }
    },
    close: async () => node.stop()
  }
}
