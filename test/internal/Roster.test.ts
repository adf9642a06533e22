import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Roster from "../../src/internal/Roster.js"

const of = (...members: ReadonlyArray<string>) =>
  members.reduce<Roster.Roster<string>>((roster, member) => Roster.add(roster, member), Roster.empty)

const all = (...rosters: ReadonlyArray<Roster.Roster<string>>) => [...Roster.shuffled(rosters, () => 0)]

describe("Roster", () => {
  it("has those that were added and not removed, whatever came and went", () => {
    const step = fc.tuple(fc.boolean(), fc.constantFrom("a", "b", "c", "d", "e"))
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const model = new Set<string>()
        let roster: Roster.Roster<string> = Roster.empty
        for (const [isAdded, member] of steps) {
          const before = all(roster)
          const next = !isAdded
            ? Roster.remove(roster, member)
            : model.has(member)
              ? roster
              : Roster.add(roster, member)
          assert.deepStrictEqual(all(roster), before, "what it was before stays")
          if (isAdded) model.add(member)
          else model.delete(member)
          roster = next
          assert.deepStrictEqual(all(roster).sort(), [...model].sort())
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
          const given = [...Roster.shuffled([of("a", "b"), Roster.empty, of("c", "d", "e"), of("f")], random)]
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
      const order = [...Roster.shuffled(rosters, () => choices[next++] ?? 0)].join("")
      counts.set(order, (counts.get(order) ?? 0) + 1)
    }
    assert.strictEqual(counts.size, steps)
  })
})
