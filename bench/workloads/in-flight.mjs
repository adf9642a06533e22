import { requestRound, requestSetup, requestSides } from "../lib/requests.mjs"

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "in-flight",
  title: "Requests, 64 in flight",
  about: "One node keeps 64 requests of 100 B in flight to another, which answers with the same.",
  metrics: [
    { key: "rate", title: "requests/s", better: "higher", bars: { synapse: { ratio: 0.5 } } },
    { key: "cpu", title: "CPU µs/request", better: "lower" },
    { key: "p99", title: "p99 ms", better: "lower" }
  ],
  warmup: 2.5,
  leadIn: 0.4,
  setup: requestSetup,
  round: ({ seconds }, pair) => requestRound(pair, { seconds, bytes: 100, concurrency: 64 }),
  sides: requestSides
}
