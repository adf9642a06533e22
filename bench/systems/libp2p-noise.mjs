/** @type {import("../lib/types.js").System} */
export default {
  name: "libp2p-noise",
  about: "js-libp2p over TCP, noise and yamux; one stream between two nodes, each message with its length before it",
  packages: ["libp2p", "@libp2p/tcp", "@chainsafe/libp2p-noise", "@chainsafe/libp2p-yamux"],
  encrypted: true,
  node: 22,
  connects: 200,
  start: async (options) => {
    const { startLibp2p } = await import("../lib/libp2p.mjs")
    const { noise } = await import("@chainsafe/libp2p-noise")
    return startLibp2p(() => noise())(options)
  }
}
