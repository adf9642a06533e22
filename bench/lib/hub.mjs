/** One node with many others connected to it, which run in a few processes. */
import { lastOne, now, payloadOf, receiving, streamFor } from "./payload.mjs"
import { dialers, until } from "./pool.mjs"

/** Messages that each sends before it is the next one's turn: as many, however many they are. */
const burst = 8

/** Starts the node and the others; `light` ones only speak the protocol. */
export const hubSetup = async ({ start }, { count, light, processes }) => {
  const hub = await start("hub", { count })
  const address = await hub.call("address")
  const each = Math.ceil(count / processes)
  const others = []
  for (let made = 0; made < count; made += each) {
    others.push(await start("others", { address, count: Math.min(each, count - made), light }))
  }
  await hub.call("connected", count)
  return { hub, others }
}

/** The node sends to all for that long: deliveries, the time they took in ms, processor time of the node and of all. */
export const broadcastRound = async ({ hub, others }, seconds, bytes) => {
  const all = [hub, ...others]
  const spent = async () => Promise.all(all.map((side) => side.cpu()))
  const before = await spent()
  const arrivals = Promise.all(others.map((side) => side.call("all", undefined, 120_000)))
  arrivals.catch(() => undefined)
  const { begun, sent } = await hub.call("broadcast", { seconds, bytes }, 120_000)
  const arrived = await arrivals
  const cpu = (await spent()).map((after, i) => after - before[i])
  const deliveries = arrived.reduce((sum, { received }) => sum + received, 0)
  const peers = arrived.reduce((sum, { peers: some }) => sum + some, 0)
  if (deliveries !== sent * peers) throw new Error(`${sent * peers} deliveries were due, ${deliveries} were made`)
  const ms = Math.max(...arrived.map(({ at }) => at)) - begun
  return { deliveries, ms, hubCpu: cpu[0], cpu: cpu.reduce((sum, some) => sum + some, 0) }
}

export const hubSides = {
  hub: async (system, { count }) => {
    let { all, onMessage } = receiving()
    const node = await system.start({
      listen: true,
      peers: count,
      onMessage: (payload) => onMessage(payload),
      onRequest: ({ text }) => ({ text })
    })
    return {
      address: () => node.address,
      connected: (some) => until(`${some} nodes connected`, async () => (await node.connected()) >= some),
      broadcast: async ({ bytes, seconds }) => {
        const begun = now()
        const counter = streamFor(seconds, bytes, 1)
        await node.broadcast(counter.next)
        return { begun, sent: counter.sent }
      },
      /** Readies for messages of so many. */
      expect: (senders) => {
        ;({ all, onMessage } = receiving(senders))
      },
      all: () => all()
    }
  },
  others: async (system, { address, count, light }) => {
    const { all, onMessage } = receiving(count)
    const { connectAll, peers } = await dialers(system, { address, count, options: { light, onMessage } })
    await connectAll(50, payloadOf(100))
    return {
      all: async () => Object.assign(await all(), { peers: count }),
      /** All of them send for that long, a few messages each in turn. */
      send: async ({ bytes, seconds }) => {
        const { text } = payloadOf(bytes)
        const end = performance.now() + seconds * 1000
        let sent = 0
        const some = (messages) => {
          let left = messages
          return () => {
            if (left-- <= 0) return undefined
            sent++
            return { text }
          }
        }
        do {
          await Promise.all(peers.map((peer) => peer.stream(some(burst))))
          await new Promise((resolve) => setImmediate(resolve))
        } while (performance.now() < end)
        await Promise.all(peers.map((peer) => peer.stream(lastOne())))
        return { sent: sent + peers.length }
      }
    }
  }
}
