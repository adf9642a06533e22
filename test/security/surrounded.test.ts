/** Whoever has many identities tries to fill what a node knows, and to be all that it is connected to. */
import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as Discovery from "../../src/Discovery.js"
import * as NodeId from "../../src/NodeId.js"
import type * as PeerAddress from "../../src/PeerAddress.js"
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
})
