import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as Schema from "effect/Schema"
import * as fc from "fast-check"
import * as Remembered from "../../src/internal/RememberedPeers.js"
import * as Discovery from "../../src/Discovery.js"
import * as NodeId from "../../src/NodeId.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as PeerBook from "../../src/PeerBook.js"

const self = NodeId.make("self")
const limits: PeerBook.Limits = { peers: 4096, hints: 1024, hintsPerTeller: 64 }
const wallNow = Date.parse("2026-03-01T00:00:00.000Z")

const at = (port: number, host = "127.0.0.1") => PeerAddress.make(host, port)

const remembered = (id: string, port: number, lastSeen = "2026-01-01T00:00:00.000Z"): Remembered.RememberedPeer => ({
  id: NodeId.make(id),
  addresses: [{ host: "127.0.0.1", port }],
  lastSeen
})

const meet = (
  state: PeerBook.State,
  id: string,
  listen: ReadonlyArray<PeerAddress.PeerAddress>,
  when = wallNow,
  from = at(50_000)
): PeerBook.State =>
  PeerBook.connected(
    state,
    {
      identity: {
        id: NodeId.make(id),
        session: undefined,
        relay: true,
        maxMessageBytes: 1_048_576,
        listen,
        agent: undefined,
        tags: {}
      },
      direction: "inbound",
      address: from,
      dialed: undefined,
      openedAt: 0
    },
    when,
    limits
  )

const end = (state: PeerBook.State, id: string, status: PeerBook.Ending["status"], when = wallNow): PeerBook.State =>
  PeerBook.ended(
    state,
    NodeId.make(id),
    { status, error: { _tag: "ConnectionLost", message: "" }, failures: 0, avoidFor: 0, redial: undefined },
    0,
    when
  )

const collect = (state: PeerBook.State, before: ReadonlyArray<Remembered.RememberedPeer> = []) =>
  Remembered.collect(state, before, self, wallNow)

const remind = (state: PeerBook.State, peers: ReadonlyArray<Remembered.RememberedPeer>, maxHints = 1024) =>
  Remembered.remind(state, peers, self, 0, maxHints)

const idsOf = (peers: ReadonlyArray<{ readonly id: string }>): ReadonlyArray<string> => peers.map(({ id }) => id)

const plan = (state: PeerBook.State) =>
  Discovery.plan(state, {
    now: 0,
    live: new Set(),
    dialing: new Set(),
    target: 8,
    maxDials: 8,
    random: () => 0
  }).dial

