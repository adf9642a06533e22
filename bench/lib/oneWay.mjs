/** One node sends to another as fast as it can. */
import { now, receiving, streamFor } from "./payload.mjs"

const sized = (bytes) => (bytes < 1024 ? `${bytes} B` : `${bytes / 1024} KiB`)

/** @type {import("./types.js").Metric} */
const megabytes = { key: "megabytes", title: "MB/s", better: "higher", absolute: true }

/**
 * @param {{ name: string, bytes: number, bars: import("./types.js").Metric["bars"], cpuBars?: import("./types.js").Metric["bars"] }} options
 * @returns {import("./types.js").Workload}
 */
export const oneWay = ({ bars, bytes, cpuBars, name }) => ({
  name,
  title: `One-way, ${sized(bytes)}`,
  about: `One node sends messages to another as fast as that one takes them; payloads of ${sized(bytes)} of JSON. From the first send to the last delivery; processor time of both processes.`,
  seconds: bytes < 16_384 ? 0.6 : 0.4,
  leadIn: 0.4,
  metrics: [
    { key: "rate", title: "msg/s", better: "higher", bars },
    { key: "cpu", title: "CPU µs/msg", better: "lower", bars: cpuBars },
    ...(bytes >= 65_536 ? [megabytes] : [])
  ],
  setup: oneWaySetup,
  round: async ({ seconds }, pair) => {
    const { cpu, messages, ms } = await oneWayRound(pair, seconds, bytes)
    const rate = messages / (ms / 1000)
    return { rate, cpu: cpu / messages, megabytes: (rate * bytes) / 1e6 }
  },
  sides: oneWaySides
})

/** A pair of processes, connected. */
export const oneWaySetup = async ({ start }) => {
  const receiver = await start("receiver")
  const sender = await start("sender", { address: await receiver.call("address") })
  return { receiver, sender }
}

export const oneWayRound = async ({ receiver, sender }, seconds, bytes) => {
  const before = (await receiver.cpu()) + (await sender.cpu())
  const arrival = receiver.call("all", undefined, 60_000 + seconds * 1000)
  // Where the sender fails, that is what is told.
  arrival.catch(() => undefined)
  const { begun, sent } = await sender.call("send", { seconds, bytes }, 60_000 + seconds * 1000)
  const { at, received } = await arrival
  const cpu = (await receiver.cpu()) + (await sender.cpu()) - before
  if (received !== sent) throw new Error(`${sent} were sent, ${received} arrived`)
  return { messages: received, ms: at - begun, cpu }
}

export const oneWaySides = {
  receiver: async (system) => {
    const { all, onMessage } = receiving()
    const node = await system.start({ listen: true, onMessage })
    return { address: () => node.address, all }
  },
  sender: async (system, { address }) => {
    const node = await system.start({})
    const peer = await node.connect(address)
    return {
      send: async ({ bytes, seconds }) => {
        const begun = now()
        const counter = streamFor(seconds, bytes, bytes >= 16_384 ? 1 : 32)
        await peer.stream(counter.next)
        return { begun, sent: counter.sent }
      }
    }
  }
}
