/** @type {import("../lib/types.js").System} */
export default {
  name: "synapse-tls",
  about:
    "the same over TLS 1.3, with identities proven at both ends and broadcasts signed, as nodes do by default (a node that passes one on checks it, which those here do not)",
  packages: [],
  encrypted: true,
  connects: 200,
  start: async (options) => {
    const { startNode } = await import("../lib/synapse.mjs")
    return startNode({ encryption: "tls" })(options)
  }
}
