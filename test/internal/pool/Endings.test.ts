import { assert, describe, it } from "@effect/vitest"
import * as HashMap from "effect/HashMap"
import * as fc from "fast-check"
import * as Discovery from "../../../src/Discovery.js"
import { delayed, endingOf, lastsAfter, type Terms } from "../../../src/internal/pool/Endings.js"
import * as NetworkError from "../../../src/NetworkError.js"
import * as NodeId from "../../../src/NodeId.js"
import * as PeerAddress from "../../../src/PeerAddress.js"
import * as PeerBook from "../../../src/PeerBook.js"
import * as Policy from "../../../src/Policy.js"
import * as Books from "../../utils/books.js"

const address = PeerAddress.make("10.0.0.5", 9470)
const id = NodeId.make("b")
const backoff: Policy.Backoff = { retryBase: 200, retryFactor: 2, retryMax: 30_000 }

const lost = new NetworkError.ConnectionLost({ address, peer: id, origin: "remote", detail: "", cause: undefined })

const terms = (more: Partial<Terms> = {}): Terms => ({
  backoff,
  failures: 0,
  stood: 0,
  lastsAfter: 15_000,
  healingInterval: 30_000,
  random: 0.5,
  ...more
})

/** As told by the other end. */
const told = (code: string, retryAfterMs?: number) =>
  NetworkError.fromCode(code, { address, peer: id, origin: "remote", detail: "", retryAfterMs })

const random = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
const failures = fc.nat({ max: 40 })
const error = fc
  .tuple(fc.constantFrom(...Object.keys(Policy.codes)), fc.option(fc.nat({ max: 100_000 }), { nil: undefined }))
  .map(([code, retryAfterMs]) => told(code, retryAfterMs))

describe("Endings", () => {
  it("count a connection that did not last as an attempt in vain, and begin anew after one that lasted", () => {
    const delays = [0, 1, 2, 3, 7, 8, 20].map((failures) => endingOf(lost, terms({ failures, stood: 14_999 })))
    assert.deepStrictEqual(
      delays.map(({ redial }) => redial?.after),
      [200, 400, 800, 1_600, 25_600, 30_000, 30_000]
    )
    assert.deepStrictEqual(
      delays.map((ending) => ending.failures),
      [1, 2, 3, 4, 8, 9, 21]
    )
    const restarted = endingOf(lost, terms({ failures: 20, stood: 15_000 }))
    assert.deepStrictEqual([restarted.redial?.after, restarted.failures], [200, 0])
  })

  it("never let the other end ask for less than back-off gives", () => {
    fc.assert(
      fc.property(error, failures, fc.nat({ max: 40_000 }), random, (error, failures, stood, random) => {
        const { avoidFor, redial, status } = endingOf(error, terms({ failures, stood, random }))
        if (status === "left") return
        const least = Policy.backoffDelay(backoff, stood < 15_000 ? failures : 0, random)
        assert.isAtLeast(Math.max(avoidFor, redial?.after ?? 0), least)
        assert.isAtMost(Math.max(avoidFor, redial?.after ?? 0), 3_600_000)
      })
    )
    const asked = endingOf(told("DISCONNECTED", 0), terms({ failures: 4 }))
    assert.deepStrictEqual([asked.status, asked.avoidFor], ["disconnected", 3_200])
    assert.strictEqual(endingOf(told("DISCONNECTED", 90_000), terms({ failures: 4 })).avoidFor, 90_000)
    assert.strictEqual(endingOf(told("BANNED", 1), terms({ failures: 4 })).redial?.after, 3_200)
  })

  it("hold nothing against a peer that this node closed itself", () => {
    for (const code of ["DISCONNECTED", "SHUTTING_DOWN"]) {
      const ours = NetworkError.fromCode(code, { address, peer: id, origin: "local", detail: "" })
      assert.strictEqual(endingOf(ours, terms({ failures: 4 })).failures, 0)
    }
  })

  it("have a connection last when its node proved alive, or when dials are as rare as back-off makes them", () => {
    assert.strictEqual(lastsAfter(backoff, 15_000), 15_000)
    assert.strictEqual(lastsAfter(backoff, 900_000), 30_000)
  })

  it("put off what is to be put off", () => {
    const ending = endingOf(lost, terms())
    assert.strictEqual(delayed(ending, 0), ending)
    const { avoidFor, redial } = delayed(ending, 30_000)
    assert.deepStrictEqual([avoidFor, redial?.after], [30_000, 30_000])
  })
})

