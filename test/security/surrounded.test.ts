/** Whoever has many identities tries to fill what a node knows, and to be all that it is connected to. */
import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as Discovery from "../../src/Discovery.js"
import type { Identity } from "../../src/Connection.js"
import * as NodeId from "../../src/NodeId.js"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as PeerBook from "../../src/PeerBook.js"

const limits: PeerBook.Limits = { peers: 4_096, hints: 1_024, hintsPerTeller: 64 }
const self = NodeId.make("self")

/** Numbers from 0 up to 1 that look random, and are the same each time. */
const seeded = (seed: number) => {
  let state = seed
  return (): number => {
    state = (state * 1_103_515_245 + 12_345) % 2 ** 31
    return state / 2 ** 31
  }
}

const isHostile = ({ host }: PeerAddress.PeerAddress): boolean => host.startsWith("66.6.")

const entry = (id: string, host: string) => ({ id: NodeId.make(id), addresses: [{ host, port: 9470 }] })

/** The node whose number it is, in an address block of its own, or with all the others in one. */
const honest = (n: number) => entry(`honest-${n}`, `10.${n}.0.1`)
const hostile = (n: number) => entry(`hostile-${n}`, `66.6.${Math.floor(n / 250)}.${n % 250}`)

const at = (host: string) => PeerAddress.make(host, 9470)

const identity = (id: string): Identity => ({
  id: NodeId.make(id),
  session: "s",
  relay: true,
  maxMessageBytes: 65_536,
  listen: [PeerAddress.make("0.0.0.0", 9470)],
  agent: undefined,
  tags: {}
})

const tell = (
  state: PeerBook.State,
  teller: string,
  entries: ReadonlyArray<ReturnType<typeof entry>>,
  group: string | undefined
): PeerBook.State => PeerBook.hinted(state, self, NodeId.make(teller), entries, 0, limits, group)

const hintsOf = (state: PeerBook.State) => [...HashMap.values(state.hints)].flatMap(({ told }) => told)

describe("An address book told 10,000 addresses that are not there", () => {
  it("by one peer keeps what one peer may tell", () => {
    let state = tell(
      PeerBook.empty,
      "friend",
      Array.from({ length: 20 }, (_, n) => honest(n)),
      "10.200"
    )
    for (let n = 0; n < 10_000; n += 250) {
      state = tell(
        state,
        "liar",
        Array.from({ length: 250 }, (_, more) => hostile(n + more)),
        "66.6"
      )
    }
    const told = hintsOf(state)
    assert.strictEqual(told.filter(({ teller }) => teller === "liar").length, 64)
    assert.strictEqual(told.filter(({ teller }) => teller === "friend").length, 20)
  })

  it("by 100 peers of one part of the network keeps what four may tell, and nothing else is lost", () => {
    let state = tell(
      PeerBook.empty,
      "friend",
      Array.from({ length: 20 }, (_, n) => honest(n)),
      "10.200"
    )
    for (let liar = 0; liar < 100; liar++) {
      state = tell(
        state,
        `liar-${liar}`,
        Array.from({ length: 100 }, (_, n) => hostile(liar * 100 + n)),
        "66.6"
      )
    }
    const told = hintsOf(state)
    assert.strictEqual(told.filter(({ group }) => group === "66.6").length, 256)
    assert.strictEqual(told.filter(({ teller }) => teller === "friend").length, 20)
  })

  it("by 100 peers from everywhere keeps its bounds, and what a friend has told", () => {
    let state = tell(
      PeerBook.empty,
      "friend",
      Array.from({ length: 10 }, (_, n) => honest(n)),
      "10.200"
    )
    for (let liar = 0; liar < 100; liar++) {
      const lies = Array.from({ length: 100 }, (_, n) => hostile(liar * 100 + n))
      state = tell(state, `liar-${liar}`, lies, `66.${liar}`)
    }
    const told = hintsOf(state)
    assert.isAtMost(told.length, 1_024)
    assert.strictEqual(told.filter(({ teller }) => teller === "friend").length, 10)
  })
})

