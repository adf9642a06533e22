import { until } from "../lib/pool.mjs"

const processes = 5

const sum = (values) => values.reduce((total, value) => total + value, 0)

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "discovery",
  title: "50 nodes find each other",
  about: `50 nodes in ${processes} processes, each of which is told of the first alone and wants to be connected to all: the time until every one is connected to the 49 others, and all that was sent by then. New nodes for each round.`,
  metrics: [
    { key: "seconds", title: "s", better: "lower", absolute: true },
    { key: "kib", title: "KiB sent per node", better: "lower", absolute: true },
    { key: "cpu", title: "CPU ms per node", better: "lower", absolute: true }
  ],
  systems: ["synapse"],
  seconds: 0,
  warmup: 0,
  takes: { setup: 0, beside: 8 },
  setup: async () => undefined,
  round: async ({ quick, start }) => {
    const count = quick ? 20 : 50
    const each = count / processes
    const sides = []
    for (let i = 0; i < processes; i++) sides.push(await start("nodes", { count, each }))
    try {
      // What starting costs is not counted; a first node of its own is there for all.
      const address = await sides[0].call("first")
      const before = await Promise.all(sides.map((side) => side.cpu()))
      const begun = performance.now()
      await Promise.all(sides.map((side, i) => side.call("find", { address, some: i === 0 ? each - 1 : each })))
      const seconds = (performance.now() - begun) / 1000
      const cpu = (await Promise.all(sides.map((side) => side.cpu()))).map((after, i) => after - before[i])
      const bytes = await Promise.all(sides.map((side) => side.call("bytesSent")))
      return { seconds, kib: sum(bytes) / count / 1024, cpu: sum(cpu) / count / 1000 }
    } finally {
      for (const side of sides) await side.stop()
    }
  },
  sides: {
    nodes: async (system, { count }) => {
      const nodes = []
      const options = { listen: true, peers: 2 * count, target: count }
      return {
        first: async () => {
          nodes.push(await system.start(options))
          return nodes[0].address
        },
        find: async ({ address, some }) => {
          for (let i = 0; i < some; i++) nodes.push(await system.start({ ...options, bootstrap: [address] }))
          for (const node of nodes) await until("all connected", async () => (await node.connected()) >= count - 1)
        },
        bytesSent: async () => {
          let bytes = 0
          for (const node of nodes) bytes += await node.bytesSent()
          return bytes
        }
      }
    }
  }
}
