/** @type {import("../lib/types.js").System} */
export default {
  name: "libp2p-plaintext",
  about:
    "js-libp2p over TCP, plaintext and yamux; one stream between two nodes, each message with its length before it",
  packages: ["libp2p", "@libp2p/tcp", "@libp2p/plaintext", "@chainsafe/libp2p-yamux"],
  only: ["one-way-100", "latency", "connect"],
  node: 22,
  connects: 200,
  start: async (options) => {
    const { startLibp2p } = await import("../lib/libp2p.mjs")
    const { plaintext } = await import("@libp2p/plaintext")
    return startLibp2p(() => plaintext())(options)
  }
}
