import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import * as Discovery from "../src/Discovery.js"
import * as Heartbeat from "../src/Heartbeat.js"
import * as NetworkConfig from "../src/NetworkConfig.js"
import { AddressUnresolved } from "../src/NetworkError.js"
import * as NodeId from "../src/NodeId.js"
import * as NodeIdentity from "../src/NodeIdentity.js"
import * as P2PNetwork from "../src/P2PNetwork.js"
import type { NetworkEvent } from "../src/Peer.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as PeerBook from "../src/PeerBook.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import { Transport } from "../src/Transport.js"
import * as Books from "./utils/books.js"
import * as Memory from "./utils/memoryPeer.js"

// --- The choice ---

const view = fc.record({
  live: fc.uniqueArray(Books.id).map((ids) => new Set(ids)),
  dialing: fc.uniqueArray(Books.address, { maxLength: 4 }).map((addresses) => new Set(addresses.map(String))),
  target: fc.integer({ min: 1, max: 8 }),
  maxDials: fc.integer({ min: 1, max: 6 }),
  seed: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
})

const recordAt = (book: PeerBook.State, address: PeerAddress.PeerAddress) =>
  Option.getOrUndefined(HashMap.get(book.addresses, address.toString()))
const peerOf = (book: PeerBook.State, id: NodeId.NodeId | undefined) =>
  id === undefined ? undefined : Option.getOrUndefined(HashMap.get(book.peers, id))

const later = (state: PeerBook.State, host: string, wait: number) =>
  PeerBook.dialFailed(
    PeerBook.addBootstrap(state, PeerAddress.make(host, 1)),
    PeerAddress.make(host, 1),
    { error: Books.error, retryAfter: wait, giveUpAfter: 1 },
    0
  )

