import { randomBytes } from "node:crypto"
import { requestLoops } from "../lib/loops.mjs"

/** Messages that may be on their way to the socket before their sender waits. */
const outstanding = 64

const until = async (condition) => {
  while (!condition()) await new Promise((resolve) => setTimeout(resolve, 5))
}

/** Sends while there is room for more on their way. */
const sending = (send) => async (next) => {
  let onTheirWay = 0
  let tell
  const done = () => {
    onTheirWay--
    tell?.()
  }
  for (let payload = next(); payload !== undefined; payload = next()) {
    onTheirWay++
    send(payload).then(done, done)
    if (onTheirWay < outstanding) continue
    await new Promise((resolve) => {
      tell = resolve
    })
  }
}

/** @type {import("../lib/types.js").System} */
export default {
  name: "moleculer",
  about:
    "Moleculer's TCP transporter, nodes given by address, JSON; a one-way message is an event, a request the call of an action, parameters checked by its validator",
  packages: ["moleculer"],
  node: 22,
  connects: 25,
  start: async (options) => {
    const { default: moleculer } = await import("moleculer")
    const { ServiceBroker } = moleculer
    const nodes = new Map()
    const make = async (urls) => {
      const broker = new ServiceBroker({
        nodeID: `node-${randomBytes(8).toString("hex")}`,
        logger: false,
        skipProcessEventRegistration: true,
        transporter: {
          type: "TCP",
          options: { udpDiscovery: false, urls, maxConnections: Math.max(32, 2 * (options.peers ?? 0)) }
        }
      })
      const { localNode } = broker.registry.nodes
      localNode.hostname = "127.0.0.1"
      localNode.ipList = ["127.0.0.1"]
      const params = { text: "string" }
      broker.createService({
        name: options.listen ? "answerer" : "listener",
        actions: options.listen
          ? { ask: { params, handler: ({ params: payload }) => options.onRequest(payload) } }
          : {},
        events: { note: { params, handler: ({ params: payload }) => options.onMessage?.(payload) } }
      })
      await broker.start()
      return broker
    }
    const broker = options.listen ? await make([]) : undefined
    return {
      address: broker === undefined ? undefined : `127.0.0.1:${broker.transit.tx.opts.port}/${broker.nodeID}`,
      connected: () => broker.registry.nodes.list({ onlyAvailable: true }).length - 1,
      connect: async (address) => {
        const dialing = await make([address])
        nodes.set(address, dialing)
        const [, nodeID] = address.split("/")
        await until(() => dialing.registry.nodes.get(nodeID)?.available === true)
        await dialing.waitForServices("answerer", 30_000, 5)
        const request = (payload) => dialing.call("answerer.ask", payload, { nodeID })
        return {
          stream: sending((payload) => dialing.emit("note", payload, { groups: ["answerer"] })),
          request,
          requests: requestLoops(request),
          close: () => dialing.stop()
        }
      },
      broadcast: sending((payload) => broker.broadcast("note", payload, { groups: ["listener"] })),
      close: async () => {
        await broker?.stop()
        for (const dialing of nodes.values()) await dialing.stop()
      }
    }
  }
}
