import { idle } from "../lib/idle.mjs"

export default idle({ count: 5000, rounds: 3, systems: ["raw", "synapse", "ws"] })
