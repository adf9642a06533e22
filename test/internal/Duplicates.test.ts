import { assert, describe, it } from "@effect/vitest"
import * as Duplicates from "../../src/internal/Duplicates.js"
import * as NodeId from "../../src/NodeId.js"
import type { Direction } from "../../src/Peer.js"

const a = NodeId.make("a")
const b = NodeId.make("b")

const contender = (direction: Direction, openedAt: number, session: string | undefined = "s") => ({
  direction,
  openedAt,
  session
})

describe("decide", () => {
  const window = 10_000

  it("rule 1: with another session the newcomer stays, whatever the directions and the time", () => {
    for (const self of [a, b]) {
      for (const one of ["inbound", "outbound"] as const) {
        for (const other of ["inbound", "outbound"] as const) {
          for (const at of [0, window, window + 1]) {
            assert.deepStrictEqual(
              Duplicates.decide({
                self,
                peer: self === a ? b : a,
                existing: contender(one, 0, "old"),
                newcomer: contender(other, at, "new"),
                window
              }),
              { rule: 1, stays: "newcomer", decides: true }
            )
          }
        }
      }
    }
  })

  it("rule 2: of two that cross, the one dialed by the smaller id stays, at both ends", () => {
    for (const sessions of [
      ["s", "s"],
      [undefined, "s"],
      ["s", undefined],
      [undefined, undefined]
    ] as const) {
      for (const at of [0, window]) {
        for (const newcomer of ["inbound", "outbound"] as const) {
          const existing = newcomer === "inbound" ? "outbound" : "inbound"
          const options = {
            existing: contender(existing, 0, sessions[0]),
            newcomer: contender(newcomer, at, sessions[1]),
            window
          }
          assert.deepStrictEqual(Duplicates.decide({ self: a, peer: b, ...options }), {
            rule: 2,
            stays: newcomer === "outbound" ? "newcomer" : "existing",
            decides: true
          })
          assert.deepStrictEqual(Duplicates.decide({ self: b, peer: a, ...options }), {
            rule: 2,
            stays: newcomer === "inbound" ? "newcomer" : "existing",
            decides: true
          })
        }
      }
    }
  })

  it("rule 3: in one direction, or too far apart, the newer stays and its acceptor decides", () => {
    const cases = [
      ["inbound", "inbound", 0],
      ["outbound", "outbound", 0],
      ["inbound", "outbound", window + 1],
      ["outbound", "inbound", window + 1]
    ] as const
    for (const [existing, newcomer, at] of cases) {
      for (const self of [a, b]) {
        assert.deepStrictEqual(
          Duplicates.decide({
            self,
            peer: self === a ? b : a,
            existing: contender(existing, 0),
            newcomer: contender(newcomer, at),
            window
          }),
          { rule: 3, stays: "newcomer", decides: newcomer === "inbound" }
        )
      }
    }
  })
})

// --- Two nodes, and all orders in which what they say can arrive ---

type Who = "a" | "b"
type Said = "HELLO" | "ANSWER" | "ERROR" | "FIN"
type Phase = "none" | "half" | "open" | "closing" | "closed"

interface End {
  phase: Phase
  openedAt: number
  /** What is on its way to this end. */
  readonly coming: Array<Said>
}

interface Link {
  readonly dialer: Who
  readonly ends: Record<Who, End>
}

interface Side {
  current: number | undefined
  standby: Array<number>
}

interface World {
  clock: number
  readonly links: Array<Link>
  readonly sides: Record<Who, Side>
}

interface Scenario {
  readonly name: string
  readonly dialers: ReadonlyArray<Who>
  /** The session that each side gives on each link, from the first. */
  readonly session: (who: Who, link: number) => string | undefined
  readonly window: number
  /** A loser is refused in place of the answer, or answered and closed then. */
  readonly refuses: boolean
  /** Link 0 stands from before, at these ends only: the rest of a node that has restarted. */
  readonly standing?: ReadonlyArray<Who>
  /** Whether each link is dialed only when the one before is through. */
  readonly oneByOne?: boolean
}

const other = (who: Who): Who => (who === "a" ? "b" : "a")

const end = (): End => ({ phase: "none", openedAt: 0, coming: [] })