describe("RememberedPeers", () => {
  describe("collect", () => {
    it("has the nodes that were met and have an address", () => {
      let state = meet(PeerBook.empty, "a", [at(1)])
      state = meet(state, "hidden", [])
      assert.deepStrictEqual(collect(state), [remembered("a", 1, "2026-03-01T00:00:00.000Z")])
    })

    it("has none that others only told of", () => {
      const entries = [{ id: NodeId.make("told"), addresses: [{ host: "127.0.0.1", port: 9 }] }]
      assert.deepStrictEqual(collect(PeerBook.hinted(PeerBook.empty, self, self, entries, 0, limits)), [])
    })

    it("has those that are gone too, since when they are, but none that is banned", () => {
      let state = PeerBook.empty
      for (const [index, status] of (["dead", "left", "disconnected", "banned"] as const).entries()) {
        state = end(meet(state, status, [at(index + 1)]), status, status, wallNow - 1000 * (index + 1))
      }
      assert.deepStrictEqual(collect(state), [
        remembered("dead", 1, "2026-02-28T23:59:59.000Z"),
        remembered("left", 2, "2026-02-28T23:59:58.000Z"),
        remembered("disconnected", 3, "2026-02-28T23:59:57.000Z")
      ])
    })

    it("keeps those of earlier runs that were not met in this one, but not this node", () => {
      const state = meet(PeerBook.empty, "a", [at(1)])
      const old = remembered("old", 7)
      assert.deepStrictEqual(collect(state, [old, remembered("a", 8), remembered("self", 9)]), [
        remembered("a", 1, "2026-03-01T00:00:00.000Z"),
        old
      ])
    })

    it("forgets a node where another one is now", () => {
      const gone = end(meet(PeerBook.empty, "gone", [at(1)]), "gone", "dead")
      const state = meet(gone, "new", [at(1)])
      assert.deepStrictEqual(idsOf(collect(state, [remembered("older", 1), remembered("other", 2)])), ["new", "other"])
    })

    it("forgets nobody for what a node says of another host", () => {
      const state = meet(PeerBook.empty, "liar", [at(1, "10.0.0.9"), at(2)])
      const before = [{ ...remembered("honest", 1), addresses: [{ host: "10.0.0.9", port: 1 }] }]
      assert.deepStrictEqual(idsOf(collect(state, before)), ["liar", "honest"])
    })

    it("keeps the address that is not another's", () => {
      const state = meet(PeerBook.empty, "new", [at(1)])
      const two = {
        ...remembered("two", 1),
        addresses: [
          { host: "127.0.0.1", port: 1 },
          { host: "10.0.0.9", port: 5 }
        ]
      }
      assert.deepStrictEqual(collect(state, [two])[1], { ...two, addresses: [{ host: "10.0.0.9", port: 5 }] })
    })

    it("has 4,096 at most, those seen last, and 8 addresses of each", () => {
      const many = Array.from({ length: 5000 }, (_, index) =>
        remembered(`n${index}`, 1 + index, new Date(wallNow - 1000 * (5000 - index)).toISOString())
      )
      const state = meet(
        PeerBook.empty,
        "wide",
        Array.from({ length: 16 }, (_, index) => at(10_000 + index))
      )
      const peers = collect(state, many)
      assert.strictEqual(peers.length, 4096)
      assert.deepStrictEqual(idsOf(peers.slice(0, 2)), ["wide", "n4999"])
      assert.strictEqual(peers[0]?.addresses.length, 8)
    })

    it("is what the file's schema takes, and nothing new the second time", () => {
      const anyPeer = fc.record({
        id: fc.stringMatching(/^[A-Za-z0-9._:-]{1,20}$/),
        port: fc.integer({ min: 1, max: 65_535 }),
        status: fc.constantFrom("connected", "dead", "left", "disconnected", "banned")
      })
      const decode = Schema.decodeUnknownSync(Schema.Array(Remembered.RememberedPeer))
      fc.assert(
        fc.property(fc.array(anyPeer, { maxLength: 12 }), (peers) => {
          let state = PeerBook.empty
          for (const { id, port, status } of peers) {
            state = meet(state, id, [at(port)])
            if (status !== "connected") state = end(state, id, status as PeerBook.Ending["status"])
          }
          const once = collect(state)
          assert.deepStrictEqual(decode(JSON.parse(JSON.stringify(once))), once)
          assert.strictEqual(Remembered.fingerprint(collect(state, once)), Remembered.fingerprint(once))
        }),
        { numRuns: 50 }
      )
    })
  })

  describe("remind", () => {
    it("makes nodes that are dialed, but neither shown nor passed on", () => {
      const state = remind(PeerBook.empty, [remembered("a", 1)])
      assert.deepStrictEqual(plan(state), [{ address: at(1), hint: NodeId.make("a") }])
      assert.strictEqual(HashMap.size(state.peers), 0)
      assert.strictEqual(HashMap.size(state.addresses), 0)
      assert.deepStrictEqual(PeerBook.known(state, NodeId.make("b"), at(2)), [])
    })

    it("leaves half of the room for what others tell", () => {
      const many = Array.from({ length: 100 }, (_, index) => remembered(`n${index}`, 1 + index))
      const state = remind(PeerBook.empty, many, 20)
      assert.strictEqual(HashMap.size(state.hints), 10)
      assert.isTrue(HashMap.has(state.hints, NodeId.make("n0")))
      assert.strictEqual(HashMap.size(remind(state, many, 20).hints), 10)
      assert.strictEqual(HashMap.size(remind(PeerBook.empty, many, 1).hints), 1)
    })

    it("does not bring up who is connected, nor this node", () => {
      const state = meet(PeerBook.empty, "a", [at(1)])
      assert.strictEqual(HashMap.size(remind(state, [remembered("a", 1), remembered("self", 2)]).hints), 0)
    })

    it("brings up again who was given up", () => {
      const lost = end(meet(PeerBook.empty, "a", [at(1)]), "a", "dead")
      assert.deepStrictEqual(plan(lost), [])
      assert.deepStrictEqual(plan(remind(lost, collect(lost))), [{ address: at(1), hint: NodeId.make("a") }])
    })
  })

  describe("fingerprint", () => {
    it("changes with whom and where, not with when nor with the order", () => {
      const one = [remembered("a", 1), remembered("b", 2)]
      const print = Remembered.fingerprint(one)
      assert.strictEqual(
        Remembered.fingerprint([remembered("b", 2, "2020-01-01T00:00:00Z"), remembered("a", 1)]),
        print
      )
      assert.notStrictEqual(Remembered.fingerprint([remembered("a", 1)]), print)
      assert.notStrictEqual(Remembered.fingerprint([remembered("a", 1), remembered("b", 3)]), print)
    })
  })
})
