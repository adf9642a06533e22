import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Roster from "../../src/internal/Roster.js"

interface Member {
  readonly id: string
  readonly at: number
}

const named = (id: string, at = 0): Member => ({ id, at })

const of = (...ids: ReadonlyArray<string>) =>
  ids.reduce<Roster.Roster<Member>>((roster, id) => Roster.set(roster, named(id)), Roster.empty)

const all = (roster: Roster.Roster<Member>) => [...Roster.shuffled([roster], () => 0)]

const byId = (one: Member, other: Member) => (one.id < other.id ? -1 : 1)

describe("Roster", () => {
  it("has those that were added and not removed, whatever came and went", () => {
    const step = fc.tuple(fc.boolean(), fc.constantFrom("a", "b", "c", "d", "e"))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const model = new Map<string, Member>()
        let roster: Roster.Roster<Member> = Roster.empty
        for (const [at, [isAdded, id]] of steps.entries()) {
          const before = all(roster)
          const next = isAdded ? Roster.set(roster, named(id, at)) : Roster.remove(roster, id)
          assert.deepStrictEqual(all(roster), before, "what it was before stays")
          if (isAdded) model.set(id, named(id, at))
          else model.delete(id)
          roster = next
          assert.deepStrictEqual(all(roster).sort(byId), [...model.values()].sort(byId))
          assert.strictEqual(Roster.size(roster), model.size)
        }
      })
    )
  })

  it("gives the members of several, each once, in any order", () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }), { minLength: 6 }),
        (draws) => {
          let next = 0
          const random = () => draws[next++ % draws.length] ?? 0
          const given = [...Roster.shuffled([of("a", "b"), Roster.empty, of("c", "d", "e"), of("f")], random)].map(
            ({ id }) => id
          )
          assert.deepStrictEqual(given.sort(), ["a", "b", "c", "d", "e", "f"])
        }
      )
    )
  })

  it("gives each order as often as any other", () => {
    const counts = new Map<string, number>()
    const rosters = [of("a", "b"), of("c", "d")]
    const steps = 4 * 3 * 2
    for (let draw = 0; draw < steps; draw++) {
      // The choices among four, three and two, each as often as any other.
      const choices = [(draw % 4) / 4, (Math.floor(draw / 4) % 3) / 3, (Math.floor(draw / 12) % 2) / 2, 0]
      let next = 0
      const order = [...Roster.shuffled(rosters, () => choices[next++] ?? 0)].map(({ id }) => id).join("")
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    assert.strictEqual(counts.size, steps)
  })
})
