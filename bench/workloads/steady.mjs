import { now } from "../lib/payload.mjs"
import { quantile } from "../lib/stats.mjs"

const perSecond = 1000

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "steady",
  title: "Latency at 1,000 messages a second",
  about:
    "One node sends 1,000 messages of 100 B a second to another: from the send to the handler, by the clock that both processes share.",
  metrics: [
    { key: "p50", title: "p50 ms", better: "lower" },
    { key: "p99", title: "p99 ms", better: "lower", bars: { synapse: { value: 5 } } },
    { key: "cpu", title: "CPU µs/msg", better: "lower" }
  ],
  seconds: 1,
  setup: async ({ start }) => {
    const receiver = await start("receiver")
    const sender = await start("sender", { address: await receiver.call("address") })
    return { receiver, sender }
  },
  round: async ({ seconds }, { receiver, sender }) => {
    const count = Math.round(perSecond * seconds)
    const before = (await receiver.cpu()) + (await sender.cpu())
    const arrival = receiver.call("times", count)
    arrival.catch(() => undefined)
    await sender.call("send", count)
    const times = await arrival
    const cpu = (await receiver.cpu()) + (await sender.cpu()) - before
    return { p50: quantile(times, 0.5), p99: quantile(times, 0.99), cpu: cpu / count }
  },
  sides: {
    receiver: async (system) => {
      let times = []
      let wanted = Number.POSITIVE_INFINITY
      let tell
      const check = () => {
        if (times.length < wanted) return
        tell(times)
        times = []
        wanted = Number.POSITIVE_INFINITY
      }
      const onMessage = ({ text }) => {
        times.push(now() - Number.parseFloat(text))
        check()
      }
      const node = await system.start({ listen: true, onMessage })
      return {
        address: () => node.address,
        times: (count) =>
          new Promise((resolve) => {
            tell = resolve
            wanted = count
            check()
          })
      }
    },
    sender: async (system, { address }) => {
      const node = await system.start({})
      const peer = await node.connect(address)
      return {
        send: async (count) => {
          const begun = now()
          let sent = 0
          const next = () => {
            if (sent >= Math.min(count, ((now() - begun) * perSecond) / 1000)) return undefined
            sent++
            return { text: String(now()).padEnd(89) }
          }
          const rest = () => count - sent
          while (rest() > 0) {
            await peer.stream(next)
            await new Promise((resolve) => setTimeout(resolve, 1))
          }
        }
      }
    }
  }
}
