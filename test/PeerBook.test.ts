import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import * as fc from "fast-check"
import { isDeepStrictEqual } from "node:util"
import * as PeerIndex from "../src/internal/PeerIndex.js"
import * as NodeId from "../src/NodeId.js"
import * as PeerAddress from "../src/PeerAddress.js"
import * as PeerBook from "../src/PeerBook.js"
import * as Books from "./utils/books.js"

const a = NodeId.make("a")
const b = NodeId.make("b")
const at = (host: string, port = 9470) => PeerAddress.make(host, port)
const lots: PeerBook.Limits = { peers: 1_000, hints: 1_000, hintsPerTeller: 64 }

/** A node that is there now: by default one that was dialed at its host. */
const connected = (
  state: PeerBook.State,
  id: NodeId.NodeId,
  {
    dialed,
    limits = lots,
    listen = [at(id)],
    now = 0,
    seenAt = at(id, 50_000)
  }: {
    readonly dialed?: PeerAddress.PeerAddress
    readonly limits?: PeerBook.Limits
    readonly listen?: ReadonlyArray<PeerAddress.PeerAddress>
    readonly now?: number
    readonly seenAt?: PeerAddress.PeerAddress
  } = {}
): PeerBook.State =>
  PeerBook.connected(
    state,
    {
      identity: Books.identity(id, listen),
      direction: dialed === undefined ? "inbound" : "outbound",
      address: seenAt,
      dialed,
      openedAt: now
    },
    now,
    limits
  )

const redial = { after: 200, giveUpAfter: 600_000 }
const endings = {
  dead: { status: "dead", error: Books.error, failures: 0, avoidFor: 0, redial },
  left: { status: "left", error: Books.error, failures: 0, avoidFor: 30_000, redial: undefined },
  theirs: { status: "disconnected", error: Books.error, failures: 0, avoidFor: 60_000, redial: undefined },
  ours: { status: "disconnected", error: Books.error, failures: 0, avoidFor: Infinity, redial: undefined },
  banned: { status: "banned", error: Books.error, failures: 0, avoidFor: 300_000, redial: undefined }
} as const satisfies Record<string, PeerBook.Ending>

const peer = (state: PeerBook.State, id: NodeId.NodeId) => Option.getOrUndefined(HashMap.get(state.peers, id))
const record = (state: PeerBook.State, address: PeerAddress.PeerAddress) =>
  Option.getOrUndefined(HashMap.get(state.addresses, address.toString()))
/** What is told, with who tells it, of which node. */
const hints = (state: PeerBook.State) =>
  [...HashMap.values(state.hints)].flatMap(({ id, told }) => told.map((telling) => ({ ...telling, id })))
const said = (state: PeerBook.State) => hints(state).map(({ addresses, teller }) => [teller, addresses.map(String)])

/** So many nodes that nobody knows. */
const madeUp = (name: string, count: number) =>
  Array.from({ length: count }, (_, index) => ({
    id: NodeId.make(`${name}-${index}`),
    addresses: [at(`${name}-${index}`)]
  }))

const isLive = ({ status }: PeerBook.PeerRecord) => status === "connected" || status === "suspect"

/** The same content, whatever the order of the maps. */
const content = (state: PeerBook.State) => ({
  peers: Object.fromEntries(state.peers),
  addresses: Object.fromEntries(state.addresses),
  hints: Object.fromEntries(state.hints)
})

/** Whether a step taken twice brings about what it does once. */
const holdsTwice = (state: PeerBook.State, now: number, step: Books.Step): boolean => {
  const once = step(state, now)
  return isDeepStrictEqual(content(step(once, now)), content(once))
}