describe("A node that hostile ones surround", () => {
  it("still dials others by itself, most of them honest, though all that dialed it are hostile", () => {
    for (let seed = 1; seed <= 20; seed++) {
      // 192 have dialed it, as many as may, and each tells of more of them; one honest node is known.
      let state = tell(
        PeerBook.empty,
        "friend",
        Array.from({ length: 30 }, (_, n) => honest(n)),
        "10.200"
      )
      const live = new Set<NodeId.NodeId>()
      for (let n = 0; n < 192; n++) {
        live.add(NodeId.make(`hostile-${n}`))
        state = tell(
          state,
          `hostile-${n}`,
          Array.from({ length: 64 }, (_, more) => hostile(200 + n * 64 + more)),
          "66.6"
        )
      }
      const outbound: Array<PeerAddress.PeerAddress> = []
      const random = seeded(seed)
      for (let round = 0; round < 10; round++) {
        const { dial } = Discovery.plan(state, {
          now: round,
          live,
          outbound,
          dialing: new Set(),
          target: 32,
          maxDials: 8,
          random
        })
        for (const { address, hint } of dial) {
          outbound.push(address)
          if (hint !== undefined) live.add(hint)
        }
      }
      assert.strictEqual(outbound.length, 8, "a quarter of the target")
      assert.isAtMost(outbound.filter(isHostile).length, 2, `with seed ${seed}`)
    }
  })

  const idle = {
    now: 0,
    live: new Set<NodeId.NodeId>(),
    dialing: new Set<string>(),
    target: 0,
    self,
    interval: 30_000
  }

  it("hears itself, and each part of the network, as often as a part in which hundreds tell it something", () => {
    let state = tell(PeerBook.empty, self, [honest(1)], undefined)
    for (let n = 0; n < 200; n++) state = tell(state, `hostile-${n}`, [hostile(1_000 + n)], "66.6")
    let first = 0
    for (let seed = 1; seed <= 200; seed++) {
      const view = { ...idle, live: new Set<NodeId.NodeId>(), target: 1, maxDials: 1, random: seeded(seed * 7_919) }
      if (Discovery.plan(state, view).dial.some(({ address }) => !isHostile(address))) first++
    }
    assert.isAbove(first, 50, "of 200")
  })

  it("dials no more than two in a part of the network at a time where it knows others, those under way counted", () => {
    let state = tell(PeerBook.empty, "friend", [honest(1), honest(2)], "10.200")
    state = tell(
      state,
      "liar",
      Array.from({ length: 64 }, (_, n) => hostile(n)),
      "66.6"
    )
    const dialing = new Set(["66.6.9.1:9470", "66.6.9.2:9470"])
    for (let seed = 1; seed <= 20; seed++) {
      const { dial } = Discovery.plan(state, { ...idle, dialing, target: 4, maxDials: 4, random: seeded(seed) })
      assert.deepStrictEqual(
        dial.map(({ address }) => isHostile(address)),
        [false, false]
      )
    }
  })

  it("heals to one of another part of the network as often as to one of hundreds that it remembers of one part", () => {
    let state = tell(
      PeerBook.empty,
      self,
      Array.from({ length: 4 }, (_, n) => honest(n)),
      undefined
    )
    state = tell(
      state,
      self,
      Array.from({ length: 60 }, (_, n) => hostile(n)),
      undefined
    )
    let toHonest = 0
    for (let seed = 1; seed <= 200; seed++) {
      const chosen = Discovery.heal(state, { ...idle, random: seeded(seed * 7_919) })
      if (chosen !== undefined && !isHostile(chosen.address)) toHonest++
    }
    assert.isAbove(toHonest, 130, "of 200: four parts of five")
  })

  it("lets one give way of the part of the network in which it has dialed most", () => {
    const ids = ["a", "b", "c", "d"].map((id) => NodeId.make(id))
    const [a, b, c, d] = ids as [NodeId.NodeId, NodeId.NodeId, NodeId.NodeId, NodeId.NodeId]
    const outbound = new Map([
      [a, at("10.1.0.1")],
      [b, at("66.6.0.1")],
      [c, at("66.6.0.2")],
      [d, at("10.2.0.1")]
    ])
    assert.deepStrictEqual(Discovery.crowded(outbound, ids), [b, c])
    assert.deepStrictEqual(Discovery.crowded(outbound, [a, c, d]), [c], "the other one is wanted")
    assert.deepStrictEqual(Discovery.crowded(outbound, [a, d]), [a, d])
    assert.deepStrictEqual(Discovery.crowded(outbound, []), [])
  })

  it("forgets none that it met elsewhere, however many names come from one part of the network", () => {
    const few: PeerBook.Limits = { ...limits, peers: 50 }
    const meet = (state: PeerBook.State, { addresses, id }: ReturnType<typeof entry>, now: number): PeerBook.State => {
      const address = PeerAddress.make(addresses[0]?.host ?? "", 9470)
      const peer = { identity: { ...identity(id), listen: [address] }, direction: "inbound" as const, address }
      const met = PeerBook.connected(state, { ...peer, dialed: undefined, openedAt: now }, now, few)
      const error = { _tag: "ConnectionLost", message: "lost" }
      const ending = { status: "dead" as const, error, failures: 1, avoidFor: 0, redial: undefined }
      return PeerBook.ended(met, NodeId.make(id), ending, now, now)
    }
    let state = PeerBook.empty
    for (let n = 0; n < 10; n++) state = meet(state, honest(n), n)
    for (let n = 0; n < 500; n++) state = meet(state, hostile(n), 100 + n)
    const ids = [...HashMap.keys(state.peers)]
    assert.isAtMost(ids.length, 50)
    assert.strictEqual(ids.filter((id) => id.startsWith("honest-")).length, 10)
  })
})
