import { oneWay } from "../lib/oneWay.mjs"

export default oneWay({
  name: "one-way-1k",
  bytes: 1024,
  bars: { synapse: { ratio: 0.7 }, "synapse-tls": { ratio: 0.7, to: "synapse" } }
})
