import { payloadOf } from "../lib/payload.mjs"

const interval = 20

/** Seconds that as many pings take as the library reports on; they may go out half an interval late. */
const least = (128 * interval * 1.5) / 1000

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "heartbeat",
  title: "Heartbeats on a saturated link",
  about: `One node sends 64 KiB messages to another as fast as that one takes them; meanwhile both ping each other every ${interval} ms. The p99 of the last 128 round trips, as the library itself reports them.`,
  metrics: [
    {
      key: "p99",
      title: "p99 ms, pings of the sender",
      better: "lower",
      absolute: true,
      bars: { synapse: { value: 20 } }
    },
    { key: "other", title: "p99 ms, pings of the receiver", better: "lower", absolute: true },
    { key: "megabytes", title: "MB/s", better: "higher", absolute: true }
  ],
  systems: ["synapse"],
  seconds: 4,
  setup: async ({ start }) => {
    const receiver = await start("receiver")
    const sender = await start("sender", { address: await receiver.call("address") })
    return { receiver, sender }
  },
  round: async ({ seconds }, { receiver, sender }) => {
    const { megabytes, p99 } = await sender.call("saturate", { seconds: Math.max(seconds, least) })
    return { p99, megabytes, other: await receiver.call("p99") }
  },
  sides: {
    receiver: async (system) => {
      const node = await system.start({ listen: true, heartbeat: interval, onMessage: () => undefined })
      return { address: () => node.address, p99: async () => (await node.roundTrip())?.p99Ms }
    },
    sender: async (system, { address }) => {
      const node = await system.start({ heartbeat: interval })
      const peer = await node.connect(address)
      return {
        saturate: async ({ seconds }) => {
          const { text } = payloadOf(65_536)
          const begun = performance.now()
          const end = begun + seconds * 1000
          let sent = 0
          await peer.stream(() => {
            if (performance.now() >= end) return undefined
            sent++
            return { text }
          })
          const passed = (performance.now() - begun) / 1000
          const { p99Ms } = (await node.roundTrip()) ?? {}
          return { p99: p99Ms, megabytes: (sent * text.length) / passed / 1e6 }
        }
      }
    }
  }
}
