/** @type {import("../lib/types.js").System} */
export default {
  name: "synapse-batch",
  about: "the same, sending up to 64 messages (256 KiB) with each call of `sendMessages`",
  packages: [],
  only: ["one-way-100", "one-way-1k", "one-way-64k"],
  start: async (options) => {
    const { startNode } = await import("../lib/synapse.mjs")
    return startNode({ batches: true })(options)
  }
}
