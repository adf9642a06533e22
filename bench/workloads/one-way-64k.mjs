import { oneWay } from "../lib/oneWay.mjs"

export default oneWay({ name: "one-way-64k", bytes: 65_536, bars: { synapse: { ratio: 0.95 } } })
