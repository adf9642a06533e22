/** @type {import("../lib/types.js").System} */
export default {
  name: "synapse",
  about: "this library over plain TCP: `sendMessage` and `request`, payloads checked by their Schema at both ends",
  packages: [],
  start: async (options) => {
    const { startNode } = await import("../lib/synapse.mjs")
    return startNode()(options)
  }
}
