/** Nodes of Synapse P2P as the bench uses them: whole ones, and light ones that only speak the protocol. */
import { randomBytes } from "node:crypto"
import net from "node:net"
import tls from "node:tls"
import * as Effect from "effect/Effect"
import * as Logger from "effect/Logger"
import * as LogLevel from "effect/LogLevel"
import * as ManagedRuntime from "effect/ManagedRuntime"
import * as Schema from "effect/Schema"
import * as Layer from "effect/Layer"
import * as Redacted from "effect/Redacted"
import { Handler, MessageType, P2PNetwork } from "../../dist/index.js"
import { Keys, P2PNetworkNode } from "../../dist/node/index.js"
import * as Certificate from "../../dist/node/Certificate.js"
import { frames, writer } from "./frames.mjs"
import { messaging, stampsCounted } from "./envelope.mjs"
import { once, requestLoops, sendLoop } from "./loops.mjs"

const Text = Schema.Struct({ text: Schema.String })
const Note = MessageType.make("NOTE", Text)
const Ask = MessageType.request("ASK", Text, Text)

/** As many messages as one call of `sendMessages` is given. */
const batchSize = 64

const streamSingly = (network, id) => (next) =>
  Effect.gen(function* () {
    for (let payload = next(); payload !== undefined; payload = next()) yield* network.sendMessage(id, Note, payload)
  })

const streamBatches = (network, id) => (next) =>
  Effect.gen(function* () {
    for (;;) {
      const batch = []
      for (let payload = next(); payload !== undefined; payload = next()) {
        batch.push(payload)
        // Long messages are not gathered: a batch is a way to save calls, not to fill queues.
        if (batch.length === batchSize || batch.length * payload.text.length >= 262_144) break
      }
      if (batch.length === 0) return
      yield* network.sendMessages(id, Note, batch)
    }
  })

const requestsOf = (network, id, options) => (next, concurrency, onAnswer) => {
  const loop = Effect.gen(function* () {
    for (let payload = next(); payload !== undefined; payload = next()) {
      const begun = performance.now()
      yield* network.request(id, Ask, payload, options)
      onAnswer(performance.now() - begun)
    }
  })
  return Effect.all(
    Array.from({ length: concurrency }, () => loop),
    { concurrency: "unbounded", discard: true }
  )
}

/**
 * What a node that dials is told, so that it looks for nobody by itself.
 *
 * @type {import("../../dist/NetworkConfig.js").Input}
 */
const quiet = { targetPeers: 1, healingInterval: "1 days" }

/**
 * How a system of whole nodes starts one: over plain TCP, as the systems beside it, or over TLS.
 *
 * @returns {import("./types.js").System["start"]}
 */
export const startNode =
  ({ batches = false, encryption = /** @type {"none" | "tls"} */ ("none") } = {}) =>
  async ({ bootstrap = [], heartbeat, light = false, listen = false, onMessage, onRequest, peers = 64, target }) => {
    if (light) return startLight({ onMessage, onRequest }, encryption === "tls" ? overTls() : overTcp)
    const runtime = ManagedRuntime.make(
      P2PNetworkNode.layer({
        encryption,
        port: 0,
        maxPeers: Math.max(256, 2 * peers),
        bootstrap,
        ...(listen ? {} : quiet),
        ...(target === undefined ? {} : { targetPeers: target }),
        ...(heartbeat === undefined ? {} : { heartbeatInterval: `${heartbeat} millis` }),
        handlers: [
          Handler.make(Note, ({ payload }) => Effect.sync(() => onMessage?.(payload))),
          Handler.make(Ask, ({ payload }) => Effect.sync(() => onRequest(payload)))
        ]
      }).pipe(Layer.provide(Logger.minimumLogLevel(LogLevel.Error)))
    )
    const network = await runtime.runPromise(P2PNetwork)
    const { address } = await runtime.runPromise(network.status)
    const run = (effect) => runtime.runPromise(effect)
    return {
      id: network.nodeId,
      bytesSent: async () => (await run(network.status)).bytes.out,
      roundTrip: async () => {
        const [peer] = await run(network.peers())
        return peer?.roundTrip
      },
      address: String(address),
      connected: async () => (await run(network.status)).peers.connected,
      connect: async (to) => {
        const { id } = await run(network.connect(to))
        const stream = (batches ? streamBatches : streamSingly)(network, id)
        const requests = requestsOf(network, id)
        return {
          stream: (next) => run(stream(next)),
          request: (payload) => run(network.request(id, Ask, payload)),
          requests: (next, concurrency, onAnswer) => run(requests(next, concurrency, onAnswer)),
          requestsTo: (other) => (next, concurrency, onAnswer) =>
            run(requestsOf(network, other, { relay: true })(next, concurrency, onAnswer)),
          close: () => run(network.disconnect(id))
        }
      },
      broadcast: (next) =>
        run(
          Effect.gen(function* () {
            for (let payload = next(); payload !== undefined; payload = next()) yield* network.broadcast(Note, payload)
          })
        ),
      close: () => runtime.dispose()
    }
  }

const hello = { version: 1, minVersion: 1, network: "synapse", listen: [], features: ["relay"] }

const overTcp = {
  sender: undefined,
  open: async (host, port) => {
    const socket = net.connect(port, host)
    await once(socket, "connect")
    return socket
  }
}

/** With a key of its own. */
const overTls = () => {
  const credentials = Keys.generate()
  const secureContext = tls.createSecureContext({
    key: Redacted.value(credentials.privateKey),
    cert: Certificate.make(credentials),
    minVersion: "TLSv1.3"
  })
  return {
    sender: credentials.id,
    open: async (host, port) => {
      const socket = tls.connect({ host, port, secureContext, ALPNProtocols: ["synapse/1"], rejectUnauthorized: false })
      await once(socket, "secureConnect")
      return socket
    }
  }
}

/** A node that dials, shakes hands and heartbeats, and does nothing else that costs: for the other end of a measurement. */
const startLight = async (options, { open, sender }) => ({
  connect: async (address) => {
    const messages = messaging(options, stampsCounted, sender)
    let pings = 0
    const { envelope } = messages
    const [host, port] = address.split(":")
    const socket = await open(host, Number(port))
    socket.setNoDelay(true)
    const write = writer(socket)
    const send = (payload) => write(envelope.note(payload))
    await new Promise((resolve, reject) => {
      socket.on("error", reject)
      socket.on("close", () => reject(new Error("closed in the handshake")))
      socket.on(
        "data",
        frames((bytes, from, to) => {
          const json = bytes.utf8Slice(from, to)
          if (json.startsWith('{"type":"NOTE"') || json.startsWith('{"type":"ASK"'))
            return messages.receive(json, write)
          const { id, payload, type } = JSON.parse(json)
          if (type === "HELLO") resolve(undefined)
          else if (type === "ERROR" && payload.fatal) reject(new Error(payload.code))
          else if (payload.kind === "ping") {
            write(JSON.stringify({ ...envelope.compose("HEARTBEAT", { ...payload, kind: "pong" }), replyTo: id }))
          }
        })
      )
      write(JSON.stringify(envelope.compose("HELLO", { ...hello, session: randomBytes(8).toString("hex") })))
    })
    const beat = setInterval(
      () => write(JSON.stringify(envelope.compose("HEARTBEAT", { kind: "ping", seq: ++pings }))),
      5000
    )
    socket.on("close", () => clearInterval(beat))
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
  close: async () => undefined
})