describe("PeerBook", () => {
  it("stays within its limits, whatever happens", () => {
    fc.assert(
      fc.property(Books.book, ([state, now]) => {
        const gone = [...HashMap.values(state.peers)].filter((one) => !isLive(one))
        assert.isTrue(HashMap.size(state.peers) <= Books.limits.peers || gone.length === 0)
        assert.isAtMost(hints(state).length, Books.limits.hints)
        for (const teller of Books.ids) {
          assert.isAtMost(hints(state).filter((hint) => hint.teller === teller).length, Books.limits.hintsPerTeller)
        }
        for (const hint of hints(state)) {
          assert.isAbove(hint.addresses.length, 0)
          assert.notStrictEqual(hint.id, Books.self)
        }
        for (const one of gone) assert.isAbove(one.addresses.length, 0, "one that cannot be dialed is forgotten")
        const told = PeerBook.expired(state, now)
        for (const one of HashMap.values(told.addresses)) assert.isFalse(PeerBook.isGivenUp(one, now))
      }),
      { numRuns: 300 }
    )
  })

  it("says the same of what is told twice", () => {
    fc.assert(
      fc.property(Books.book, Books.id, Books.address, ([state, now], id, address) => {
        const news = [{ id: NodeId.make("new"), addresses: [address] }]
        const steps: ReadonlyArray<Books.Step> = [
          (book) => PeerBook.addBootstrap(book, address),
          (book) => PeerBook.answered(book, address, id),
          (book) => PeerBook.isSelf(book, address),
          (book) => PeerBook.requested(book, id),
          (book) => PeerBook.suspected(book, id, true, now),
          (book) => PeerBook.dropHint(book, id, address),
          (book) => PeerBook.refused(book, address, Infinity, now),
          (book) => PeerBook.refused(book, address, 1_000, now),
          (book) => PeerBook.dropBootstrap(book, address),
          (book) => PeerBook.expired(book, now),
          (book) => PeerBook.ended(book, id, endings.dead, now, now),
          (book) => PeerBook.ended(book, id, endings.ours, now, now),
          (book) => PeerBook.hinted(book, Books.self, id, news, now, lots)
        ]
        for (const [index, step] of steps.entries()) assert.isTrue(holdsTwice(state, now, step), `step ${index}`)
      }),
      { numRuns: 150 }
    )
  })

  it("passes on nobody but those it may: never the one told, dead, left, banned, or an address that cannot be dialed", () => {
    fc.assert(
      fc.property(Books.book, Books.id, ([state], told) => {
        for (const entry of PeerBook.known(state, told, at("10.0.0.1"))) {
          assert.notStrictEqual(entry.id, told)
          assert.include(["connected", "suspect", "disconnected"], peer(state, entry.id)?.status)
          assert.isAbove(entry.addresses.length, 0)
        }
      })
    )
    const listen = [at("0.0.0.0"), at("::"), at("10.0.0.5", 0), at("10.0.0.5")]
    const state = connected(PeerBook.empty, a, { listen, seenAt: at("10.0.0.5", 50_000) })
    assert.deepStrictEqual(PeerBook.known(state, b, at("10.0.0.6")), [
      { id: a, addresses: [{ host: "10.0.0.5", port: 9470 }] }
    ])
    const many = Array.from({ length: 16 }, (_, index) => at("10.0.0.5", index + 1))
    assert.strictEqual(
      PeerBook.known(connected(PeerBook.empty, a, { listen: many }), b, at("h"))[0]?.addresses.length,
      8
    )
  })

  it("finds by address, by node and by teller what it has", () => {
    fc.assert(
      fc.property(Books.book, ([state]) => {
        const told = hints(state)
        assert.strictEqual(state.index.tellings, told.length)
        for (const id of Books.ids) {
          assert.strictEqual(PeerIndex.toldBy(state.index, id), told.filter(({ teller }) => teller === id).length)
          assert.sameMembers(
            PeerIndex.answeredBy(state.index, id).map(String),
            [...HashMap.values(state.addresses)].filter((one) => one.id === id).map(({ address }) => String(address))
          )
        }
        for (const address of Books.addresses) {
          const there = [...HashMap.values(state.peers)].filter(({ addresses }) =>
            addresses.map(String).includes(String(address))
          )
          assert.sameMembers(
            [...PeerIndex.peersAt(state.index, address)],
            there.map(({ id }) => id)
          )
          const found = PeerBook.nodeAt(state, address)
          const answered = record(state, address)?.id
          if (answered !== undefined) assert.strictEqual(found, answered)
          else if (there.length === 0) assert.isUndefined(found)
          else
            assert.include(
              (there.some(isLive) ? there.filter(isLive) : there).map(({ id }) => id),
              found
            )
        }
      }),
      { numRuns: 300 }
    )
  })

  it("tells, of those that it may tell of, as many as are wanted, each as likely as any other", () => {
    const toldAt = fc.constantFrom("10.0.0.1", "fe80::2", "127.0.0.1").map((host) => at(host))
    const near = fc
      .subarray(["127.0.0.1", "fe80::1", "10.0.0.9", "0.0.0.0"])
      .map((hosts) => hosts.map((host) => at(host)))
    fc.assert(
      fc.property(Books.book, Books.id, near, toldAt, fc.nat(8), ([book], told, listen, seenAt, count) => {
        const state = connected(book, NodeId.make("near"), { listen, seenAt: at("127.0.0.1", 50_000) })
        const all = PeerBook.known(state, told, seenAt)
        const some = PeerBook.someKnown(state, told, seenAt, count, () => 0)
        assert.strictEqual(some.length, Math.min(count, all.length))
        assert.includeDeepMembers([...all], [...some])
        assert.strictEqual(new Set(some.map(({ id }) => id)).size, some.length)
      }),
      { numRuns: 300 }
    )
    const four = ["a", "b", "c", "d"].reduce((state, id) => connected(state, NodeId.make(id)), PeerBook.empty)
    const drawn = [0, 0.25, 0.5, 0.75].map(
      (random) => PeerBook.someKnown(four, NodeId.make("z"), at("h"), 1, () => random)[0]?.id
    )
    assert.sameMembers(drawn, [a, b, NodeId.make("c"), NodeId.make("d")])
  })

  it("passes on addresses of this machine and link only to peers that are seen at such", () => {
    const listen = [at("10.0.0.5"), at("127.0.0.1"), at("fe80::1")]
    const state = connected(PeerBook.empty, a, { listen })
    const hosts = (toldAt: string) =>
      PeerBook.known(state, b, at(toldAt)).flatMap(({ addresses }) => addresses.map(({ host }) => host))
    assert.deepStrictEqual(hosts("10.0.0.6"), ["10.0.0.5"])
    assert.deepStrictEqual(hosts("fe80::2"), ["10.0.0.5", "fe80::1"])
    assert.deepStrictEqual(hosts("127.0.0.1"), ["10.0.0.5", "127.0.0.1", "fe80::1"])
    const local = connected(PeerBook.empty, a, { listen: [at("127.0.0.1")] })
    assert.deepStrictEqual(PeerBook.known(local, b, at("10.0.0.6")), [])
  })

  it("says of a peer not connected when it was last seen", () => {
    const state = PeerBook.ended(connected(PeerBook.empty, a), a, endings.theirs, 0, 1_000)
    assert.strictEqual(PeerBook.known(state, b, at("h"))[0]?.lastSeen, "1970-01-01T00:00:01.000Z")
  })

  it("forgets a peer without an address once it is gone, and the one gone for longest where there are too many", () => {
    const nowhere = connected(PeerBook.empty, a, { listen: [] })
    assert.strictEqual(peer(nowhere, a)?.status, "connected")
    assert.isUndefined(peer(PeerBook.ended(nowhere, a, endings.dead, 0, 0), a))

    let state = PeerBook.empty
    for (const [index, id] of Books.ids.slice(0, 3).entries()) {
      state = connected(state, id)
      state = PeerBook.ended(state, id, endings.dead, index, 10 - index)
    }
    const [first, second, third, next] = Books.ids as [NodeId.NodeId, NodeId.NodeId, NodeId.NodeId, NodeId.NodeId]
    state = connected(state, next, { limits: { ...lots, peers: 3 } })
    assert.deepStrictEqual([...HashMap.keys(state.peers)].sort(), [first, second, next])
    assert.isUndefined(record(state, at(third)), "nor is it dialed any more")
    const full = connected(connected(PeerBook.empty, a), b, { limits: { ...lots, peers: 1 } })
    assert.strictEqual(HashMap.size(full.peers), 2, "live ones stay")
  })

  it("dials a dead peer again at its addresses, until it is given up", () => {
    let state = connected(PeerBook.empty, a, { listen: [at("a"), at("a", 2)] })
    state = PeerBook.ended(state, a, endings.dead, 1_000, 0)
    assert.strictEqual(peer(state, a)?.status, "dead")
    for (const address of [at("a"), at("a", 2)]) {
      assert.deepInclude(record(state, address), { id: a, nextAt: 1_200, giveUpAt: 601_000, attempts: 0 })
    }
    const failure = { error: Books.error, retryAfter: 30_000, giveUpAfter: 600_000 }
    state = PeerBook.dialFailed(state, at("a"), failure, 2_000)
    assert.deepInclude(record(state, at("a")), { nextAt: 32_000, giveUpAt: 601_000, attempts: 1 })
    assert.strictEqual(peer(state, a)?.attempts, 1)
    state = PeerBook.dialFailed(state, at("a"), failure, 580_000)
    assert.isUndefined(record(state, at("a")), "the next attempt would come after the time is over")
    state = PeerBook.expired(state, 601_000)
    assert.isUndefined(record(state, at("a", 2)), "given up too, though it was not dialed")
    assert.strictEqual(peer(state, a)?.status, "dead", "and still known")
  })

  it("dials one that closed on purpose when its time is over, and one that left or was closed here not at all", () => {
    const start = connected(PeerBook.empty, a)
    const theirs = PeerBook.ended(start, a, endings.theirs, 1_000, 0)
    assert.deepInclude(record(theirs, at("a")), { nextAt: 61_000, giveUpAt: 0 })
    assert.isDefined(record(PeerBook.expired(theirs, 1e9), at("a")), "its time begins with the first failure")
    for (const ending of [endings.ours, endings.left, endings.banned]) {
      const state = PeerBook.ended(start, a, ending, 1_000, 0)
      assert.isUndefined(record(state, at("a")), ending.status)
      assert.strictEqual(peer(state, a)?.avoidUntil, 1_000 + ending.avoidFor)
    }
  })

  it("leaves a bootstrap address alone that belongs to a peer closed on purpose, also where that says to listen elsewhere", () => {
    let state = PeerBook.addBootstrap(PeerBook.empty, at("name"))
    state = PeerBook.answered(connected(state, a), at("name"), a)
    const closed = PeerBook.ended(state, a, endings.ours, 1_000, 0)
    assert.deepInclude(record(closed, at("name")), { id: a, nextAt: Infinity, isBootstrap: true })
    const left = PeerBook.ended(state, a, endings.left, 1_000, 0)
    assert.strictEqual(record(left, at("name"))?.nextAt, 31_000)
    const back = connected(closed, a)
    assert.deepInclude(record(back, at("name")), { nextAt: 0, giveUpAt: Infinity, error: undefined })
  })

  it("takes a node's word for addresses of its own host only", () => {
    let state = PeerBook.addBootstrap(PeerBook.empty, at("bootstrap"))
    state = PeerBook.ended(connected(state, b), b, endings.dead, 0, 0)
    state = connected(state, a, { listen: [at("bootstrap"), at("b")] })
    assert.isUndefined(record(state, at("bootstrap"))?.id, "who is at the bootstrap address is still to be found out")
    assert.strictEqual(record(state, at("b"))?.id, b, "and the lost peer is still looked for")
    const long = { ...endings.theirs, avoidFor: 1e12 }
    assert.strictEqual(record(PeerBook.ended(state, a, long, 0, 0), at("bootstrap"))?.nextAt, 0)
    const own = connected(state, a, { listen: [at("bootstrap")], seenAt: at("bootstrap", 50_000) })
    assert.strictEqual(record(own, at("bootstrap"))?.id, a)
  })

  it("keeps a bootstrap address for ever, through failures of any kind", () => {
    fc.assert(
      fc.property(fc.array(fc.constantFrom(0, 200, 30_000, 700_000), { maxLength: 30 }), (waits) => {
        let state = PeerBook.addBootstrap(PeerBook.empty, at("x"))
        let now = 0
        for (const wait of waits) {
          state = PeerBook.dialFailed(state, at("x"), { error: Books.error, retryAfter: wait, giveUpAfter: 1 }, now)
          state = PeerBook.expired(state, now)
          assert.deepInclude(record(state, at("x")), { nextAt: now + wait, giveUpAt: Infinity })
          now += wait
        }
      })
    )
    const state = PeerBook.addBootstrap(PeerBook.empty, at("x"))
    assert.isUndefined(record(PeerBook.dropBootstrap(state, at("x")), at("x")), "until it is one no more")
  })

  it("forgets the hints to an address that is given up, or this node's own, and believes none to its own again", () => {
    const told = [
      { id: a, addresses: [at("x"), at("y")] },
      { id: b, addresses: [at("x")] }
    ]
    const teller = NodeId.make("teller")
    const state = PeerBook.hinted(PeerBook.empty, Books.self, teller, told, 0, lots)
    const never = { error: Books.error, retryAfter: Infinity, giveUpAfter: 600_000 }
    for (const after of [PeerBook.dialFailed(state, at("x"), never, 0), PeerBook.isSelf(state, at("x"))]) {
      assert.deepStrictEqual(
        hints(after).map(({ addresses, id }) => [id, addresses.map(String)]),
        [[a, ["y:9470"]]]
      )
    }
    const own = PeerBook.hinted(PeerBook.isSelf(state, at("x")), Books.self, teller, told, 0, lots)
    assert.isFalse(HashMap.has(own.hints, b))
  })

  it("takes hints about nobody that is connected, to be left alone, or this node itself", () => {
    const teller = NodeId.make("teller")
    const tell = (state: PeerBook.State, id: NodeId.NodeId, now = 0) =>
      hints(PeerBook.hinted(state, Books.self, teller, [{ id, addresses: [at("x")] }], now, lots)).length
    assert.strictEqual(tell(PeerBook.empty, a), 1)
    assert.strictEqual(tell(PeerBook.empty, Books.self), 0)
    const live = connected(PeerBook.empty, a)
    assert.strictEqual(tell(live, a), 0)
    assert.strictEqual(tell(PeerBook.ended(live, a, endings.dead, 0, 0), a), 1)
    assert.strictEqual(tell(PeerBook.ended(live, a, endings.ours, 0, 0), a, 1e12), 0)
    const left = PeerBook.ended(live, a, endings.left, 0, 0)
    assert.deepStrictEqual([tell(left, a, 29_999), tell(left, a, 30_000)], [0, 1])
    assert.strictEqual(
      hints(connected(PeerBook.hinted(PeerBook.empty, Books.self, b, [{ id: a, addresses: [at("x")] }], 0, lots), a))
        .length,
      0
    )
  })

  it("finds the node at an address: where it was met, else the live one of those that say so", () => {
    assert.isUndefined(PeerBook.nodeAt(PeerBook.empty, at("x")))
    const before = PeerBook.ended(connected(PeerBook.empty, a, { listen: [at("x")] }), a, endings.left, 0, 0)
    assert.strictEqual(PeerBook.nodeAt(before, at("x")), a)
    for (const id of [b, NodeId.make("0"), NodeId.make("z")]) {
      assert.strictEqual(PeerBook.nodeAt(connected(before, id, { listen: [at("x")] }), at("x")), id)
    }
    const met = PeerBook.answered(PeerBook.addBootstrap(before, at("x")), at("x"), b)
    assert.strictEqual(PeerBook.nodeAt(met, at("x")), b)
  })

  it("changes nothing about peers that it does not know, or that are not live", () => {
    assert.strictEqual(PeerBook.suspected(PeerBook.empty, a, true, 0), PeerBook.empty)
    assert.strictEqual(PeerBook.requested(PeerBook.empty, a), PeerBook.empty)
    assert.strictEqual(PeerBook.ended(PeerBook.empty, a, endings.dead, 0, 0), PeerBook.empty)
    const dead = PeerBook.ended(connected(PeerBook.empty, a), a, endings.dead, 0, 0)
    assert.strictEqual(PeerBook.suspected(dead, a, false, 0), dead)
  })

  it("remembers that a peer is wanted until it is closed on purpose", () => {
    const wanted = PeerBook.requested(connected(PeerBook.empty, a), a)
    assert.isTrue(peer(PeerBook.ended(wanted, a, endings.dead, 0, 0), a)?.isRequested)
    assert.isTrue(peer(connected(wanted, a), a)?.isRequested)
    assert.isFalse(peer(PeerBook.ended(wanted, a, endings.ours, 0, 0), a)?.isRequested)
  })

  it("keeps away from an address that refused until somebody is met there, and knows of none that nobody named", () => {
    const gone = PeerBook.ended(connected(PeerBook.empty, a), a, { ...endings.dead, redial: undefined }, 0, 0)
    const refused = PeerBook.refused(gone, at("a"), Infinity, 0)
    assert.strictEqual(record(PeerBook.expired(refused, 1e12), at("a"))?.nextAt, Infinity)
    const told = PeerBook.hinted(refused, Books.self, b, [{ id: a, addresses: [at("a")] }], 0, lots)
    assert.deepStrictEqual(hints(told), [], "nor is it believed to be there")
    assert.isUndefined(record(connected(refused, a), at("a")), "until it comes by itself")
    assert.strictEqual(PeerBook.refused(gone, at("unknown"), Infinity, 0), gone)
    const bootstrap = PeerBook.addBootstrap(gone, at("a"))
    assert.strictEqual(PeerBook.refused(bootstrap, at("a"), Infinity, 0), bootstrap)
    const hint = PeerBook.hinted(PeerBook.empty, Books.self, b, [{ id: a, addresses: [at("x")] }], 0, lots)
    assert.deepStrictEqual(hints(PeerBook.refused(hint, at("x"), Infinity, 0)), [])
    const asked = PeerBook.refused(hint, at("x"), 1_000, 0)
    assert.strictEqual(hints(asked).length, 1, "what was only asked to wait is still told of")
    assert.isUndefined(record(PeerBook.expired(asked, 1_000), at("x")))
    assert.strictEqual(hints(PeerBook.expired(asked, 1_000)).length, 1)
    const closed = PeerBook.ended(
      connected(PeerBook.empty, a),
      a,
      { ...endings.dead, avoidFor: 30_000, redial: undefined },
      0,
      0
    )
    assert.strictEqual(record(closed, at("a"))?.nextAt, Infinity, "also where it said so after the handshake")
  })

  it("keeps a bounded number of addresses of nobody known: those tried in vain for longest go, with their hints", () => {
    const failure = { error: Books.error, retryAfter: 30_000, giveUpAfter: 600_000 }
    let state = PeerBook.isSelf(PeerBook.addBootstrap(PeerBook.empty, at("bootstrap")), at("self"))
    state = PeerBook.ended(connected(state, a), a, endings.dead, 0, 0)
    state = PeerBook.hinted(state, Books.self, b, [{ id: NodeId.make("c"), addresses: [at("n0")] }], 0, lots)
    for (let index = 0; index < 1_100; index++) state = PeerBook.dialFailed(state, at(`n${index}`), failure, index)
    assert.strictEqual(HashMap.size(state.addresses), 1024 + 2)
    assert.strictEqual(record(state, at("self"))?.nextAt, Infinity)
    assert.isDefined(record(state, at("a")))
    assert.isDefined(record(state, at("bootstrap")))
    assert.deepStrictEqual([record(state, at("n0")), hints(state)], [undefined, []])
    assert.isDefined(record(state, at("n1099")))
    for (let index = 0; index < 1_100; index++) state = PeerBook.isSelf(state, at(`s${index}`))
    assert.strictEqual(HashMap.size(state.addresses), 1024 + 2)
    assert.strictEqual(record(state, at("s1099"))?.nextAt, Infinity)
  })

  it("remembers for the node itself where a connected one was met besides", () => {
    const state = PeerBook.answered(connected(PeerBook.empty, a), at("alias"), a)
    assert.deepStrictEqual(peer(state, a)?.addresses.map(String), ["a:9470", "alias:9470"])
    assert.isTrue(PeerBook.heldByLive(state).has("alias:9470"))
    let many = state
    for (let index = 0; index < 100; index++) many = PeerBook.answered(many, at(`alias-${index}`), a)
    assert.strictEqual(peer(many, a)?.addresses.length, 24)
    const claimed = connected(PeerBook.empty, a, { listen: [at("other"), at("a")] })
    assert.deepStrictEqual([...PeerBook.heldByLive(claimed)], ["a:9470"], "what it says of another host proves nothing")
    assert.strictEqual(PeerBook.heldByLive(PeerBook.ended(claimed, a, endings.dead, 0, 0)).size, 0)
  })

  it("goes on wanting a peer that closed by itself for a while", () => {
    const wanted = PeerBook.requested(connected(PeerBook.empty, a), a)
    assert.isTrue(peer(PeerBook.ended(wanted, a, endings.theirs, 0, 0), a)?.isRequested)
  })

  it("keeps what several say of one node, each its own, and what is not new of none", () => {
    const tell = (state: PeerBook.State, teller: string, ...hosts: ReadonlyArray<string>) =>
      PeerBook.hinted(
        state,
        Books.self,
        NodeId.make(teller),
        [{ id: a, addresses: hosts.map((host) => at(host)) }],
        0,
        lots
      )
    let state = tell(tell(PeerBook.empty, "liar", "false"), "honest", "true")
    assert.deepStrictEqual(said(state), [
      ["liar", ["false:9470"]],
      ["honest", ["true:9470"]]
    ])
    assert.deepStrictEqual(said(tell(state, "third", "true", "false")), said(state))
    const dropped = PeerBook.dropHint(state, a, at("false"))
    assert.deepStrictEqual(said(dropped), [["honest", ["true:9470"]]], "one that proved false takes no other with it")
    assert.deepStrictEqual(said(PeerBook.dropHint(dropped, a, at("true"))), [])
    assert.deepStrictEqual(said(tell(state, "liar", "newer")), [
      ["honest", ["true:9470"]],
      ["liar", ["newer:9470"]]
    ])
    state = PeerBook.dialFailed(state, at("false"), { error: Books.error, retryAfter: 1, giveUpAfter: 600_000 }, 0)
    assert.deepStrictEqual(said(tell(state, "liar", "newer")), said(state), "what is being tried is not replaced")
    const lots16 = Array.from({ length: 20 }, (_, index) => `h${index}`)
    assert.strictEqual(said(tell(PeerBook.empty, "liar", ...lots16))[0]?.[1]?.length, 8)
  })

  it("lets one that told little in where many told as much as they may, tried or not", () => {
    const limits = { peers: 4_096, hints: 1_024, hintsPerTeller: 64 }
    const tell = (state: PeerBook.State, name: string, count: number) =>
      PeerBook.hinted(state, Books.self, NodeId.make(name), madeUp(name, count), 0, limits)
    let state = PeerBook.empty
    for (let liar = 0; liar < 16; liar++) state = tell(state, `liar-${liar}`, 100)
    assert.strictEqual(hints(state).length, 1_024)
    for (const { addresses } of hints(state)) {
      for (const address of addresses) {
        state = PeerBook.dialFailed(state, address, { error: Books.error, retryAfter: 1, giveUpAfter: 600_000 }, 0)
      }
    }
    state = tell(state, "honest", 32)
    const tellers = hints(state).map(({ teller }) => teller as string)
    assert.strictEqual(tellers.length, 1_024)
    assert.strictEqual(tellers.filter((teller) => teller === "honest").length, 32)
    for (let liar = 0; liar < 16; liar++) {
      assert.isAtLeast(tellers.filter((teller) => teller === `liar-${liar}`).length, 61, "all give a little")
    }
    const again = tell(state, "liar-0", 100)
    assert.strictEqual(
      hints(again).filter(({ teller }) => teller === "honest").length,
      32,
      "which they do not get back"
    )
  })
})
