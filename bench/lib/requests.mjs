/** One node asks another, which answers with the same payload. */
import { requestsFor } from "./payload.mjs"
import { quantile } from "./stats.mjs"

export const requestSetup = async ({ start }) => {
  const answerer = await start("answerer")
  const asker = await start("asker", { address: await answerer.call("address") })
  return { answerer, asker }
}

export const requestRound = async ({ answerer, asker }, args) => {
  const before = (await answerer.cpu()) + (await asker.cpu())
  const result = await asker.call("ask", args, 60_000 + args.seconds * 1000)
  const cpu = (await answerer.cpu()) + (await asker.cpu()) - before
  return { ...result, cpu: cpu / result.answers }
}

export const requestSides = {
  answerer: async (system) => {
    const node = await system.start({ listen: true, onRequest: ({ text }) => ({ text }) })
    return { address: () => node.address }
  },
  asker: async (system, { address }) => {
    const node = await system.start({})
    const peer = await node.connect(address)
    return {
      ask: async ({ bytes, concurrency, seconds }) => {
        const times = []
        const begun = performance.now()
        await peer.requests(requestsFor(seconds, bytes), concurrency, (ms) => times.push(ms))
        const ms = performance.now() - begun
        return {
          answers: times.length,
          rate: times.length / (ms / 1000),
          p50: quantile(times, 0.5),
          p99: quantile(times, 0.99)
        }
      }
    }
  }
}
