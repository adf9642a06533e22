import { once } from "node:events"
import net from "node:net"
import tls from "node:tls"
import { atOnce } from "../lib/pool.mjs"
import { payloadOf } from "../lib/payload.mjs"
import { quantile } from "../lib/stats.mjs"

const peers = 10
const pause = 20
const connections = 5_000

/** Connections that are being opened at a time. */
const opening = 200

/** So long the attacker waits for answers to the last of its hellos, ms. */
const patience = 2_000

const of = ({ times }, part) => quantile(times, part)

const wait = (ms) => new Promise((resolve) => setTimeout(resolve, ms))

/** The start of a TLS handshake that says that more is to come. */
const beginning = Buffer.from([0x16, 0x03, 0x01, 0x02, 0x00, 0x01, 0x00, 0x01, 0xfc, 0x03, 0x03])

/** What a client says first, all of it: a server has to work for its answer. */
const clientHello = async () => {
  const server = net.createServer()
  server.listen(0, "127.0.0.1")
  await once(server, "listening")
  const { port } = /** @type {net.AddressInfo} */ (server.address())
  const client = tls.connect({ port, host: "127.0.0.1", minVersion: "TLSv1.3", ALPNProtocols: ["synapse/1"] })
  client.on("error", () => undefined)
  const [socket] = await once(server, "connection")
  const [hello] = await once(socket, "data")
  client.destroy()
  socket.destroy()
  server.close()
  return hello
}

/** @type {import("../lib/types.js").Workload} */
export default {
  name: "flood",
  title: "A flood of TLS handshakes",
  about: `${peers} nodes in one process ask another node something every ${pause} ms, while an attacker in a process of its own opens ${connections} connections to that node as fast as it can: first half-open ones, one half silent and the other with a handshake begun, then with a whole ClientHello each, which the node has to answer at some cost. All over TLS, on loopback, where no limit by address holds. Times are those of the honest requests; \`×\` is over those of the same round before the flood.`,
  metrics: [
    { key: "quiet", title: "p50 µs", better: "lower", absolute: true },
    { key: "quiet99", title: "p99 µs", better: "lower", absolute: true },
    { key: "half", title: "p50 ×, half-open", better: "lower", absolute: true, bars: { "synapse-tls": { value: 2 } } },
    { key: "half99", title: "p99 ms, half-open", better: "lower", absolute: true },
    { key: "hello", title: "p50 ×, hellos", better: "lower", absolute: true, bars: { "synapse-tls": { value: 2 } } },
    { key: "hello99", title: "p99 ms, hellos", better: "lower", absolute: true },
    { key: "rate", title: "hellos/s", better: "higher", absolute: true },
    { key: "answered", title: "answered", better: "higher", absolute: true }
  ],
  systems: ["synapse-tls"],
  files: connections + 200,
  seconds: 2,
  takes: { setup: 3, beside: 8 },
  setup: async ({ start }) => {
    const node = await start("node")
    const address = await node.call("address")
    const honest = await start("honest", { address })
    return { honest, attacker: await start("attacker", { address }) }
  },
  round: async ({ seconds }, { attacker, honest }) => {
    const during = async (doing) => {
      await honest.call("begin")
      const done = await doing()
      return { done, times: await honest.call("end") }
    }
    const quiet = await during(() => wait(seconds * 1000))
    const half = await during(() => attacker.call("flood", { hello: false }))
    await attacker.call("leave")
    const hello = await during(() => attacker.call("flood", { hello: true }))
    await attacker.call("leave")
    return {
      quiet: of(quiet, 0.5) * 1000,
      quiet99: of(quiet, 0.99) * 1000,
      half: of(half, 0.5) / of(quiet, 0.5),
      half99: of(half, 0.99),
      hello: of(hello, 0.5) / of(quiet, 0.5),
      hello99: of(hello, 0.99),
      rate: connections / (hello.done.opened / 1000),
      answered: hello.done.answered
    }
  },
  sides: {
    node: async (system) => {
      const node = await system.start({ listen: true, onRequest: ({ text }) => ({ text }) })
      return { address: () => node.address }
    },
    honest: async (system, { address }) => {
      const payload = payloadOf(100)
      let times = []
      const state = { isOver: true }
      let asking = Promise.resolve([])
      const all = await Promise.all(
        Array.from({ length: peers }, async () => (await system.start({})).connect(address))
      )
      const ask = async (peer, index) => {
        await wait((index * pause) / peers)
        while (!state.isOver) {
          const begun = performance.now()
          await peer.request(payload)
          times.push(performance.now() - begun)
          await wait(pause)
        }
      }
      return {
        begin: () => {
          state.isOver = false
          times = []
          asking = Promise.all(all.map(ask))
        },
        end: async () => {
          state.isOver = true
          await asking
          return times
        }
      }
    },
    attacker: async (_, { address }) => {
      const [host, port] = address.split(":")
      const whole = await clientHello()
      const sockets = new Set()
      return {
        flood: async ({ hello }) => {
          const begun = performance.now()
          let answered = 0
          const outcomes = []
          await atOnce(Array.from({ length: connections }).keys(), opening, async (index) => {
            const socket = net.connect(Number(port), host)
            sockets.add(socket)
            socket.on("error", () => undefined)
            const heard = (event) => new Promise((resolve) => socket.once(event, resolve))
            const closed = heard("close").then(() => sockets.delete(socket))
            await Promise.race([heard("connect"), closed])
            if (!hello) return void (index % 2 === 0 && socket.write(beginning))
            const answer = heard("data").then(() => answered++)
            socket.write(whole)
            outcomes.push(Promise.race([answer, closed]))
          })
          const opened = performance.now() - begun
          await Promise.race([Promise.all(outcomes), wait(hello ? patience : 0)])
          return { opened, answered }
        },
        leave: async () => {
          for (const socket of sockets) socket.destroy()
          await wait(200)
        }
      }
    }
  }
}