const first = (scenario: Scenario): World => {
  const world: World = {
    clock: 0,
    links: scenario.dialers.map((dialer) => ({ dialer, ends: { a: end(), b: end() } })),
    sides: { a: { current: undefined, standby: [] }, b: { current: undefined, standby: [] } }
  }
  for (const who of scenario.standing ?? []) {
    const link = world.links[0]
    if (link === undefined) continue
    link.ends[who].phase = "open"
    world.sides[who].current = 0
    // The other end is dead: that shows at some time, in any order with all else.
    link.ends[who].coming.push("FIN")
    link.ends[other(who)].phase = "closed"
  }
  return world
}

const gone = (world: World, who: Who, index: number): void => {
  const side = world.sides[who]
  if (side.current === index) side.current = side.standby.shift()
  else side.standby = side.standby.filter((standing) => standing !== index)
}

const say = (world: World, from: Who, index: number, ...words: ReadonlyArray<Said>): void => {
  world.links[index]?.ends[other(from)].coming.push(...words)
}

const direction = (world: World, who: Who, index: number): Direction =>
  world.links[index]?.dialer === who ? "outbound" : "inbound"

const drop = (world: World, who: Who, index: number): void => {
  const at = world.links[index]?.ends[who]
  if (at?.phase !== "open") return
  at.phase = "closing"
  say(world, who, index, "ERROR", "FIN")
}

const explore = (scenario: Scenario): { readonly ends: number } => {
  const seen = new Set<string>()
  const isTimed = Number.isFinite(scenario.window)
  let ends = 0

  const compare = (world: World, who: Who, index: number): Duplicates.Outcome | undefined => {
    const { current } = world.sides[who]
    if (current === undefined) return undefined
    const contend = (link: number, openedAt: number): Duplicates.Contender => ({
      session: scenario.session(other(who), link),
      direction: direction(world, who, link),
      openedAt
    })
    return Duplicates.decide({
      self: NodeId.make(who),
      peer: NodeId.make(other(who)),
      existing: contend(current, world.links[current]?.ends[who].openedAt ?? 0),
      newcomer: contend(index, world.clock),
      window: scenario.window
    })
  }

  const admit = (world: World, who: Who, index: number, outcome: Duplicates.Outcome | undefined): void => {
    const side = world.sides[who]
    const at = world.links[index]?.ends[who]
    if (at === undefined) return
    at.phase = "open"
    // With an endless window it does not count when: the fewer worlds to tell apart, the better.
    at.openedAt = isTimed ? world.clock : 0
    const { current } = side
    if (current === undefined || outcome === undefined) {
      side.current = index
    } else if (outcome.stays === "existing") {
      drop(world, who, index)
    } else if (outcome.decides) {
      side.current = index
      for (const loser of [current, ...side.standby.splice(0)]) drop(world, who, loser)
    } else {
      side.current = index
      side.standby.unshift(current)
    }
  }

  const hear = (world: World, who: Who, index: number): void => {
    const at = world.links[index]?.ends[who]
    const said = at?.coming.shift()
    if (at === undefined || said === undefined) return
    if (at.phase === "closing" || at.phase === "closed") {
      if (said === "FIN") at.phase = "closed"
      return
    }
    switch (said) {
      case "HELLO": {
        const outcome = compare(world, who, index)
        if (scenario.refuses && outcome?.stays === "existing") {
          at.phase = "closing"
          return say(world, who, index, "ERROR", "FIN")
        }
        say(world, who, index, "ANSWER")
        return admit(world, who, index, outcome)
      }
      case "ANSWER":
        return admit(world, who, index, compare(world, who, index))
      case "ERROR":
        at.phase = "closing"
        say(world, who, index, "FIN")
        return gone(world, who, index)
      case "FIN":
        at.phase = "closed"
        say(world, who, index, "FIN")
        return gone(world, who, index)
    }
  }

  const check = (world: World): void => {
    const story = `${scenario.name}: ${JSON.stringify(world)}`
    const { a: one, b: two } = world.sides
    assert.isDefined(one.current, `one connection stays; ${story}`)
    assert.strictEqual(one.current, two.current, `both keep the same one; ${story}`)
    assert.deepStrictEqual([one.standby, two.standby], [[], []], story)
    for (const [index, link] of world.links.entries()) {
      for (const who of ["a", "b"] as const) {
        assert.strictEqual(
          link.ends[who].phase === "open",
          index === one.current,
          `nothing else is left open; ${story}`
        )
      }
    }
  }

  const go = (world: World): void => {
    const key = JSON.stringify(world)
    if (seen.has(key)) return
    seen.add(key)
    const next: Array<(world: World) => void> = []
    for (const [index, link] of world.links.entries()) {
      const before = world.links[index - 1]
      const isTurn = scenario.oneByOne !== true || before === undefined || before.ends[before.dialer].phase !== "none"
      const isQuiet =
        scenario.oneByOne !== true ||
        world.links.every(({ ends: { a: x, b: y } }) => x.coming.length + y.coming.length === 0)
      if (link.ends[link.dialer].phase === "none" && isTurn && isQuiet) {
        next.push((after) => {
          const fresh = after.links[index]
          if (fresh === undefined) return
          fresh.ends.a.phase = "half"
          fresh.ends.b.phase = "half"
          say(after, fresh.dialer, index, "HELLO")
        })
      }
      for (const who of ["a", "b"] as const) {
        if (link.ends[who].coming.length > 0) next.push((after) => hear(after, who, index))
      }
    }
    if (next.length === 0) {
      ends++
      return check(world)
    }
    for (const happen of next) {
      const after = structuredClone(world)
      if (isTimed) after.clock++
      happen(after)
      go(after)
    }
  }

  go(first(scenario))
  return { ends }
}

