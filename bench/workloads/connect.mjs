import { payloadOf } from "../lib/payload.mjs"
import { quantile } from "../lib/stats.mjs"

const echo = ({ text }) => ({ text })

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "connect",
  title: "Connection set-up, one at a time",
  about:
    "A node dials another and asks it: from the dial, over the handshake, to the first answer. The connection is closed before the next, off the clock.",
  metrics: [
    { key: "p50", title: "p50 ms", better: "lower", bars: { synapse: { value: 2 } } },
    { key: "p99", title: "p99 ms", better: "lower", bars: { synapse: { value: 10 }, "synapse-tls": { value: 50 } } },
    { key: "cpu", title: "CPU ms/connect", better: "lower" }
  ],
  leadIn: 0.4,
  seconds: 1,
  setup: async ({ start }) => {
    const listener = await start("listener")
    const dialer = await start("dialer", { address: await listener.call("address") })
    return { listener, dialer }
  },
  round: async ({ seconds }, { dialer, listener }) => {
    const before = (await listener.cpu()) + (await dialer.cpu())
    const times = await dialer.call("connects", { seconds })
    const cpu = (await listener.cpu()) + (await dialer.cpu()) - before
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), cpu: cpu / 1000 / times.length }
  },
  sides: {
    listener: async (system) => {
      const node = await system.start({ listen: true, onRequest: echo })
      return { address: () => node.address }
    },
    dialer: async (system, { address }) => {
      const node = await system.start({})
      const payload = payloadOf(100)
      return {
        connects: async ({ seconds }) => {
          const times = []
          const end = performance.now() + seconds * 1000
          do {
            const begun = performance.now()
            const peer = await node.connect(address)
            await peer.request(payload)
            times.push(performance.now() - begun)
            await peer.close()
          } while (performance.now() < end)
          return times
        }
      }
    }
  }
}
