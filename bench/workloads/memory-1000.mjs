import { idle } from "../lib/idle.mjs"

export default idle({ count: 1000, beside: 2.6 })