// --- A node that comes and goes ---

/** Goes on for so long: when each dial was made, where connections stand for as long as `lives` says. */
const dialsIn = (
  millis: number,
  lives: () => number | "refused",
  start: PeerBook.State,
  random: () => number
): ReadonlyArray<number> => {
  const dials: Array<number> = []
  let state = start
  let now = 0
  while (now < millis) {
    const { dial, nextAt } = Discovery.plan(state, {
      now,
      live: new Set(),
      dialing: new Set(),
      target: 8,
      maxDials: 8,
      random
    })
    if (dial.length === 0) {
      now = nextAt
      continue
    }
    dials.push(now)
    const life = lives()
    const record = [...HashMap.values(state.addresses)][0]
    if (life === "refused") {
      const retryAfter = Policy.backoffDelay(backoff, record?.attempts ?? 0, random())
      state = PeerBook.dialFailed(state, address, { error: Books.error, retryAfter, giveUpAfter: 600_000 }, now)
      continue
    }
    // Each time under another id, as a node without a state folder has it.
    const name = NodeId.make(`b-${dials.length}`)
    state = PeerBook.connected(
      state,
      {
        identity: Books.identity(name, [address]),
        direction: "outbound",
        address,
        dialed: address,
        openedAt: now
      },
      now,
      { peers: 3, hints: 8, hintsPerTeller: 8 }
    )
    now += life
    const { failures, upSince } = HashMap.unsafeGet(state.peers, name)
    state = PeerBook.ended(
      state,
      name,
      endingOf(lost, terms({ failures, stood: now - upSince, random: random() })),
      now,
      now
    )
  }
  return dials
}

const bootstrap = PeerBook.addBootstrap(PeerBook.empty, address)
const met = PeerBook.ended(
  PeerBook.connected(
    PeerBook.empty,
    { identity: Books.identity(id, [address]), direction: "inbound", address, dialed: undefined, openedAt: 0 },
    0,
    Books.limits
  ),
  id,
  endingOf(lost, terms()),
  0,
  0
)

describe("a node that shakes hands and is gone again", () => {
  for (const [what, start] of [
    ["a bootstrap node", bootstrap],
    ["a node met", met]
  ] as const) {
    it(`is dialed ever less often, whatever it does between: ${what}`, () => {
      const life = fc.oneof(fc.nat({ max: 14_999 }), fc.constant("refused" as const))
      fc.assert(
        fc.property(fc.array(life, { minLength: 1, maxLength: 20 }), random, (lives, seed) => {
          let turn = 0
          const dials = dialsIn(
            3_600_000,
            () => lives[turn++ % lives.length] ?? 0,
            start,
            () => seed
          )
          // Eight steps up to the cap, of which a fifth may be missing.
          assert.isAtMost(dials.length, 10 + 3_600_000 / 24_000)
          const gaps = dials.slice(9).map((at, index) => at - (dials[index + 8] ?? 0))
          assert.isTrue(gaps.every((gap) => gap >= 24_000))
        }),
        { numRuns: 50 }
      )
    })
  }

  it("is dialed at once again where it had been there for long", () => {
    let turn = 0
    const lives = [0, 0, 0, 0, 0, 0, 60_000, 0]
    const dials = dialsIn(
      200_000,
      () => lives[turn++] ?? 0,
      bootstrap,
      () => 0.5
    )
    const after = lives.indexOf(60_000)
    assert.strictEqual((dials[after + 1] ?? 0) - (dials[after] ?? 0), 60_200)
    assert.strictEqual((dials[after + 2] ?? 0) - (dials[after + 1] ?? 0), 200)
    assert.strictEqual((dials[after + 3] ?? 0) - (dials[after + 2] ?? 0), 400)
  })
})
