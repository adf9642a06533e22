/** Nodes that lose each other, or leave. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Handler from "../../Handler.js"
import type { Definition } from "./Bench.js"
import { becomes, connect, connected, node, parted, Said, statusOf, stoppable } from "./Nodes.js"

const group = "nodes part"

export const parting: ReadonlyArray<Definition> = [
  {
    level: "nodes",
    group,
    name: "where their link breaks: each is dead to the other",
    body: (bench) =>
      Effect.gen(function* () {
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        b.tap.cut()
        yield* becomes(bench, a, b, "dead")
        yield* becomes(bench, b, a, "dead")
        yield* parted(bench, a, b)
      })
  },
  {
    level: "nodes",
    group,
    name: "for a while only: a link that broke is dialed again",
    body: (bench) =>
      Effect.gen(function* () {
        const b = yield* node(bench, "node-b")
        const a = yield* node(bench, "node-a", { bootstrap: [b.address], retryBase: "50 millis" })
        yield* connected(bench, a, b)
        a.tap.cut()
        yield* bench.until(
          "another link is dialed",
          () => a.tap.opened() > 1,
          () => `${a.tap.opened()} were`
        )
        yield* connected(bench, a, b)
      })
  },
  {
    level: "nodes",
    group,
    name: "where one is silent for heartbeatTimeout, and not before",
    body: (bench) =>
      Effect.gen(function* () {
        const beating = { heartbeatInterval: "100 millis", heartbeatTimeout: "800 millis" } as const
        const [a, b] = [yield* node(bench, "node-a", beating), yield* node(bench, "node-b", beating)]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        yield* Effect.sleep("1200 millis")
        const seen = `${yield* statusOf(a, b)}, ${yield* statusOf(b, a)}`
        yield* bench.same("heartbeats keep an idle link alive", seen, "connected, connected")
        a.tap.deafen()
        yield* becomes(bench, a, b, "suspect")
        yield* becomes(bench, a, b, "dead")
        yield* becomes(bench, b, a, "dead")
      })
  },
  {
    level: "nodes",
    group,
    name: "on purpose: a peer disconnected is shown as such at both ends",
    body: (bench) =>
      Effect.gen(function* () {
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        yield* bench.doing("disconnecting ends", a.network.disconnect(b.id))
        yield* becomes(bench, a, b, "disconnected")
        yield* becomes(bench, b, a, "disconnected")
        yield* parted(bench, a, b)
        yield* connect(bench, b, a)
        yield* connected(bench, a, b)
      })
  },
  {
    level: "nodes",
    group,
    name: "where one stops: all it was given is sent first, and it has left, which is not dead",
    body: (bench) =>
      Effect.gen(function* () {
        const said: Array<number> = []
        const handlers = [Handler.make(Said, ({ payload }) => Effect.sync(() => said.push(payload.n)))]
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b", { handlers })]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        const messages = Array.from({ length: 200 }, (_, n) => ({ n, text: "x".repeat(1_000) }))
        yield* a.network.sendMessages(b.id, Said, messages)
        yield* bench.doing("stopping ends within its grace", a.network.stop)
        yield* becomes(bench, b, a, "left")
        yield* bench.until(
          "all that was sent before arrives",
          () => said.length >= messages.length,
          () => `${said.length} of ${messages.length} came`
        )
        yield* parted(bench, a, b)
        yield* bench.doing("starting again ends", a.network.start)
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
      })
  },
  {
    level: "nodes",
    group,
    name: "for good with their scope: no link and no listener is left",
    body: (bench) =>
      Effect.gen(function* () {
        const nodes = yield* Effect.forEach(["node-a", "node-b", "node-c"], (name) => stoppable(bench, name))
        const [a, b, c] = nodes.map((one) => one.node)
        if (a === undefined || b === undefined || c === undefined) return
        yield* connect(bench, a, b)
        yield* connect(bench, b, c)
        yield* connected(bench, a, b)
        yield* connected(bench, b, c)
        yield* Effect.forEach(nodes, ({ close }) => close(Exit.void), { concurrency: 3, discard: true })
        yield* parted(bench, a, b, c)
        for (const one of nodes) {
          const { address } = one.node
          const dialed = yield* Effect.either(bench.dial(address))
          const tag = dialed._tag === "Right" ? "it gave a link" : dialed.left._tag
          yield* bench.same("dialing a node that is gone is refused", tag, "DialRefused")
          yield* bench.transport.listen(address, () => {})
        }
      })
  }
]
