import { growth } from "../lib/growth.mjs"
import { broadcastRound, hubSetup, hubSides } from "../lib/hub.mjs"

/** All of them send to the one: messages, and its processor time. */
const gatherRound = async ({ hub, others }, seconds, count) => {
  await hub.call("expect", count)
  const before = await hub.cpu()
  const arrival = hub.call("all", undefined, 120_000)
  arrival.catch(() => undefined)
  const sent = await Promise.all(others.map((side) => side.call("send", { seconds, bytes: 100 }, 120_000)))
  const { received } = await arrival
  const due = sent.reduce((sum, some) => sum + some.sent, 0)
  if (received !== due) throw new Error(`${due} were sent, ${received} arrived`)
  return { messages: received, cpu: (await hub.cpu()) - before }
}

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "growth-peers",
  title: "Growth with the number of peers",
  about:
    "One node with so many others connected, which only speak the protocol, in one process. Processor time of the one for each delivery of a 1 KiB broadcast, and for each message of 100 B that it gets while all of them send at once.",
  metrics: [
    { key: "broadcast", title: "CPU µs/delivery", better: "lower" },
    { key: "gather", title: "CPU µs/msg received", better: "lower" }
  ],
  systems: ["raw", "synapse"],
  points: [1, 10, 50, 200, 1000],
  pointTitle: "peers",
  seconds: 0.25,
  warmup: 1,
  takes: { setup: 1, beside: 0.6 },
  files: 3000,
  setup: (run) => hubSetup(run, { count: run.point, processes: 1, light: true }),
  round: async ({ point, seconds }, state) => {
    const { deliveries, hubCpu } = await broadcastRound(state, seconds, 1024)
    const { cpu, messages } = await gatherRound(state, seconds, point)
    return { broadcast: hubCpu / deliveries, gather: cpu / messages }
  },
  verdicts: (rows) =>
    growth(
      rows,
      [
        { key: "broadcast", title: "processor time of a broadcast", whole: (per, peers) => per * peers },
        { key: "gather", title: "processor time of a message from each", whole: (per, peers) => per * peers }
      ],
      10
    ),
  sides: hubSides
}
