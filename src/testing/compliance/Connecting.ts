/** Nodes that find each other, or refuse each other. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { ConnectError } from "../../NetworkError.js"
import type { Bench, Definition } from "./Bench.js"
import { connect, connected, node, parted, Said, statusOf } from "./Nodes.js"
import { text } from "./Sample.js"
import * as Handler from "../../Handler.js"

const group = "nodes connect"

/** The connect fails with that error. */
const failsWith = <A>(bench: Bench, tag: ConnectError["_tag"], attempt: Effect.Effect<A, ConnectError>) =>
  Effect.gen(function* () {
    const result = yield* bench.doing("connecting to a node succeeds or fails", Effect.either(attempt))
    const promised = `connecting fails with ${tag}`
    if (Either.isRight(result)) return yield* bench.check(promised, false, "it succeeded")
    yield* bench.check(promised, result.left._tag === tag, result.left)
  })

export const connecting: ReadonlyArray<Definition> = [
  {
    level: "nodes",
    group,
    name: "with a handshake, after which each knows the other",
    body: (bench) =>
      Effect.gen(function* () {
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        const peer = yield* connect(bench, a, b)
        yield* bench.same("the peer is the node that was dialed", peer.id, b.id)
        yield* bench.same("and it is seen where it was dialed", String(peer.address), String(b.address))
        yield* connected(bench, a, b)
        const [seen] = yield* b.network.peers()
        yield* bench.same("the node dialed sees who came", `${seen?.id} ${seen?.direction}`, `${a.id} inbound`)
        yield* bench.same("and where it listens", seen?.addresses.join(", "), String(a.address))
      })
  },
  {
    level: "nodes",
    group,
    name: "once: connecting again, from either side, gives the connection there is",
    body: (bench) =>
      Effect.gen(function* () {
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        yield* connect(bench, a, b)
        yield* connect(bench, b, a)
        yield* bench.same("there is one link for the two", `${a.tap.opened()} and ${b.tap.opened()}`, "1 and 1")
      })
  },
  {
    level: "nodes",
    group,
    name: "over one connection, where both dial at once",
    body: (bench) =>
      Effect.gen(function* () {
        for (let round = 1; round <= 5; round++) {
          const got: Array<string> = []
          const handlers = [Handler.make(Said, ({ payload }) => Effect.sync(() => got.push(payload.text)))]
          const a = yield* node(bench, `node-a${round}`, { handlers })
          const b = yield* node(bench, `node-b${round}`, { handlers })
          yield* Effect.all([connect(bench, a, b), connect(bench, b, a)], { concurrency: 2 })
          yield* bench.until(
            "one link is left of two dialed at once",
            () => a.tap.open() === 1 && b.tap.open() === 1,
            () => `${a.tap.open()} and ${b.tap.open()} are open`
          )
          yield* connected(bench, a, b)
          yield* a.network.sendMessage(b.id, Said, { n: 1, text: "there" })
          yield* b.network.sendMessage(a.id, Said, { n: 1, text: "back" })
          yield* bench.until(
            "it carries messages both ways",
            () => got.length >= 2,
            () => got.join(", ")
          )
        }
      })
  },
  {
    level: "nodes",
    group,
    name: "to all there are, from one address",
    body: (bench) =>
      Effect.gen(function* () {
        const discovering = { targetPeers: 8, discoveryInterval: "100 millis" } as const
        const first = yield* node(bench, "node-0", discovering)
        const others = yield* Effect.forEach([1, 2, 3, 4], (n) =>
          node(bench, `node-${n}`, { ...discovering, bootstrap: [first.address] })
        )
        yield* Effect.forEach(
          [first, ...others],
          (one) =>
            bench.eventually(
              `${one.id} finds the 4 others`,
              Effect.map(one.network.peers({ status: "connected" }), (peers) => peers.map(({ id }) => id)),
              (ids) => ids.length === 4
            ),
          { discard: true }
        )
      })
  },
  {
    level: "nodes",
    group,
    name: "to none where nobody listens",
    body: (bench) =>
      Effect.gen(function* () {
        const a = yield* node(bench, "node-a")
        const { address } = yield* Effect.scoped(bench.listen())
        yield* failsWith(bench, "DialRefused", a.network.connect(address, { retryFor: 0 }))
      })
  },
  {
    level: "nodes",
    group,
    name: "to none of another network",
    body: (bench) =>
      Effect.gen(function* () {
        const a = yield* node(bench, "node-a")
        const b = yield* node(bench, "node-b", { network: "another" })
        yield* failsWith(bench, "NetworkMismatch", a.network.connect(b.address, { retryFor: 0 }))
        yield* bench.same("it is no peer", yield* statusOf(a, b), "unknown")
      })
  },
  {
    level: "nodes",
    group,
    name: "not to themselves",
    body: (bench) =>
      Effect.gen(function* () {
        const a = yield* node(bench, "node-a")
        yield* failsWith(bench, "SelfConnection", a.network.connect(a.address, { retryFor: 0 }))
      })
  },
  {
    level: "nodes",
    group,
    name: "to a full one only up to its limit, which those it has do not feel",
    body: (bench) =>
      Effect.gen(function* () {
        const full = yield* node(bench, "node-full", { maxPeers: 1 })
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        yield* connect(bench, a, full)
        yield* connected(bench, a, full)
        yield* failsWith(bench, "TooManyConnections", b.network.connect(full.address, { retryFor: 0 }))
        yield* bench.same("the first peer stays", yield* statusOf(full, a), "connected")
      })
  },
  {
    level: "nodes",
    group,
    name: "not to who accepts and then says nothing, and not for ever",
    body: (bench) =>
      Effect.gen(function* () {
        const a = yield* node(bench, "node-a", { handshakeTimeout: "200 millis" })
        const { address } = yield* bench.listen((link) => link.record({ onEnd: () => link.end() }))
        yield* failsWith(bench, "HandshakeTimeout", a.network.connect(address, { retryFor: 0 }))
        yield* parted(bench, a)
      })
  },
  {
    level: "nodes",
    group,
    name: "not to who talks nonsense, which other peers do not feel",
    body: (bench) =>
      Effect.gen(function* () {
        const [a, b] = [yield* node(bench, "node-a"), yield* node(bench, "node-b")]
        yield* connect(bench, a, b)
        yield* connected(bench, a, b)
        const stranger = yield* bench.dial(a.address)
        const heard = stranger.record({ onEnd: () => stranger.end() })
        stranger.write([text(1, 1_000)], () => {})
        yield* bench.until(
          "a link that carries no frames is closed",
          () => heard.isClosed,
          () => heard
        )
        yield* bench.same(
          "other peers stay",
          `${yield* statusOf(a, b)}, ${yield* statusOf(b, a)}`,
          "connected, connected"
        )
      })
  }
]
