import { oneWay } from "../lib/oneWay.mjs"

export default oneWay({
  name: "one-way-100",
  bytes: 100,
  bars: { synapse: { ratio: 0.6 }, "synapse-batch": { ratio: 0.85 } },
  cpuBars: { synapse: { ratio: 1.7 }, "synapse-batch": { ratio: 1.25 } }
})