const same = (): string => "s"

const none = (): undefined => undefined

describe("two nodes, every order of events", () => {
  const mixed = (who: Who): string | undefined => (who === "a" ? "s" : undefined)
  const both = [true, false]

  const dials: ReadonlyArray<ReadonlyArray<Who>> = [
    ["a", "b"],
    ["a", "a"],
    ["b", "b"],
    ["b", "a"]
  ]

  // Each handshake is through within handshakeTimeout, so two that overlap are never further apart than the window.
  for (const dialers of dials) {
    it(`two dials at once by ${dialers.join(" and ")} leave one and the same connection at both`, () => {
      for (const session of [same, none, mixed]) {
        for (const refuses of both) {
          const name = `${session.name}, refuses ${refuses}`
          assert.isAbove(explore({ name, dialers, session, window: Infinity, refuses }).ends, 0)
        }
      }
    })

    it(`a dial by ${dialers[0]} and a later one by ${dialers[1]} do too, within the window, at its edge and beyond`, () => {
      for (const window of [Infinity, -1, 0, 1, 2, 3, 4, 5, 6, 8]) {
        for (const session of [same, none, mixed]) {
          for (const refuses of both) {
            const name = `window ${window}, ${session.name}, refuses ${refuses}`
            assert.isAbove(explore({ name, dialers, session, window, refuses, oneByOne: true }).ends, 0)
          }
        }
      }
    })
  }

  it("three dials at once leave one and the same connection at both", () => {
    for (const dialers of [
      ["a", "b", "a"],
      ["b", "b", "a"],
      ["a", "a", "a"]
    ] as const) {
      const { ends } = explore({ name: dialers.join(), dialers, session: same, window: Infinity, refuses: true })
      assert.isAbove(ends, 0)
    }
  })

  it("a node that restarted while the other still holds its old connection is connected by the new one", () => {
    for (const survivor of ["a", "b"] as const) {
      const session = (who: Who, link: number): string => (who === survivor ? "s" : link === 0 ? "old" : "new")
      for (const dialers of [
        ["a", "a"],
        ["a", "b"],
        ["b", "a"],
        ["b", "b"],
        ["a", "a", "b"],
        ["b", "b", "a"]
      ] as const) {
        for (const refuses of both) {
          const name = `${survivor} survives, ${dialers.join()}, refuses ${refuses}`
          const { ends } = explore({ name, dialers, session, window: Infinity, refuses, standing: [survivor] })
          assert.isAbove(ends, 0)
        }
      }
    }
  })
})
