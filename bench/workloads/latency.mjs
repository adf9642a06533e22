import { requestRound, requestSetup, requestSides } from "../lib/requests.mjs"

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "latency",
  title: "Request and reply, one at a time",
  about: "One node asks another, which answers with the same 100 B; the next request follows the answer.",
  metrics: [
    { key: "p50", title: "p50 µs", better: "lower", bars: { synapse: { ratio: 1.4 } } },
    { key: "p99", title: "p99 µs", better: "lower", bars: { synapse: { ratio: 2 } } },
    { key: "cpu", title: "CPU µs/request", better: "lower" }
  ],
  // As slow as it is, it takes its time until all is compiled.
  warmup: 2.5,
  leadIn: 0.4,
  setup: requestSetup,
  round: async ({ seconds }, pair) => {
    const { cpu, p50, p99 } = await requestRound(pair, { seconds, bytes: 100, concurrency: 1 })
    return { p50: p50 * 1000, p99: p99 * 1000, cpu }
  },
  sides: requestSides
}