describe("plan", () => {
  it("dials nobody who is live, being dialed, to be left alone, not due, or given up", () => {
    fc.assert(
      fc.property(Books.book, view, ([book, now], { seed, ...rest }) => {
        const { dial } = Discovery.plan(book, { ...rest, now, random: () => seed })
        const keys = dial.map(({ address }) => address.toString())
        assert.strictEqual(new Set(keys).size, keys.length, "no address twice")
        const ids = dial.flatMap(({ address, hint }) => hint ?? recordAt(book, address)?.id ?? [])
        assert.strictEqual(new Set(ids).size, ids.length, "no node twice")
        for (const id of ids) {
          assert.isFalse(rest.live.has(id))
          assert.isAtMost(peerOf(book, id)?.avoidUntil ?? 0, now)
        }
        for (const { address, hint } of dial) {
          assert.isFalse(rest.dialing.has(address.toString()))
          const record = recordAt(book, address)
          if (hint !== undefined) {
            assert.isUndefined(record, "an address that was tried waits for its time")
            assert.isTrue(HashMap.has(book.hints, hint))
          } else {
            assert.isAtMost(record?.nextAt ?? Infinity, now)
            assert.isFalse(record !== undefined && PeerBook.isGivenUp(record, now))
          }
        }
      }),
      { numRuns: 400 }
    )
  })

  it("dials no more than the target and the dials side by side allow, but for those that were asked for", () => {
    fc.assert(
      fc.property(Books.book, view, ([book, now], { seed, ...rest }) => {
        const { dial } = Discovery.plan(book, { ...rest, now, random: () => seed })
        const asked = dial.filter(({ address }) => peerOf(book, recordAt(book, address)?.id)?.isRequested === true)
        const room = Math.max(0, Math.min(rest.target - rest.live.size, rest.maxDials) - rest.dialing.size)
        assert.isAtMost(dial.length - asked.length, room)
        assert.isAtMost(dial.length, Math.max(0, rest.maxDials - rest.dialing.size))
      }),
      { numRuns: 400 }
    )
  })

  it("thinks again when the earliest is due", () => {
    fc.assert(
      fc.property(Books.book, view, ([book, now], { seed, ...rest }) => {
        const { dial, nextAt } = Discovery.plan(book, { ...rest, now, random: () => seed })
        assert.isAbove(nextAt, now)
        if (dial.length > 0 || nextAt === Infinity) return
        const before = Discovery.plan(book, { ...rest, now: nextAt - 0.5, random: () => seed })
        assert.deepStrictEqual(before.dial, [], "nothing is due before")
        assert.strictEqual(before.nextAt, nextAt)
      }),
      { numRuns: 400 }
    )
    const book = later(later(later(PeerBook.empty, "a", 300), "b", 200), "c", Infinity)
    const quiet = {
      live: new Set<NodeId.NodeId>(),
      dialing: new Set<string>(),
      target: 8,
      maxDials: 8,
      random: () => 0
    }
    assert.deepStrictEqual(Discovery.plan(book, { ...quiet, now: 100 }), { dial: [], nextAt: 200 })
    const due = Discovery.plan(book, { ...quiet, now: 200 })
    assert.deepStrictEqual([due.dial.map(({ address }) => address.host), due.nextAt], [["b"], 300])
    assert.strictEqual(Discovery.plan(PeerBook.empty, { ...quiet, now: 0 }).nextAt, Infinity)
  })

  it("dials again what the application asked for whatever the target", () => {
    const id = NodeId.make("wanted")
    const address = PeerAddress.make("wanted", 1)
    const met = PeerBook.connected(
      PeerBook.empty,
      { identity: Books.identity(id, []), direction: "outbound", address, dialed: address },
      0,
      Books.limits
    )
    const lost = (state: PeerBook.State) =>
      PeerBook.ended(
        state,
        id,
        { status: "dead", error: Books.error, avoidFor: 0, redial: { after: 200, giveUpAfter: 600_000 } },
        0,
        0
      )
    const full = { live: new Set(Books.ids), dialing: new Set<string>(), target: 2, maxDials: 1, random: () => 0 }
    assert.strictEqual(Discovery.plan(lost(PeerBook.requested(met, id)), { ...full, now: 200 }).dial.length, 1)
    assert.strictEqual(Discovery.plan(lost(PeerBook.requested(met, id)), { ...full, now: 100 }).dial.length, 0)
    assert.strictEqual(Discovery.plan(lost(met), { ...full, now: 200 }).dial.length, 0)
    const busy = { ...full, dialing: new Set(["x:1"]), now: 200 }
    assert.strictEqual(Discovery.plan(lost(PeerBook.requested(met, id)), busy).dial.length, 0)
  })
})

// --- Nodes ---

interface NodeOptions extends Omit<NetworkConfig.Input, "nodeId"> {
  readonly resolve?: Transport["Type"]["resolve"]
  /** Without heartbeats a long time passes quickly. */
  readonly isQuiet?: boolean
}

/** A node that listens at its name, with its events, its dials and its book. */
const startNode = (name: string, { isQuiet = false, resolve, ...settings }: NodeOptions = {}) =>
  Effect.gen(function* () {
    const memory = yield* MemoryTransport.MemoryNetwork
    const clock = yield* Effect.clock
    const transport = memory.transport(settings.host ?? name)
    const dials: Array<{ readonly to: string; readonly at: number }> = []
    const events: Array<NetworkEvent> = []
    const config = NetworkConfig.layer({ host: name, ...settings, nodeId: name })
    const heartbeat = isQuiet
      ? Layer.succeed(Heartbeat.Heartbeat, { run: Effect.never, period: Infinity })
      : Layer.empty
    const parts = Layer.merge(P2PNetwork.layerParts, heartbeat).pipe(
      Layer.provide(
        Layer.succeed(Transport, {
          listen: transport.listen,
          dial: (address) =>
            Effect.suspend(() => {
              dials.push({ to: address.toString(), at: clock.unsafeCurrentTimeMillis() })
              return transport.dial(address)
            }),
          resolve: resolve ?? transport.resolve
        })
      ),
      Layer.provide(NodeIdentity.layer),
      Layer.provideMerge(config)
    )
    const context = yield* Layer.build(
      Layer.fresh(P2PNetwork.layerFromParts({ autoStart: false }).pipe(Layer.provideMerge(parts)))
    )
    const network = Context.get(context, P2PNetwork.P2PNetwork)
    yield* Effect.forkScoped(Stream.runForEach(network.events, (event) => Effect.sync(() => events.push(event))))
    yield* TestClock.adjust(0)
    yield* network.start
    yield* TestClock.adjust(0)
    const connected = Effect.map(network.peers({ status: "connected" }), (peers) => peers.map(({ id }) => id).sort())
    return {
      network,
      events,
      dials,
      dialsTo: (to: string) => dials.filter((dial) => dial.to === to),
      book: () => Context.get(context, PeerBook.PeerBook).get(),
      connected
    }
  })

