import { assert, describe, it } from "@effect/vitest"
import * as Context from "effect/Context"
import * as Deferred from "effect/Deferred"
import * as Effect from "effect/Effect"
import * as HashMap from "effect/HashMap"
import * as Layer from "effect/Layer"
import * as Option from "effect/Option"
import * as Random from "effect/Random"
import * as Stream from "effect/Stream"
import * as TestClock from "effect/TestClock"
import * as fc from "fast-check"
import * as Discovery from "../src/Discovery.js"
import * as Heartbeat from "../src/Heartbeat.js"
import * as NetworkConfig from "../src/NetworkConfig.js"
import { AddressUnresolved, DialRefused } from "../src/NetworkError.js"
import * as NodeId from "../src/NodeId.js"
import * as NodeIdentity from "../src/NodeIdentity.js"
import * as P2PNetwork from "../src/P2PNetwork.js"
import type { NetworkEvent } from "../src/Peer.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as PeerBook from "../src/PeerBook.js"
import * as MemoryTransport from "../src/testing/MemoryTransport.js"
import { type Link, Transport } from "../src/Transport.js"
import * as Books from "./utils/books.js"
import * as Memory from "./utils/memoryPeer.js"
import { Ask } from "./utils/network.js"

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

const at = (host: string) => PeerAddress.make(host, 9470)
const zero = () => 0

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

  it("dials others beside those that have not answered for long, as far as dials side by side allow", () => {
    const book = ["a", "b", "c"].reduce((state, host) => PeerBook.addBootstrap(state, at(host)), PeerBook.empty)
    const busy = { now: 0, live: new Set<NodeId.NodeId>(), dialing: new Set(["x:1", "y:1"]), target: 2, random: zero }
    const dials = (overdue: number, maxDials: number) =>
      Discovery.plan(book, { ...busy, overdue, maxDials }).dial.length
    assert.deepStrictEqual([dials(0, 8), dials(1, 8), dials(2, 8)], [0, 1, 2])
    assert.deepStrictEqual([dials(2, 3), dials(2, 2)], [1, 0])
  })

  it("dials again what the application asked for whatever the target", () => {
    const id = NodeId.make("wanted")
    const address = PeerAddress.make("wanted", 1)
    const met = PeerBook.connected(
      PeerBook.empty,
      { identity: Books.identity(id, []), direction: "outbound", address, dialed: address, openedAt: 0 },
      0,
      Books.limits
    )
    const lost = (state: PeerBook.State) =>
      PeerBook.ended(
        state,
        id,
        { status: "dead", error: Books.error, failures: 0, avoidFor: 0, redial: { after: 200, giveUpAfter: 600_000 } },
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

describe("plan, of hints", () => {
  const limits = { peers: 4_096, hints: 1_024, hintsPerTeller: 64 }
  const tell = (state: PeerBook.State, teller: string, hosts: ReadonlyArray<string>) =>
    PeerBook.hinted(
      state,
      Books.self,
      NodeId.make(teller),
      hosts.map((host) => ({ id: NodeId.make(host), addresses: [at(host)] })),
      0,
      limits
    )
  const idle = { now: 0, live: new Set<NodeId.NodeId>(), dialing: new Set<string>(), target: 32 }

  it("gives each teller its turn: one that told little is heard among 16 that told as much as they may", () => {
    let state = PeerBook.empty
    for (let liar = 0; liar < 16; liar++) {
      state = tell(
        state,
        `liar-${liar}`,
        Array.from({ length: 64 }, (_, index) => `made-up-${liar}-${index}`)
      )
    }
    state = tell(state, "honest", ["x"])
    fc.assert(
      fc.property(fc.infiniteStream(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })), (numbers) => {
        const random = () => Number(numbers.next().value)
        const { dial } = Discovery.plan(state, { ...idle, maxDials: 17, random })
        assert.strictEqual(dial.length, 17)
        assert.isTrue(dial.some(({ hint }) => hint === "x"))
      }),
      { numRuns: 5 }
    )
  })

  it("dials hints though many more were dialed in vain, and those too: each kind about as often", () => {
    let state = tell(PeerBook.empty, "teller", ["alive"])
    const failure = { error: Books.error, retryAfter: 1, giveUpAfter: 600_000 }
    for (let gone = 0; gone < 16; gone++) state = PeerBook.dialFailed(state, at(`gone-${gone}`), failure, 0)
    let heard = 0
    for (let first = 0; first < 1; first += 0.001) {
      let calls = 0
      const random = () => (calls++ * 0.618 + first) % 1
      const { dial } = Discovery.plan(state, { ...idle, now: 1, target: 1, maxDials: 8, random })
      assert.strictEqual(dial.length, 1)
      if (dial[0]?.hint === "alive") heard++
    }
    assert.isAbove(heard, 300)
    assert.isBelow(heard, 700)
  })

  it("dials no address for a node that is told of where a connected one is", () => {
    const id = NodeId.make("live")
    const state = PeerBook.connected(
      tell(PeerBook.empty, "liar", ["host"]),
      {
        identity: Books.identity(id, [at("host")]),
        direction: "inbound",
        address: at("host"),
        dialed: undefined,
        openedAt: 0
      },
      0,
      limits
    )
    const choose = (book: PeerBook.State) =>
      Discovery.plan(book, { ...idle, live: new Set([id]), maxDials: 8, random: () => 0 })
    assert.deepStrictEqual(choose(state).dial, [])
    assert.strictEqual(choose(tell(PeerBook.empty, "liar", ["host"])).dial.length, 1)
  })
})

const met = (state: PeerBook.State, name: string, host = name) =>
  PeerBook.connected(
    state,
    {
      identity: Books.identity(NodeId.make(name), [at(host)]),
      direction: "inbound",
      address: at(host),
      dialed: undefined,
      openedAt: 0
    },
    0,
    { peers: 1_000, hints: 1_000, hintsPerTeller: 1_000 }
  )

const ended = (state: PeerBook.State, name: string, ending: Partial<PeerBook.Ending> = {}) =>
  PeerBook.ended(
    state,
    NodeId.make(name),
    { status: "dead", error: Books.error, failures: 0, avoidFor: 0, redial: undefined, ...ending },
    0,
    0
  )

const toldOf = (state: PeerBook.State, teller: NodeId.NodeId, name: string) =>
  PeerBook.hinted(state, Books.self, teller, [{ id: NodeId.make(name), addresses: [at(name)] }], 0, Books.limits)

describe("heal", () => {
  const idle = {
    now: 0,
    live: new Set<NodeId.NodeId>(),
    dialing: new Set<string>(),
    target: 1,
    self: Books.self,
    interval: 30_000
  }
  /** Whom it may choose. */
  const choices = (state: PeerBook.State, more: Partial<Parameters<typeof Discovery.heal>[1]> = {}) => {
    const hosts = new Set<string>()
    for (let first = 0; first < 1; first += 0.05) {
      for (let then = 0; then < 1; then += 0.05) {
        let calls = 0
        const random = () => (calls++ % 2 === 0 ? first : then)
        const chosen = Discovery.heal(state, { ...idle, random, ...more })
        if (chosen !== undefined) hosts.add(chosen.address.host)
      }
    }
    return [...hosts].sort()
  }

  it("dials nobody who is connected, being dialed, to be left alone, or not due", () => {
    fc.assert(
      fc.property(Books.book, view, ([book, now], { seed, ...rest }) => {
        const chosen = Discovery.heal(book, { ...idle, ...rest, now, random: () => seed })
        if (chosen === undefined) return
        const { address } = chosen
        const record = recordAt(book, address)
        assert.isFalse(rest.dialing.has(address.toString()))
        assert.isFalse(PeerBook.heldByLive(book).has(address.toString()))
        assert.notStrictEqual(record?.nextAt, Infinity)
        if (record?.error === undefined) assert.isTrue((record?.nextAt ?? 0) <= now)
        const owners = [...HashMap.values(book.peers)].filter(
          ({ avoidUntil, addresses, id }) =>
            !rest.live.has(id) &&
            avoidUntil <= now &&
            addresses.some((other) => other.toString() === address.toString())
        )
        assert.isTrue(record?.isBootstrap === true || owners.length > 0)
        if (rest.live.size < rest.target && record !== undefined) {
          const isLeft = peerOf(book, record.id)?.status === "left"
          const isLate = record.nextAt > now + idle.interval || PeerBook.isGivenUp(record, now)
          assert.isTrue(isLeft || isLate, "the rest is planned")
        }
      }),
      { numRuns: 400 }
    )
  })

  it("dials those that left or were given up once they need not be left alone, but none that the application closed", () => {
    let state = PeerBook.empty
    for (const name of ["given-up", "left", "closed", "banned"]) state = met(state, name)
    state = ended(state, "given-up")
    state = ended(state, "left", { status: "left", avoidFor: 30_000 })
    state = ended(state, "closed", { status: "disconnected", avoidFor: Infinity })
    state = ended(state, "banned", { status: "banned", avoidFor: 300_000 })
    assert.deepStrictEqual(choices(state), ["given-up"])
    assert.deepStrictEqual(choices(state, { now: 30_000 }), ["given-up", "left"])
    assert.deepStrictEqual(choices(state, { now: 300_000 }), ["banned", "given-up", "left"])
  })

  it("dials a bootstrap node that left also below the target, since back-off has ended", () => {
    let state = PeerBook.addBootstrap(PeerBook.empty, at("b"))
    state = ended(met(state, "b"), "b", { status: "left", avoidFor: 30_000 })
    assert.deepStrictEqual(Discovery.plan(state, { ...idle, now: 1e9, maxDials: 8, random: zero }), {
      dial: [],
      nextAt: Infinity
    })
    assert.deepStrictEqual(choices(state, { now: 29_999 }), [])
    assert.deepStrictEqual(choices(state, { now: 30_000 }), ["b"])
  })

  it("leaves below the target to back-off what back-off comes to, and takes it where there are peers enough", () => {
    const lost = ended(met(PeerBook.empty, "b"), "b", { redial: { after: 200, giveUpAfter: 600_000 } })
    assert.deepStrictEqual(choices(lost, { now: 1_000 }), [])
    assert.deepStrictEqual(choices(lost, { now: 1_000, target: 0 }), ["b"])
    const slow = ended(met(PeerBook.empty, "b"), "b", { redial: { after: 60_000, giveUpAfter: 600_000 } })
    assert.deepStrictEqual([choices(slow, { now: 29_999 }), choices(slow, { now: 30_000 })], [["b"], []])
    assert.deepStrictEqual(choices(PeerBook.expired(lost, 600_000), { now: 600_000 }), ["b"])
  })

  it("does not dial for one that is gone where another is now, which may be the same with a new id", () => {
    const gone = ended(met(PeerBook.empty, "old", "host"), "old")
    assert.deepStrictEqual(choices(gone), ["host"])
    assert.deepStrictEqual(choices(met(gone, "new", "host"), { live: new Set([NodeId.make("new")]) }), [])
  })

  it("does not dial what refused for good, nor this node's own address, though peers say that they are there", () => {
    const gone = ended(met(PeerBook.empty, "b"), "b")
    assert.deepStrictEqual(choices(PeerBook.refused(gone, at("b"), Infinity, 0), { now: 1e12 }), [])
    assert.deepStrictEqual(choices(PeerBook.isSelf(gone, at("b")), { now: 1e12 }), [])
    const busy = PeerBook.refused(gone, at("b"), 5_000, 0)
    assert.deepStrictEqual([choices(busy, { now: 4_999 }), choices(busy, { now: 5_000, target: 0 })], [[], ["b"]])
    assert.deepStrictEqual(choices(PeerBook.expired(busy, 5_000), { now: 5_000 }), ["b"])
    const back = ended(met(PeerBook.refused(gone, at("b"), Infinity, 0), "b"), "b")
    assert.deepStrictEqual(choices(back), ["b"], "it came by itself")
  })

  it("dials those kept from an earlier run, and no other hints", () => {
    const state = toldOf(toldOf(PeerBook.empty, Books.self, "kept"), NodeId.make("teller"), "told")
    assert.deepStrictEqual(choices(state), ["kept"])
    assert.strictEqual(Discovery.heal(state, { ...idle, random: () => 0 })?.hint, NodeId.make("kept"))
  })

  it("chooses a bootstrap node every second time, however many others it remembers", () => {
    let state = PeerBook.addBootstrap(PeerBook.empty, at("bootstrap"))
    for (let index = 0; index < 200; index++) state = ended(met(state, `n${index}`), `n${index}`)
    let chosen = 0
    for (let first = 0.005; first < 1; first += 0.01) {
      // One draw for the address of each that is remembered, then the toss.
      let calls = 0
      const random = () => (calls++ === 200 ? first : 0)
      if (Discovery.heal(state, { ...idle, target: 0, random })?.address.host === "bootstrap") chosen++
    }
    assert.strictEqual(chosen, 50)
  })
})

// --- Nodes ---

interface NodeOptions extends Omit<NetworkConfig.Input, "nodeId"> {
  readonly resolve?: Transport["Type"]["resolve"]
  /** Without heartbeats a long time passes quickly. */
  readonly isQuiet?: boolean
  readonly barrier?: Barrier
}

/** A wall across the network, between names that begin differently: links over it break, and dials find nobody. */
const makeBarrier = () => {
  const links = new Set<Link>()
  let isUp = false
  return {
    dial: (from: string, transport: Transport["Type"], address: PeerAddress.PeerAddress) => {
      if (from.charAt(0) === address.host.charAt(0)) return transport.dial(address)
      return isUp
        ? Effect.fail(new DialRefused({ address }))
        : Effect.tap(transport.dial(address), (link) => Effect.sync(() => links.add(link)))
    },
    raise: Effect.sync(() => {
      isUp = true
      for (const link of links) link.destroy()
      links.clear()
    }),
    lower: Effect.sync(() => {
      isUp = false
    })
  }
}

type Barrier = ReturnType<typeof makeBarrier>

/** A node that listens at its name, with its events, its dials and its book. */
const startNode = (name: string, { barrier, isQuiet = false, resolve, ...settings }: NodeOptions = {}) =>
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
              return barrier === undefined ? transport.dial(address) : barrier.dial(name, transport, address)
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

/** The ids that each announcement named. */
const announced = (peer: Memory.MemoryPeer): ReadonlyArray<ReadonlyArray<string>> =>
  peer
    .of("PEER_LIST", "announce")
    .map(({ payload }) => (payload["peers"] as ReadonlyArray<{ readonly id: string }>).map(({ id }) => id))

const isOfLeft = (name: string): boolean => name.startsWith("l")

const hintsOf = (book: PeerBook.State): ReadonlyArray<string> => [...HashMap.keys(book.hints)].sort()

const longAddresses = (name: string) =>
  Array.from({ length: 8 }, (_, index) => ({ host: `${name}.${"h".repeat(240)}`, port: index + 1 }))

/** Four nodes on each side; only one of them knows of the other side to begin with. */
const startHalves = (settings: NodeOptions) =>
  Effect.gen(function* () {
    const barrier = makeBarrier()
    const start = (name: string, bootstrap: string) =>
      startNode(name, { ...settings, barrier, isQuiet: true, bootstrap: [`${bootstrap}:9470`] })
    const left = yield* Effect.forEach(["l0", "l1", "l2", "l3"], (name) => start(name, "l0"))
    const right = yield* Effect.forEach(["r0", "r1", "r2", "r3"], (name) => start(name, name === "r0" ? "l0" : "r0"))
    const nodes = [...left, ...right]
    /** How many nodes can be reached from the first. */
    const reach = Effect.gen(function* () {
      const edges = new Map<string, ReadonlyArray<string>>()
      for (const node of nodes) edges.set(node.network.nodeId, yield* node.connected)
      const reached = new Set(["l0"])
      for (const id of reached) for (const next of edges.get(id) ?? []) reached.add(next)
      return reached.size
    })
    /** Seconds until all are one, at most so many. */
    const untilOne = (limit: number) =>
      Effect.gen(function* () {
        for (let passed = 0; passed <= limit; passed++) {
          if ((yield* reach) === nodes.length) return passed
          yield* seconds(1)
        }
        return Infinity
      })
    return { barrier, nodes, reach, untilOne }
  })

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

  it.scoped("finds the addresses that a name has moved to though it has peers enough", () =>
    Effect.gen(function* () {
      let hosts = ["old"]
      const node = yield* startNode("a", {
        bootstrap: ["name:9470"],
        isQuiet: true,
        targetPeers: 1,
        resolve: (address) => Effect.succeed(hosts.map((host) => PeerAddress.make(host, address.port)))
      })
      yield* meet("a", "inbound")
      assert.deepStrictEqual(yield* node.connected, ["inbound"], "as many as it wants")
      hosts = ["new"]
      yield* startNode("new", { isQuiet: true, healingInterval: "1 hour" })
      yield* Effect.repeatN(seconds(10), 8)
      assert.deepStrictEqual(yield* node.connected, ["inbound", "new"])
      assert.deepStrictEqual([...HashMap.keys(node.book().addresses)], ["new:9470"])
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

  it.scoped("dials up to the target, and heals by a dial and a close at a time without going further", () =>
    Effect.gen(function* () {
      const names = ["b", "c", "d", "e", "f"]
      yield* Effect.forEach(names, (name) =>
        startNode(name, { healingInterval: "1 hour", isQuiet: true, targetPeers: 1 })
      )
      const bootstrap = names.map((name) => `${name}:9470`)
      const node = yield* startNode("a", { bootstrap, isQuiet: true, targetPeers: 2 })
      const opened = () => node.events.filter(({ _tag }) => _tag === "PeerConnected").length
      const closed = () =>
        node.events.filter((event) => event._tag === "PeerDisconnected" && event.error._tag === "Disconnected").length
      yield* seconds(23)
      assert.deepStrictEqual([node.dials.length, opened(), closed()], [2, 2, 0], "before the first healing")
      for (let round = 1; round <= 5; round++) {
        yield* seconds(40)
        assert.strictEqual((yield* node.connected).length, 2)
        assert.deepStrictEqual([opened(), closed()], [node.dials.length, node.dials.length - 2])
        assert.isAtLeast(closed(), round)
      }
      assert.isAtMost(closed(), 9, "in 223 seconds")
    }).pipe(inMemory)
  )

  it.scoped("asks at once after a handshake, and again in rounds; takes an answer only where it asked", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { maxHints: 10, targetPeers: 1 })
      const peer = yield* meet("a", "peer")
      assert.deepStrictEqual(
        peer.of("PEER_LIST", "request").map(({ payload }) => payload),
        [{ kind: "request", limit: 8 }]
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
      const node = yield* startNode("a", { isQuiet: true, healingInterval: "2 hours" })
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

  it.scoped("dials one that shakes hands and is gone again ever less often, and at once when it had come to stay", () =>
    Effect.gen(function* () {
      let stays = false
      let latest: Memory.MemoryPeer | undefined
      yield* Memory.listen("b", (peer) => {
        latest = peer
        Memory.welcome()(peer)
        const { onMessage } = peer
        peer.onMessage = (message) => {
          onMessage(message)
          // It is past its handshake when the node asks whom it knows.
          if (message.type === "PEER_LIST" && !stays) peer.link.destroy()
        }
      })
      const node = yield* startNode("a", { bootstrap: ["b:9470"], isQuiet: true })
      yield* Effect.addFinalizer(() => Effect.sync(() => latest?.link.destroy()))
      yield* Effect.repeatN(seconds(30), 19)
      const dials = node.dialsTo("b:9470").map(({ at }) => at)
      const opened = node.events.filter(({ _tag }) => _tag === "PeerConnected").length
      assert.strictEqual(opened, dials.length, "each of them shook hands")
      assert.isAtMost(dials.length, 9 + 600 / 24)
      assert.isAtLeast(dials.length, 9 + 10)
      assert.isAtMost((dials[1] ?? Infinity) - (dials[0] ?? 0), 260)

      stays = true
      yield* seconds(31)
      assert.deepStrictEqual(yield* node.connected, ["b"])
      yield* seconds(15)
      const before = node.dials.length
      latest?.link.destroy()
      yield* seconds(0.3)
      assert.strictEqual(node.dials.length, before + 1, "as after any restart")
      assert.deepStrictEqual(yield* node.connected, ["b"])
    }).pipe(inMemory)
  )

  it.scoped("leaves one alone that closed on purpose for as long as it asks, and one that left for good", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true, healingInterval: "2 hours" })
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

  it.scoped("leaves nothing behind of an address that only the application named and that refused", () =>
    Effect.gen(function* () {
      yield* Memory.listen("stranger", (peer) => peer.refuse("VERSION_MISMATCH"))
      const node = yield* startNode("a", { isQuiet: true })
      const connecting = yield* Effect.fork(Effect.flip(node.network.connect("stranger:9470")))
      yield* settle
      assert.strictEqual((yield* connecting)._tag, "VersionMismatch")
      assert.strictEqual(HashMap.size(node.book().addresses), 0)
      const again = yield* Effect.fork(Effect.flip(node.network.connect("stranger:9470")))
      yield* settle
      yield* again
      assert.strictEqual(node.dials.length, 2)
    }).pipe(inMemory)
  )

  it.scoped("waits for a full node that it healed to as long as that one asks", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true, targetPeers: 1 })
      yield* meet("a", "peer")
      const gone = yield* meet("a", "full")
      gone.refuse("SHUTTING_DOWN")
      yield* Memory.listen("full", (peer) => peer.refuse("TOO_MANY_CONNECTIONS", { retryAfterMs: 200_000 }))
      yield* Effect.repeatN(seconds(30), 13)
      const [first = 0, second = 0, ...more] = node.dialsTo("full:9470").map(({ at }) => at)
      assert.isAtLeast(second - first, 200_000)
      assert.isAtMost(second - first, 250_000)
      assert.deepStrictEqual(more, [])
    }).pipe(inMemory)
  )

  // --- Healing ---

  it.scoped("heals to one of those that a full node tells of when it says so", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true, targetPeers: 1 })
      yield* meet("a", "inbound")
      const gone = yield* meet("a", "full")
      gone.refuse("SHUTTING_DOWN")
      yield* Memory.listen("full", (peer) =>
        peer.refuse("TOO_MANY_CONNECTIONS", { retryAfterMs: 200_000, peers: [entry("elsewhere")] })
      )
      yield* Memory.listen("elsewhere", Memory.welcome())
      yield* seconds(75)
      assert.deepStrictEqual(yield* node.connected, ["elsewhere", "inbound"])
      assert.strictEqual(node.dialsTo("full:9470").length, 1)
    }).pipe(inMemory)
  )

  for (const [what, minutes, targetPeers, maxPeers] of [
    ["below their target", 2, 32, 256],
    ["at their target", 2, 2, 256],
    ["without a place more than their target", 2, 3, 3],
    ["after all was given up, at their target", 12, 2, 256],
    ["after all was given up, below their target", 12, 32, 256]
  ] as const) {
    it.scoped(`makes halves that lost each other one again within two healing intervals: ${what}`, () =>
      Effect.gen(function* () {
        const { barrier, nodes, reach, untilOne } = yield* startHalves({ maxPeers, targetPeers, retryMax: "2 minutes" })
        // That all know of each other takes as long as all have been connected in turn.
        assert.isAtMost(yield* untilOne(60), 60)
        yield* seconds(60)
        yield* barrier.raise
        yield* Effect.repeatN(seconds(30), 2 * minutes - 1)
        assert.isAtMost(yield* reach, 4, "cut apart")
        const counts = yield* Effect.forEach(nodes, (node) => Effect.map(node.connected, ({ length }) => length))
        const full = counts.filter((count) => count >= Math.min(targetPeers, maxPeers - 1, 3))
        // One that made room for a healing dial has left another node short for a while.
        assert.isAtLeast(full.length, maxPeers > 8 ? 8 : 6)
        if (minutes > 10) {
          const crossing = nodes.flatMap((node) =>
            [...HashMap.values(node.book().addresses)].filter(
              ({ address, isBootstrap }) => !isBootstrap && isOfLeft(address.host) !== isOfLeft(node.network.nodeId)
            )
          )
          assert.deepStrictEqual(crossing, [], "given up")
        }
        yield* barrier.lower
        assert.isAtMost(yield* untilOne(60), 60)
        // By a seed: where no place is to spare, a course in many takes longer.
      }).pipe(inMemory, Effect.withRandom(Random.make(1)))
    )
  }

  for (const bootstrap of [[], ["b:9470"]]) {
    const what = bootstrap.length === 0 ? "a node" : "a bootstrap node"
    it.scoped(`dials ${what} that left neither soon nor by back-off, but finds it again by healing`, () =>
      Effect.gen(function* () {
        const node = yield* startNode("a", { bootstrap, isQuiet: true })
        const teller = yield* meet("a", "teller")
        const b = yield* meet("a", "b")
        const before = node.dials.length
        const leftAt = yield* Effect.map(Effect.clock, (clock) => clock.unsafeCurrentTimeMillis())
        b.refuse("SHUTTING_DOWN")
        yield* settle
        teller.say("PEER_LIST", { kind: "announce", peers: [entry("b")] })
        yield* settle
        assert.deepStrictEqual(hintsOf(node.book()), [], "hints about it are ignored")
        yield* seconds(29)
        assert.strictEqual(node.dials.length, before)
        yield* Effect.repeatN(seconds(60), 14)
        const dials = node.dials.slice(before).map(({ at }) => at)
        assert.isAtLeast(dials[0] ?? 0, leftAt + 30_000)
        assert.isTrue(dials.slice(1).every((at, index) => at - (dials[index] ?? 0) >= 24_000))
        assert.isAtLeast(dials.length, 22, "as often as it heals")
        assert.strictEqual((yield* node.network.status).peers.left, 1)
        yield* Memory.listen("b", Memory.welcome())
        yield* seconds(40)
        assert.deepStrictEqual(yield* node.connected, ["b", "teller"])
      }).pipe(inMemory)
    )
  }

  it.scoped("takes a node that left at once when it comes by itself", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a", { isQuiet: true })
      const b = yield* meet("a", "b")
      b.refuse("SHUTTING_DOWN")
      yield* settle
      assert.deepStrictEqual(yield* node.connected, [])
      const back = yield* meet("a", "b")
      assert.deepStrictEqual(yield* node.connected, ["b"])
      back.link.destroy()
      yield* seconds(1)
      assert.isAbove(node.dials.length, 0, "and misses it again")
    }).pipe(inMemory)
  )

  it.scoped("closes for what it healed to only what nobody needs, and neither side dials that for a minute", () =>
    Effect.gen(function* () {
      const free = yield* startNode("free", { isQuiet: true })
      const node = yield* startNode("a", {
        bootstrap: ["busy:9470", "served:9470", "free:9470"],
        isQuiet: true,
        targetPeers: 5
      })
      for (const name of ["wanted", "busy"]) yield* Memory.listen(name, Memory.welcome())
      yield* Memory.listen("served", (peer) => {
        Memory.welcome()(peer)
        const { onMessage } = peer
        let isAsked = false
        peer.onMessage = (message) => {
          onMessage(message)
          if (message.type !== "PEER_LIST" || isAsked) return
          isAsked = true
          peer.say("ASK", { question: "?" }, { expectsReply: true })
        }
      })
      const answer = yield* Deferred.make<{ readonly answer: string }>()
      yield* node.network.handle(Ask, () => Deferred.await(answer))
      yield* Effect.addFinalizer(() => Deferred.succeed(answer, { answer: "!" }))
      yield* seconds(1)
      const connecting = yield* Effect.fork(node.network.connect("wanted:9470"))
      yield* settle
      yield* connecting
      yield* meet("a", "inbound")
      const found = yield* meet("a", "found")
      found.link.destroy()
      const asking = yield* Effect.fork(node.network.request("busy", Ask, { question: "?" }, { timeout: "1 hour" }))
      yield* Memory.listen("found", Memory.welcome())
      yield* settle
      assert.deepStrictEqual(yield* node.connected, ["busy", "free", "inbound", "served", "wanted"])
      yield* seconds(37)
      assert.deepStrictEqual(yield* node.connected, ["busy", "found", "inbound", "served", "wanted"])
      const closed = node.events.find((event) => event._tag === "PeerDisconnected")
      assert.strictEqual(closed?._tag === "PeerDisconnected" ? closed.error._tag : undefined, "Disconnected")
      const since = Date.parse(closed?._tag === "PeerDisconnected" ? closed.peer.since : "")
      yield* Effect.repeatN(seconds(10), 8)
      const later = [...node.dialsTo("free:9470").slice(1), ...free.dialsTo("a:9470")].map(({ at }) => at)
      assert.isAbove(later.length, 0, "then it is dialed again")
      assert.isTrue(later.every((at) => at >= since + 60_000))
      yield* seconds(120)
      const connected = yield* node.connected
      for (const id of ["busy", "inbound", "served", "wanted"]) assert.isTrue(connected.some((other) => other === id))
      assert.isNull(asking.unsafePoll())
    }).pipe(inMemory)
  )

  it.scoped("does not dial for one that is gone where a connected one is, and closes nothing", () =>
    Effect.gen(function* () {
      // The one that is gone said to be where the other can be reached too.
      const node = yield* startNode("a", { isQuiet: true, targetPeers: 1 })
      yield* startNode("b", { bootstrap: ["a:9470"], healingInterval: "1 hour", isQuiet: true })
      const connecting = yield* Effect.fork(node.network.connect("b:9470"))
      yield* settle
      yield* connecting
      yield* meet("a", "inbound")
      const gone = yield* Memory.dial("a:9470", { host: "gone", id: "gone" })
      gone.hello({ listen: [{ host: "b", port: 9470 }] })
      yield* settle
      gone.refuse("SHUTTING_DOWN")
      yield* Effect.repeatN(seconds(30), 5)
      assert.deepStrictEqual(yield* node.connected, ["b", "inbound"])
      assert.deepStrictEqual(
        node.events.filter(({ _tag }) => _tag === "PeerDisconnected"),
        []
      )
      assert.isAtMost(node.dialsTo("b:9470").length, 1)
    }).pipe(inMemory)
  )

  // --- Announcements ---

  it.scoped("announces those just connected: gathered, once a second, to eight, to each about others", () =>
    Effect.gen(function* () {
      yield* startNode("a", { isQuiet: true, targetPeers: 1 })
      const old = yield* Effect.forEach(
        Array.from({ length: 12 }, (_, index) => `o${index}`),
        (name) => meet("a", name)
      )
      yield* seconds(5)
      for (const peer of old) peer.received.length = 0
      const fresh = [yield* meet("a", "x"), yield* meet("a", "y"), yield* meet("a", "127.0.0.1", "local")]
      const gone = yield* meet("a", "gone")
      gone.link.destroy()
      yield* seconds(0.9)
      const all = [...old, ...fresh]
      assert.isTrue(
        all.every((peer) => announced(peer).length === 0),
        "gathered"
      )
      yield* seconds(0.2)
      const told = all.filter((peer) => announced(peer).length > 0)
      assert.isAtMost(told.length, 8)
      assert.isAtLeast(told.length, 8 - 1, "one of the new ones may have been chosen, but it is told of the others")
      for (const peer of told) {
        assert.strictEqual(announced(peer).length, 1)
        const expected = ["x", "y"].filter((id) => id !== peer.id)
        assert.deepStrictEqual([...(announced(peer)[0] ?? [])].sort(), expected, "loopback only to loopback")
      }
      yield* seconds(30)
      assert.strictEqual(all.flatMap(announced).length, told.length, "and no more")
      yield* meet("a", "z")
      yield* seconds(1.1)
      assert.isAtMost(all.flatMap(announced).length, told.length + 8)
      assert.isTrue(all.flatMap(announced).slice(told.length).length > 0)
    }).pipe(inMemory)
  )

  it.scoped("hears of a node by an announcement, and dials it", () =>
    Effect.gen(function* () {
      const node = yield* startNode("a")
      yield* startNode("b", { bootstrap: ["a:9470"] })
      yield* seconds(2)
      const late = yield* startNode("late", { bootstrap: ["a:9470"], discoveryInterval: "1 hour" })
      yield* seconds(2)
      assert.deepStrictEqual(yield* late.connected, ["a", "b"])
      assert.deepStrictEqual(yield* node.connected, ["b", "late"])
    }).pipe(inMemory)
  )

  // --- Hints ---

  it.scoped("finds a node by what the honest one says, whatever false addresses others tell first", () =>
    Effect.gen(function* () {
      yield* startNode("x")
      yield* startNode("elsewhere")
      const node = yield* startNode("a", { isQuiet: true, targetPeers: 64 })
      for (let index = 0; index < 3; index++) {
        const liar = yield* meet("a", `liar-${index}`)
        yield* tell(liar, [entry("x", index === 0 ? "elsewhere" : `nowhere-${index}`)])
      }
      const honest = yield* meet("a", "honest")
      yield* tell(honest, [entry("x")])
      yield* seconds(2)
      assert.isTrue((yield* node.connected).some((id) => id === "x"))
    }).pipe(inMemory)
  )

  it.scoped(
    "dials what an honest one tells among those that told as much as they may, and no more for who lies on",
    () =>
      Effect.gen(function* () {
        yield* startNode("x")
        const node = yield* startNode("a", {
          isQuiet: true,
          maxHints: 32,
          maxHintsPerTeller: 8,
          retryBase: "30 seconds"
        })
        for (let liar = 0; liar < 4; liar++) {
          const peer = yield* meet("a", `liar-${liar}`)
          for (let round = 0; round < 5; round++) {
            peer.say("PEER_LIST", {
              kind: "announce",
              peers: Array.from({ length: 20 }, (_, index) =>
                entry(`${liar}-${index}`, `nowhere-${liar}-${index}-${round}`)
              )
            })
            yield* settle
          }
        }
        assert.strictEqual(hintsOf(node.book()).length, 32)
        assert.isAtMost(node.dials.length, 32)
        yield* tell(yield* meet("a", "honest"), [entry("x")])
        yield* seconds(2)
        assert.isTrue((yield* node.connected).some((id) => id === "x"))
      }).pipe(inMemory)
  )
})
