import { idle } from "../lib/idle.mjs"

export default idle({ count: 5000, beside: 6, systems: ["raw", "synapse"] })
