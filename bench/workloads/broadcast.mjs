import { broadcastRound, hubSetup, hubSides } from "../lib/hub.mjs"

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "broadcast",
  title: "Broadcast of 1 KiB to 50",
  about:
    "One node sends messages of 1 KiB to 50 others, in two processes, as fast as they take them. A delivery is one message at one node; processor time of all processes.",
  metrics: [
    { key: "rate", title: "deliveries/s", better: "higher", bars: { synapse: { ratio: 0.65 } } },
    { key: "cpu", title: "CPU µs/delivery", better: "lower" }
  ],
  leadIn: 0.3,
  takes: { setup: 0.6, beside: 1.1 },
  setup: (run) => hubSetup(run, { count: 50, processes: 2, light: false }),
  round: async ({ seconds }, state) => {
    const { cpu, deliveries, ms } = await broadcastRound(state, seconds, 1024)
    return { rate: deliveries / (ms / 1000), cpu: cpu / deliveries }
  },
  sides: hubSides
}
