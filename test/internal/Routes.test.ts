import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { nextHops, Routes } from "../../src/internal/Routes.js"
import { sample } from "../../src/internal/sample.js"
import type { Envelope } from "../../src/Message.js"
import * as NodeId from "../../src/NodeId.js"

const id = NodeId.make

const message = (more: Partial<Envelope> = {}): Envelope => ({
  type: "CHAT",
  id: "1",
  sender: id("origin"),
  timestamp: "2026-11-22T14:00:00Z",
  payload: {},
  ttl: 8,
  ...more
})

/** Links by node, each standing for its node's name; those in lower case pass messages on. */
const links = (...names: ReadonlyArray<string>) => new Map(names.map((name) => [id(name), name]))
const relays = (name: string): boolean => name === name.toLowerCase()
const hops = (
  envelope: Envelope,
  via: string | undefined,
  live: ReadonlyMap<NodeId.NodeId, string>,
  routes = new Routes()
) => nextHops(envelope, via === undefined ? undefined : id(via), live, relays, routes)

describe("nextHops", () => {
  it("passes a broadcast on to all but where it came from and who made it", () => {
    assert.deepStrictEqual(hops(message(), "a", links("a", "b", "c", "origin")), ["b", "c"])
  })

  it("leaves out links that do not pass messages on", () => {
    assert.deepStrictEqual(hops(message(), "a", links("a", "B", "c")), ["c"])
  })

  it("stops where the ttl is used up, but not at the node that made the message", () => {
    assert.deepStrictEqual(hops(message({ ttl: 0 }), "a", links("a", "b")), [])
    assert.deepStrictEqual(hops(message({ ttl: 1 }), "a", links("a", "b")), ["b"])
    assert.deepStrictEqual(hops(message({ ttl: 0 }), undefined, links("a", "b")), ["a", "b"])
  })

  it("takes the straight way to the recipient, then the learned one, then all", () => {
    const targeted = message({ recipient: id("goal") })
    const routes = new Routes()
    routes.learn(id("goal"), id("b"))
    assert.deepStrictEqual(hops(targeted, "a", links("a", "b", "c", "goal"), routes), ["goal"])
    assert.deepStrictEqual(hops(targeted, "a", links("a", "b", "c"), routes), ["b"])
    assert.deepStrictEqual(hops(targeted, "a", links("a", "c", "d"), routes), ["c", "d"])
  })

  it("does not take a learned way back to where the message came from, or to who made it", () => {
    const targeted = message({ recipient: id("goal") })
    for (const learned of ["a", "origin"]) {
      const routes = new Routes()
      routes.learn(id("goal"), id(learned))
      assert.deepStrictEqual(hops(targeted, "a", links("a", "origin", "b"), routes), ["b"])
    }
  })

  it("never gives a way back, never one twice, and none without relay to another node's message", () => {
    const name = fc.constantFrom("a", "b", "C", "d", "E", "origin", "goal")
    fc.assert(
      fc.property(
        fc.uniqueArray(name),
        name,
        fc.option(name, { nil: undefined }),
        fc.integer({ min: 0, max: 3 }),
        fc.array(fc.tuple(name, name)),
        (names, via, recipient, ttl, learned) => {
          const routes = new Routes()
          for (const [to, over] of learned) routes.learn(id(to), id(over))
          const envelope = message({ ttl, ...(recipient === undefined ? {} : { recipient: id(recipient) }) })
          const given = hops(envelope, via, links(...names), routes)
          assert.strictEqual(new Set(given).size, given.length)
          assert.isTrue(given.every((hop) => hop !== via && hop !== "origin" && relays(hop) && names.includes(hop)))
          if (ttl === 0) assert.deepStrictEqual(given, [])
        }
      ),
      { numRuns: 200 }
    )
  })
})

describe("Routes", () => {
  it("remembers the latest way", () => {
    const routes = new Routes()
    routes.learn(id("x"), id("a"))
    routes.learn(id("x"), id("b"))
    assert.strictEqual(routes.to(id("x")), "b")
    assert.isUndefined(routes.to(id("y")))
  })

  it("forgets the way that was not learned anew for longest", () => {
    const routes = new Routes(2)
    routes.learn(id("x"), id("a"))
    routes.learn(id("y"), id("a"))
    routes.learn(id("x"), id("a"))
    routes.learn(id("z"), id("a"))
    assert.isUndefined(routes.to(id("y")))
    assert.strictEqual(routes.to(id("x")), "a")
    assert.strictEqual(routes.to(id("z")), "a")
  })

  it("answers as a list does that is searched from end to end, whatever is learned when", () => {
    const name = fc.constantFrom("a", "b", "c", "d", "e")
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 4 }),
        fc.array(fc.tuple(name, name), { maxLength: 40 }),
        (limit, learned) => {
          const routes = new Routes(limit)
          let list: ReadonlyArray<readonly [string, string]> = []
          for (const [sender, via] of learned) {
            routes.learn(id(sender), id(via))
            list = [...list.filter(([known]) => known !== sender), [sender, via] as const].slice(-limit)
            for (const asked of ["a", "b", "c", "d", "e"]) {
              assert.strictEqual(routes.to(id(asked)), list.find(([known]) => known === asked)?.[1])
            }
          }
        }
      ),
      { numRuns: 100 }
    )
  })
})

describe("sample", () => {
  it("gives so many of the items, each at most once, and leaves them as they were", () => {
    fc.assert(
      fc.property(
        fc.uniqueArray(fc.integer()),
        fc.nat(20),
        fc.infiniteStream(fc.double({ min: 0, max: 0.999999, noNaN: true })),
        (items, count, numbers) => {
          const before = [...items]
          const chosen = sample(items, count, () => numbers.next().value as number)
          assert.strictEqual(chosen.length, Math.min(count, items.length))
          assert.strictEqual(new Set(chosen).size, chosen.length)
          assert.isTrue(chosen.every((item) => items.includes(item)))
          assert.deepStrictEqual(items, before)
        }
      ),
      { numRuns: 100 }
    )
  })

  it("gives every order for some course of the dice", () => {
    const orders = new Set<string>()
    for (const first of [0, 0.4, 0.7]) {
      for (const second of [0, 0.5]) {
        const dice = [first, second, 0]
        orders.add(sample(["a", "b", "c"], Infinity, () => dice.shift() ?? 0).join(""))
      }
    }
    assert.strictEqual(orders.size, 6)
  })
})