const inMemory = <A, E, R>(body: Effect.Effect<A, E, R>) => Effect.provide(body, MemoryTransport.layerNetwork)

const seconds = (count: number) => TestClock.adjust(count * 1_000)
const settle = Effect.repeatN(TestClock.adjust(0), 3)

/** A peer that dialed the node from its own host, where it says to listen, and shook hands. */
const meet = (node: string, host: string, id = host) =>
  Effect.gen(function* () {
    const peer = yield* Memory.dial(`${node}:9470`, { host, id })
    peer.answersPings = true
    peer.hello({ listen: [{ host, port: 9470 }] })
    yield* settle
    return peer
  })

const entry = (id: string, host = id, port = 9470) => ({ id, addresses: [{ host, port }] })

/** Answers the node's latest question. */
const tell = (
  peer: Memory.MemoryPeer,
  peers: ReadonlyArray<unknown>,
  replyTo = peer.of("PEER_LIST", "request").at(-1)?.id
) => {
  peer.say("PEER_LIST", { kind: "response", peers }, replyTo === undefined ? {} : { replyTo })
  return settle
}

const hintsOf = (book: PeerBook.State): ReadonlyArray<string> => [...HashMap.keys(book.hints)].sort()

const longAddresses = (name: string) =>
  Array.from({ length: 8 }, (_, index) => ({ host: `${name}.${"h".repeat(240)}`, port: index + 1 }))

