import { growth } from "../lib/growth.mjs"
import { oneWayRound, oneWaySetup, oneWaySides } from "../lib/oneWay.mjs"

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "growth-size",
  title: "Growth with the size of messages",
  about:
    "One node sends messages to another as fast as that one takes them; the payload's JSON is that long. The longest is what fits a frame of 1 MiB with its envelope.",
  metrics: [
    { key: "cpu", title: "CPU µs/msg", better: "lower" },
    { key: "rate", title: "msg/s", better: "higher" },
    { key: "megabytes", title: "MB/s", better: "higher", absolute: true }
  ],
  systems: ["raw", "synapse"],
  points: [16, 256, 4096, 65_536, 262_144, 1_048_064],
  pointTitle: "bytes",
  seconds: 0.4,
  warmup: 1,
  setup: oneWaySetup,
  round: async ({ point, seconds }, pair) => {
    const { cpu, messages, ms } = await oneWayRound(pair, seconds, point)
    const rate = messages / (ms / 1000)
    return { cpu: cpu / messages, rate, megabytes: (rate * point) / 1e6 }
  },
  verdicts: (rows) => growth(rows, [{ key: "cpu", title: "processor time of a message", whole: (per) => per }], 4096),
  sides: oneWaySides
}
