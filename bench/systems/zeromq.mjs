import { messaging } from "../lib/envelope.mjs"
import { requestLoops, sendLoop } from "../lib/loops.mjs"

/**
 * So long a send waits to be told of room before it looks for itself, ms. On a socket that waits to receive as well,
 * zeromq 6.8 can fail to tell: after some sends it asks the socket what there is to read, and where the news of room comes
 * in with the answer, a send that has begun to wait never hears of it.
 */
const sendTimeout = 10

/** One send at a time, as a socket of ZeroMQ wants it; gives a promise where the caller has to wait for room. */
const queueTo = (socket) => {
  const queued = []
  let draining
  const drain = async () => {
    for (let message = queued.shift(); message !== undefined;) {
      try {
        await socket.send(message)
        message = queued.shift()
      } catch (error) {
        // Still no room when the time to wait was over: once more.
        if (error.code !== "EAGAIN") throw error
      }
    }
    draining = undefined
  }
  return (message) => {
    queued.push(message)
    draining ??= drain()
    return queued.length > 64 ? draining : undefined
  }
}

/** @type {import("../lib/types.js").System} */
export default {
  name: "zeromq",
  about:
    "a DEALER at each node that dials, a ROUTER at the one that listens; broadcasts by PUB (waiting for room) and SUB; no identity, no liveness",
  packages: ["zeromq"],
  start: async (options) => {
    const { Context, Dealer, Publisher, Router, Subscriber } = await import("zeromq")
    const context = new Context({ maxSockets: 20_000, ioThreads: 1 })
    const messages = messaging(options)
    const known = new Set()
    let router
    let publisher
    if (options.listen) {
      router = new Router({ context, backlog: 4096 })
      publisher = new Publisher({ context, noDrop: true, backlog: 4096 })
      await router.bind("tcp://127.0.0.1:*")
      await publisher.bind("tcp://127.0.0.1:*")
      const answer = queueTo(router)
      const serve = async () => {
        for await (const [from, body] of router) {
          known.add(from.toString("latin1"))
          messages.receive(body.toString(), (json) => answer([from, json]))
        }
      }
      serve().catch(() => undefined)
    }
    return {
      address: router === undefined ? undefined : `${router.lastEndpoint} ${publisher.lastEndpoint}`,
      connected: () => known.size,
      connect: async (address) => {
        const [requests, broadcasts] = address.split(" ")
        const dealer = new Dealer({ context, linger: 0, sendTimeout })
        dealer.connect(requests)
        const write = queueTo(dealer)
        const read = async () => {
          for await (const [body] of dealer) messages.receive(body.toString(), write)
        }
        read().catch(() => undefined)
        let subscriber
        if (options.onMessage !== undefined) {
          subscriber = new Subscriber({ context, linger: 0 })
          subscriber.connect(broadcasts)
          subscriber.subscribe()
          const listen = async () => {
            for await (const [body] of subscriber) messages.receive(body.toString())
          }
          listen().catch(() => undefined)
          // That a subscription has arrived is not told.
          await new Promise((resolve) => setTimeout(resolve, 300))
        }
        const request = (payload) => messages.request(payload, write)
        return {
          stream: sendLoop((payload) => write(messages.envelope.note(payload))),
          request,
          requests: requestLoops(request),
          close: async () => {
            dealer.close()
            subscriber?.close()
          }
        }
      },
      broadcast: async (next) => {
        for (let payload = next(); payload !== undefined; payload = next()) {
          // Where there is no room, `noDrop` says so instead of waiting.
          const json = messages.envelope.note(payload)
          for (;;) {
            try {
              await publisher.send(json)
              break
            } catch (error) {
              if (error.code !== "EAGAIN") throw error
              await new Promise((resolve) => setImmediate(resolve))
            }
          }
        }
      },
      close: async () => {
        router?.close()
        publisher?.close()
      }
    }
  }
}
