import { hubSides } from "../lib/hub.mjs"
import { payloadOf, requestsFor } from "../lib/payload.mjs"
import { quantile } from "../lib/stats.mjs"

/** One interval of heartbeats: all ping and are pinged once. */
const idleSeconds = 5

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "at-size",
  title: "1,000 connections to one node, all heartbeating",
  about:
    "One node with 1,000 others connected, which ping every 5 s as it pings them. Its processor time while nothing else happens, in % of a core; then a further node asks it, and one more over it, requests of 100 B one at a time; memory as in `memory-1000`, but measured once.",
  metrics: [
    { key: "idle", title: "idle CPU %", better: "lower", absolute: true, bars: { synapse: { value: 15 } } },
    { key: "p99", title: "request p99 ms", better: "lower", absolute: true, bars: { synapse: { value: 50 } } },
    { key: "relayed", title: "relayed p99 ms", better: "lower", absolute: true, bars: { synapse: { value: 50 } } },
    { key: "memory", title: "KiB/connection", better: "lower", absolute: true, bars: { synapse: { value: 30 } } }
  ],
  systems: ["synapse"],
  seconds: 0,
  warmup: 0,
  takes: { setup: 4, beside: idleSeconds + 2 },
  files: 3000,
  setup: async ({ quick, start }) => {
    const count = quick ? 200 : 1000
    const hub = await start("hub", { count: count + 2 })
    const address = await hub.call("address")
    const further = await start("further", { address })
    const target = await start("further", { address })
    const empty = await hub.memory()
    const others = await start("others", { address, count, light: true })
    await hub.call("connected", count + 2)
    const full = await hub.memory()
    return { hub, others, further, to: await target.call("id"), memory: (full.rss - empty.rss) / count / 1024 }
  },
  round: async ({ quick }, { further, hub, memory, to }) => {
    const seconds = quick ? 2 : idleSeconds
    const before = await hub.cpu()
    await new Promise((resolve) => setTimeout(resolve, seconds * 1000))
    const idle = ((await hub.cpu()) - before) / (seconds * 1e4)
    const p99 = await further.call("ask", { seconds: 1 })
    const relayed = await further.call("ask", { seconds: 1, to })
    return { idle, p99, relayed, memory }
  },
  sides: {
    ...hubSides,
    further: async (system, { address }) => {
      const node = await system.start({ onRequest: ({ text }) => ({ text }) })
      const peer = await node.connect(address)
      await peer.request(payloadOf(100))
      return {
        id: () => node.id,
        ask: async ({ seconds, to }) => {
          const times = []
          const requests = to === undefined ? peer.requests : peer.requestsTo(to)
          await requests(requestsFor(seconds, 100), 1, (ms) => times.push(ms))
          return quantile(times, 0.99)
        }
      }
    }
  }
}
