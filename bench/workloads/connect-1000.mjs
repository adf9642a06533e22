import { payloadOf } from "../lib/payload.mjs"
import { dialers } from "../lib/pool.mjs"

const concurrency = 50

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "connect-1000",
  title: "1,000 connects, 50 at a time",
  about:
    "1,000 nodes in one process, made beforehand, dial one in another, 50 at a time; each counts when its first request is answered. The clock stops at the last; then all are closed, off the clock.",
  metrics: [
    { key: "seconds", title: "s", better: "lower", bars: { synapse: { value: 1 } } },
    { key: "cpu", title: "CPU ms/connect", better: "lower" }
  ],
  seconds: 0,
  takes: { setup: 1.5, beside: 1.8 },
  files: 4000,
  setup: async ({ note, quick, start, system }) => {
    const count = Math.min(quick ? 100 : 1000, system.connects ?? 1000)
    if (count < 1000) note(`${system.name} made ${count} connections; the time is that for 1,000 in proportion`)
    const listener = await start("listener", { count })
    const dialer = await start("dialer", { address: await listener.call("address"), count })
    return { listener, dialer, count }
  },
  round: async (_, { count, dialer, listener }) => {
    const before = (await listener.cpu()) + (await dialer.cpu())
    const seconds = await dialer.call("connectAll", undefined, 120_000)
    const cpu = (await listener.cpu()) + (await dialer.cpu()) - before
    await dialer.call("closeAll", undefined, 120_000)
    return { seconds: (seconds * 1000) / count, cpu: cpu / 1000 / count }
  },
  sides: {
    listener: async (system, { count }) => {
      const node = await system.start({ listen: true, peers: count, onRequest: ({ text }) => ({ text }) })
      return { address: () => node.address }
    },
    dialer: async (system, { address, count }) => {
      const { closeAll, connectAll } = await dialers(system, { address, count })
      return {
        connectAll: async () => {
          const begun = performance.now()
          await connectAll(concurrency, payloadOf(100))
          return (performance.now() - begun) / 1000
        },
        closeAll
      }
    }
  }
}
