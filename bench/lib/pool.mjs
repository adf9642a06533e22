/** Runs it for all of them, so many at a time. */
export const atOnce = async (items, concurrency, doing) => {
  const waiting = items[Symbol.iterator]()
  const worker = async () => {
    for (const item of waiting) await doing(item)
  }
  await Promise.all(Array.from({ length: concurrency }, worker))
}

/** Asks until the answer is yes; fails after a minute. */
export const until = async (what, isSo) => {
  const end = performance.now() + 60_000
  while (!(await isSo())) {
    if (performance.now() > end) throw new Error(`not within a minute: ${what}`)
    await new Promise((resolve) => setTimeout(resolve, 5))
  }
}

/** Many nodes in one process that dial one: the dialing ends of many connections. */
export const dialers = async (system, { address, count = 0, options = {} }) => {
  const nodes = []
  const peers = []
  const make = async (some) => {
    await atOnce(Array.from({ length: some }).keys(), 16, async () => {
      nodes.push(await system.start(options))
    })
  }
  await make(count)
  return {
    nodes,
    peers,
    make,
    /** All that are not connected yet: connected, and answered if `ask` is given. */
    connectAll: async (concurrency, ask) => {
      await atOnce(nodes.slice(peers.length), concurrency, async (node) => {
        const peer = await node.connect(address)
        if (ask !== undefined) await peer.request(ask)
        peers.push(peer)
      })
    },
    closeAll: () => atOnce(peers.splice(0), 50, (peer) => peer.close())
  }
}
