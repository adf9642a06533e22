/** What a connection costs that nobody uses. */
import { payloadOf } from "./payload.mjs"
import { dialers } from "./pool.mjs"

/** Connections made before the first measurement, so that what is made once is there. */
const before = 50

/**
 * @param {{ count: number, beside: number, systems?: ReadonlyArray<string> }} options
 * @returns {import("./types.js").Workload}
 */
export const idle = ({ beside, count, systems }) => ({
  name: `memory-${count}`,
  title: `Memory per idle connection, ${count.toLocaleString("en-US")} of them`,
  about: `A node of which nothing is switched off, in a process of its own, is dialed ${count.toLocaleString("en-US")} times (after ${before} that do not count); each connection is used once and then rests. What the process has more, resident (RSS, without V8's young generation, which grows by chance) and in use on the heap, both after three full collections, over the connections made. A new process for each round.`,
  metrics: [
    { key: "rss", title: "KiB", better: "lower", bars: { synapse: { value: 30 } } },
    { key: "heap", title: "KiB of heap", better: "lower" }
  ],
  ...(systems === undefined ? {} : { systems }),
  rounds: 5,
  seconds: 0,
  warmup: 0,
  takes: { setup: 0, beside },
  files: count + 1000,
  setup: async () => undefined,
  round: async ({ note, quick, start, system }) => {
    const some = Math.min(quick ? 200 : count, 2 * (system.connects ?? count))
    if (some < count) note(`${system.name}: ${some} connections`)
    const listener = await start("listener", { count: some + before })
    const dialer = await start("dialer", { address: await listener.call("address") })
    try {
      await dialer.call("connect", before)
      const empty = await listener.memory()
      await dialer.call("connect", some, 180_000)
      const full = await listener.memory()
      const per = (key) => (full[key] - empty[key]) / some / 1024
      return { rss: per("rss"), heap: per("heap") }
    } finally {
      await dialer.stop()
      await listener.stop()
    }
  },
  sides: {
    listener: async (system, { count: peers }) => {
      const node = await system.start({ listen: true, peers, onRequest: ({ text }) => ({ text }) })
      return { address: () => node.address }
    },
    dialer: async (system, { address }) => {
      const { connectAll, make } = await dialers(system, { address, options: { light: true } })
      return {
        connect: async (some) => {
          await make(some)
          await connectAll(50, payloadOf(100))
        }
      }
    }
  }
})
