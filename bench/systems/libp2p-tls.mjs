/** @type {import("../lib/types.js").System} */
export default {
  name: "libp2p-tls",
  about: "js-libp2p over TCP, TLS 1.3 and yamux; one stream between two nodes, each message with its length before it",
  packages: ["libp2p", "@libp2p/tcp", "@libp2p/tls", "@chainsafe/libp2p-yamux"],
  encrypted: true,
  node: 22,
  connects: 200,
  start: async (options) => {
    const { startLibp2p } = await import("../lib/libp2p.mjs")
    const { tls } = await import("@libp2p/tls")
    return startLibp2p(() => tls())(options)
  }
}