describe("Discovery", () => {
  it.scoped("dials a bootstrap peer for ever, with back-off and jitter up to the cap", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { bootstrap: ["nobody:9470"], isQuiet: true })
      yield* Effect.repeatN(seconds(60), 59)
      const gaps = node.dials.slice(1).map(({ at }, index) => at - (node.dials[index]?.at ?? 0))
      const expected = [200, 400, 800, 1_600, 3_200, 6_400, 12_800, 25_600]
      for (const [index, full] of expected.entries()) {
        assert.isAtLeast(gaps[index] ?? 0, full * 0.8, `gap ${index}`)
        assert.isAtMost(gaps[index] ?? Infinity, Math.min(30_000, full * 1.2) + 20, `gap ${index}`)
      }
      const capped = gaps.slice(expected.length)
      assert.isTrue(capped.every((gap) => gap >= 24_000 && gap <= 30_020))
      assert.isAtLeast(capped.length, 110)
      assert.isAbove(new Set(capped).size, 10, "with jitter")
      const { counts, dialing } = yield* node.network.status
      assert.strictEqual(counts["dialsFailed"], node.dials.length)
      assert.strictEqual(dialing[0]?.error?._tag, "DialRefused")

      yield* startNode("nobody")
      yield* seconds(30)
      assert.deepStrictEqual(yield* node.connected, ["nobody"], "one that comes later is found")
    }).pipe(inMemory)
  )

  it.scoped("dials all addresses that a name stands for, and no more those that it stands for no longer", () =>
    Effect.gen(function* () {
      let hosts: ReadonlyArray<string> | undefined = undefined
      const node = yield* startNode("a", {
        bootstrap: ["name:9470"],
        resolve: (address) =>
          hosts === undefined
            ? Effect.fail(new AddressUnresolved({ address }))
            : Effect.succeed(hosts.map((host) => PeerAddress.make(host, address.port)))
      })
      yield* seconds(5)
      assert.isAbove(node.dialsTo("name:9470").length, 1, "dialing the name tells what is wrong")
      yield* startNode("b")
      yield* startNode("c")
      hosts = ["b", "c", "gone"]
      yield* seconds(31)
      assert.deepStrictEqual(yield* node.connected, ["b", "c"])
      assert.deepStrictEqual([...HashMap.keys(node.book().addresses)].sort(), ["b:9470", "c:9470", "gone:9470"])
      hosts = ["b", "c"]
      yield* seconds(31)
      assert.deepStrictEqual([...HashMap.keys(node.book().addresses)].sort(), ["b:9470", "c:9470"])
      const before = node.dials.length
      yield* seconds(60)
      assert.strictEqual(node.dials.length, before)
    }).pipe(inMemory)
  )

  it.scoped("waits for no name: the others are dialed while it is looked up", () =>
    Effect.gen(function* () {
      yield* startNode("b")
      const node = yield* startNode("a", {
        bootstrap: ["slow:9470", "b:9470"],
        resolve: (address) => (address.host === "slow" ? Effect.never : Effect.succeed([address]))
      })
      yield* settle
      assert.deepStrictEqual(yield* node.connected, ["b"])
    }).pipe(inMemory)
  )

  it.scoped("makes a full mesh of ten nodes that know one", () =>
    Effect.gen(function* () {
      const names = Array.from({ length: 10 }, (_, index) => `n${index}`)
      const nodes = yield* Effect.forEach(names, (name) => startNode(name, { bootstrap: ["n0:9470"] }))
      yield* Effect.repeatN(seconds(5), 7)
      for (const [index, node] of nodes.entries()) {
        assert.deepStrictEqual(
          yield* node.connected,
          names.filter((_, other) => other !== index)
        )
      }
    }).pipe(inMemory)
  )

  it.scoped("dials up to the target and no further", () =>
    Effect.gen(function* () {
      yield* Effect.forEach(["b", "c", "d", "e", "f"], (name) => startNode(name))
      const node = yield* startNode("a", {
        bootstrap: ["b", "c", "d", "e", "f"].map((name) => `${name}:9470`),
        targetPeers: 2
      })
      yield* seconds(60)
      assert.strictEqual((yield* node.connected).length, 2)
      assert.strictEqual(node.dials.length, 2)
    }).pipe(inMemory)
  )

  it.scoped("asks at once after a handshake, and again in rounds; takes an answer only where it asked", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { maxHints: 10, targetPeers: 1 })
      const peer = yield* meet("a", "peer")
      assert.deepStrictEqual(
        peer.of("PEER_LIST", "request").map(({ payload }) => payload),
        [{ kind: "request", limit: 32 }]
      )
      peer.say("PEER_LIST", { kind: "response", peers: [entry("unasked")] })
      peer.say("PEER_LIST", { kind: "response", peers: [entry("unasked")] }, { replyTo: "m-unknown" })
      yield* settle
      assert.deepStrictEqual(hintsOf(node.book()), [])
      yield* tell(peer, [entry("told")])
      yield* tell(peer, [entry("twice")])
      assert.deepStrictEqual(hintsOf(node.book()), ["told"])
      assert.strictEqual((yield* node.network.status).counts["repliesDropped"], 3)
      peer.say("PEER_LIST", { kind: "announce", peers: [entry("news")] })
      peer.say("PEER_LIST", { kind: "later" })
      yield* settle
      assert.deepStrictEqual(hintsOf(node.book()), ["news", "told"])
      yield* seconds(70)
      assert.approximately(peer.of("PEER_LIST", "request").length, 7.5, 1.5)
      // Of many questions only the last few may still be answered.
      const early = peer.of("PEER_LIST", "request")[1]?.id
      yield* tell(peer, [entry("too-late")], early)
      assert.notInclude(hintsOf(node.book()), "too-late")
      peer.say("PEER_LIST", { kind: "request", limit: -1 })
      yield* settle
      assert.strictEqual(peer.of("ERROR")[0]?.payload["code"], "INVALID_MESSAGE")
      assert.strictEqual(node.dials.length, 0, "the target is reached")
    }).pipe(inMemory)
  )

  it.scoped("believes no lies: bad entries are skipped, and hints are bounded in all and per teller", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { maxHints: 10, maxHintsPerTeller: 4, targetPeers: 1 })
      const liar = yield* meet("a", "liar")
      yield* tell(liar, [
        entry("a"),
        entry("no id!"),
        entry("zero", "x", 0),
        entry("any", "0.0.0.0"),
        entry("mapped", "::ffff:0.0.0.0"),
        entry("empty", ""),
        { id: "none", addresses: [] },
        { id: "nothing" },
        null,
        7,
        entry("liar"),
        ...Array.from({ length: 5_000 }, (_, index) => entry(`made-up-${index}`, "h", 1 + index))
      ])
      assert.strictEqual(hintsOf(node.book()).length, 4)
      assert.isTrue(hintsOf(node.book()).every((id) => id.startsWith("made-up-")))
      for (const name of ["liar-2", "liar-3", "liar-4"]) {
        const other = yield* meet("a", name)
        yield* tell(
          other,
          Array.from({ length: 50 }, (_, index) => entry(`${name}-${index}`))
        )
      }
      assert.strictEqual(hintsOf(node.book()).length, 10)
      assert.deepStrictEqual(liar.of("ERROR"), [])
      assert.strictEqual((yield* node.network.peers()).length, 4, "hearsay is not shown as known")
    }).pipe(inMemory)
  )

  it.scoped("passes on who it shook hands with, to whom it may, and no more than asked for or can be taken", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { targetPeers: 1 })
      const asker = yield* meet("a", "asker")
      for (const name of ["b", "c", "d", "e"]) yield* meet("a", name)
      yield* tell(asker, [entry("hearsay")])
      const left = yield* meet("a", "left")
      left.refuse("SHUTTING_DOWN")
      const dead = yield* meet("a", "dead")
      dead.link.destroy()
      const local = yield* meet("a", "127.0.0.1", "local")
      yield* settle
      const ask = (peer: Memory.MemoryPeer, limit: number) =>
        Effect.gen(function* () {
          const id = peer.say("PEER_LIST", { kind: "request", limit })
          yield* settle
          const answer = peer.of("PEER_LIST", "response").find(({ replyTo }) => replyTo === id)
          return (answer?.payload["peers"] ?? []) as ReadonlyArray<{ readonly id: string; readonly lastSeen: string }>
        })
      const told = yield* ask(asker, 1_000_000)
      assert.deepStrictEqual(told.map(({ id }) => id).sort(), ["b", "c", "d", "e"])
      assert.isTrue(told.every(({ lastSeen }) => /^\d{4}-.*Z$/.test(lastSeen)))
      assert.strictEqual((yield* ask(asker, 2)).length, 2)
      assert.strictEqual((yield* ask(asker, 0)).length, 0)
      assert.deepStrictEqual((yield* ask(local, 99)).map(({ id }) => id).sort(), ["asker", "b", "c", "d", "e"])
      const other = yield* meet("a", "127.0.0.2", "other")
      assert.include(
        (yield* ask(other, 99)).map(({ id }) => id),
        "local"
      )
      assert.strictEqual((yield* node.network.status).peers.left, 1)
    }).pipe(inMemory)
  )

  it.scoped("cuts a list to what its receiver takes", () =>
    Effect.gen(function* () {
      yield* startNode("a", { targetPeers: 1 })
      for (let index = 0; index < 60; index++) {
        const peer = yield* Memory.dial("a:9470")
        peer.hello({ listen: longAddresses(`p${index}`) })
      }
      const asker = yield* Memory.dial("a:9470")
      asker.hello({ maxMessageBytes: 65_536 })
      yield* settle
      asker.say("PEER_LIST", { kind: "request", limit: 256 })
      yield* settle
      const answer = asker.of("PEER_LIST", "response")[0]
      const bytes = Buffer.byteLength(JSON.stringify(answer))
      assert.isAtMost(bytes, 65_536)
      assert.isAtLeast(bytes, 60_000)
    }).pipe(inMemory)
  )

  it.scoped("dials a lost peer again by back-off, and gives it up after 10 minutes", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true })
      const peer = yield* meet("a", "b")
      peer.link.destroy()
      yield* settle
      yield* Effect.repeatN(seconds(60), 14)
      const dials = node.dialsTo("b:9470").map(({ at }) => at)
      assert.isAtMost(dials[0] ?? Infinity, 260)
      assert.isAtLeast(dials.length, 25)
      assert.isAtMost(dials.at(-1) ?? Infinity, 600_500)
      assert.isAtLeast(dials.at(-1) ?? 0, 560_000)
      assert.strictEqual(HashMap.size(node.book().addresses), 0)
      assert.strictEqual((yield* node.network.status).peers.dead, 1)
      // Told of again, it is dialed again.
      const teller = yield* meet("a", "teller")
      yield* startNode("b")
      yield* tell(teller, [entry("b")])
      assert.isTrue((yield* node.connected).some((id) => id === "b"))
    }).pipe(inMemory)
  )

  it.scoped("leaves one alone that closed on purpose for as long as it asks, and one that left for good", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true })
      const b = yield* meet("a", "b")
      const c = yield* meet("a", "c")
      const d = yield* meet("a", "d")
      b.refuse("DISCONNECTED", { retryAfterMs: 90_000 })
      c.refuse("DISCONNECTED")
      d.refuse("SHUTTING_DOWN")
      yield* settle
      yield* seconds(59)
      assert.deepStrictEqual(node.dials, [])
      yield* seconds(2)
      assert.deepStrictEqual(new Set(node.dials.map(({ to }) => to)), new Set(["c:9470"]))
      yield* seconds(30)
      assert.isAbove(node.dialsTo("b:9470").length, 0)
      yield* Effect.repeatN(seconds(60), 15)
      assert.deepStrictEqual(node.dialsTo("d:9470"), [])
      assert.isAtMost(node.dialsTo("c:9470").at(-1)?.at ?? Infinity, 661_000, "it too is given up after 10 minutes")
      assert.isBelow(node.dials.length, 80)
    }).pipe(inMemory)
  )

  it.scoped("does not dial whom the application disconnected, until it connects or they dial", () =>
    Effect.gen(function* () {
      const b = yield* startNode("b")
      const node = yield* startNode("a", { bootstrap: ["b:9470"] })
      yield* settle
      assert.deepStrictEqual(yield* node.connected, ["b"])
      yield* Effect.fork(node.network.disconnect("b"))
      yield* seconds(50)
      assert.strictEqual(node.dials.length, 1)
      assert.strictEqual((yield* node.network.peers({ status: "disconnected" })).length, 1)
      const connecting = yield* Effect.fork(b.network.connect("a:9470"))
      yield* settle
      yield* connecting
      assert.deepStrictEqual(yield* node.connected, ["b"])
      assert.strictEqual(node.dials.length, 1)
    }).pipe(inMemory)
  )

  for (const code of ["VERSION_MISMATCH", "NETWORK_MISMATCH", "UNAUTHORIZED"]) {
    const refuse = (peer: Memory.MemoryPeer) => peer.refuse(code)

    it.scoped(`dials after ${code} only a bootstrap peer, every healingInterval`, () =>
      Effect.gen(function* () {
        yield* Memory.listen("stranger", refuse)
        yield* Memory.listen("hinted", refuse)
        const node = yield* startNode("a", { bootstrap: ["stranger:9470"], healingInterval: "40 seconds" })
        const teller = yield* meet("a", "teller")
        yield* tell(teller, [entry("hinted")])
        const gone = yield* meet("a", "hinted", "known")
        gone.refuse("DISCONNECTED", { retryAfterMs: 1_000 })
        yield* Effect.repeatN(seconds(10), 20)
        const dials = node.dialsTo("stranger:9470").map(({ at }) => at)
        assert.strictEqual(dials.length, 6)
        assert.isTrue(dials.slice(1).every((at, index) => at - (dials[index] ?? 0) >= 40_000))
        assert.isAtMost(node.dialsTo("hinted:9470").length, 2, "once when told, once when its time was over")
      }).pipe(inMemory)
    )
  }

  it.scoped("never dials again an address at which it met itself", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { bootstrap: ["a:9470"], isQuiet: true })
      yield* Effect.repeatN(seconds(60), 9)
      assert.strictEqual(node.dials.length, 1)
      const liar = yield* meet("a", "liar")
      yield* tell(liar, [entry("another", "a")])
      yield* seconds(60)
      assert.strictEqual(node.dials.length, 1)
      assert.deepStrictEqual(hintsOf(node.book()), [])
    }).pipe(inMemory)
  )

  it.scoped("remembers who answered at an address also where another connection stays", () =>
    Effect.gen(function* () {
      // The peer is known by another address than it says, and refuses dials: of two that crossed, its own stays.
      yield* Memory.listen(
        "alias",
        (peer) => {
          peer.onMessage = () => peer.refuse("DUPLICATE_CONNECTION")
        },
        "b"
      )
      const node = yield* startNode("a")
      yield* meet("a", "b")
      const connecting = yield* startNode("z", { bootstrap: ["alias:9470"], host: "z" })
      yield* meet("z", "b")
      yield* seconds(60)
      assert.isAtMost(connecting.dialsTo("alias:9470").length, 3)
      assert.deepStrictEqual(yield* connecting.connected, ["b"])
      assert.deepStrictEqual(yield* node.connected, ["b"])
    }).pipe(inMemory)
  )

  it.scoped("drops a hint where another node answers, and does not dial it for that again", () =>
    Effect.gen(function* () {
      yield* startNode("b")
      const node = yield* startNode("a")
      const liar = yield* meet("a", "liar")
      yield* tell(liar, [entry("promised", "b")])
      yield* seconds(5)
      assert.isTrue((yield* node.connected).some((id) => id === "b"))
      assert.deepStrictEqual(hintsOf(node.book()), [])
      yield* seconds(60)
      assert.strictEqual(node.dialsTo("b:9470").length, 1)
    }).pipe(inMemory)
  )

  it.scoped("dials its peers again after stop and start", () =>
    Effect.gen(function* () {
      yield* startNode("b", { isQuiet: true })
      const node = yield* startNode("a", { isQuiet: true })
      const connecting = yield* Effect.fork(node.network.connect("b:9470"))
      yield* settle
      yield* connecting
      const stopping = yield* Effect.fork(node.network.stop)
      yield* seconds(10)
      yield* stopping
      assert.deepStrictEqual(yield* node.connected, [])
      yield* seconds(3_600)
      yield* node.network.start
      yield* seconds(1)
      assert.deepStrictEqual(yield* node.connected, ["b"])
    }).pipe(inMemory)
  )
})
