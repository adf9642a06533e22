import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { SeenMemory, type SeenMemoryOptions } from "../../src/internal/SeenMemory.js"

interface Remembered {
  readonly sender: string
  /** All but the last character of the ids. */
  readonly begin: string
  readonly ends: Set<string>
  readonly at: number
}

/** One list of what is forgotten together, oldest first, searched from end to end. */
class Model {
  list: Array<Remembered> = []
  private readonly options: Required<SeenMemoryOptions>

  constructor(options: Required<SeenMemoryOptions>) {
    this.options = options
  }

  get size(): number {
    return this.list.reduce((sum, { ends }) => sum + ends.size, 0)
  }

  add(sender: string, id: string, now: number): boolean {
    const begin = id.slice(0, -1)
    const end = id.slice(-1)
    const isOf = (seen: Remembered) => seen.sender === sender && seen.begin === begin
    this.list = this.list.filter((seen) => now - seen.at < this.options.maxAgeMillis)
    if (this.list.some((seen) => isOf(seen) && seen.ends.has(end))) return false
    const ofSender = this.list.filter((seen) => seen.sender === sender)
    const goes =
      ofSender.reduce((sum, { ends }) => sum + ends.size, 0) >= this.options.maxPerSender
        ? ofSender[0]
        : this.size >= this.options.maxIds
          ? this.list[0]
          : undefined
    this.list = this.list.filter((seen) => seen !== goes)
    const ends = new Set(this.list.find(isOf)?.ends).add(end)
    this.list = [...this.list.filter((seen) => !isOf(seen)), { sender, begin, ends, at: now }]
    return true
  }
}

/** As a node counts its messages. */
const id = (n: number): string => `session-${n.toString(36)}`

describe("SeenMemory", () => {
  it("answers as a naive model does, whatever is seen when", () => {
    fc.assert(
      fc.property(
        fc.record({
          maxAgeMillis: fc.integer({ min: 1, max: 60 }),
          maxIds: fc.integer({ min: 1, max: 12 }),
          maxPerSender: fc.integer({ min: 1, max: 6 })
        }),
        fc.array(
          fc.oneof(
            {
              weight: 40,
              arbitrary: fc.record({
                sender: fc.constantFrom("a", "b", "c", "d"),
                id: fc.constantFrom(
                  "1",
                  "2",
                  "a1",
                  "a2",
                  "aA",
                  "aa",
                  "b1",
                  "b2",
                  "bz",
                  "~",
                  "c\u0021",
                  "c\u0041",
                  "c\u0061"
                ),
                later: fc.oneof({ weight: 3, arbitrary: fc.constant(0) }, { weight: 1, arbitrary: fc.nat(20) })
              })
            },
            { weight: 1, arbitrary: fc.constant("clear" as const) }
          ),
          { maxLength: 120, size: "max" }
        ),
        (options, steps) => {
          const memory = new SeenMemory(options)
          const model = new Model(options)
          let now = 0
          for (const current of steps) {
            if (current === "clear") {
              memory.clear()
              model.list = []
            } else {
              now += current.later
              assert.strictEqual(
                memory.add(current.sender, current.id, now),
                model.add(current.sender, current.id, now)
              )
            }
            assert.strictEqual(memory.size, model.size)
          }
        }
      ),
      { numRuns: 300 }
    )
  })

  it("remembers a message for two minutes, however often it is seen meanwhile", () => {
    const memory = new SeenMemory()
    assert.isTrue(memory.add("a", "1", 1_000))
    for (const now of [1_000, 60_000, 120_999]) assert.isFalse(memory.add("a", "1", now))
    assert.isTrue(memory.add("a", "1", 121_000))
  })

  it("remembers ids that are nearly the same for as long as the latest of them", () => {
    const memory = new SeenMemory()
    assert.isTrue(memory.add("a", "s-1a", 0))
    assert.isTrue(memory.add("a", "s-2a", 50_000))
    assert.isTrue(memory.add("a", "s-1b", 100_000))
    assert.isTrue(memory.has("a", "s-1a", 219_999))
    assert.isFalse(memory.has("a", "s-2a", 219_999))
    assert.isFalse(memory.has("a", "s-1a", 220_000))
    assert.strictEqual(memory.size, 0)
  })

  it("keeps the same id of two senders apart, and pairs that would join to the same text", () => {
    const memory = new SeenMemory()
    assert.isTrue(memory.add("a", "1", 0))
    assert.isTrue(memory.add("b", "1", 0))
    assert.isTrue(memory.add("a:b", "c", 0))
    assert.isTrue(memory.add("a", "b:c", 0))
    assert.isTrue(memory.add("a", ":b:c", 0))
    assert.strictEqual(memory.size, 5)
  })

  it("remembers at most 8,192 messages of one sender, and forgets some of its own oldest for the next", () => {
    const memory = new SeenMemory()
    memory.add("quiet", "1", 0)
    for (let n = 0; n < 8_192; n++) assert.isTrue(memory.add("busy", id(n), 1))
    assert.strictEqual(memory.size, 8_193)
    assert.isTrue(memory.add("busy", id(8_192), 1))
    // Those with one character less go together.
    assert.strictEqual(memory.size, 8_194 - 36)
    for (let n = 8_193; n < 30_000; n++) {
      assert.isTrue(memory.add("busy", id(n), 1))
      assert.isAtMost(memory.size, 8_193)
      assert.isTrue(memory.has("busy", id(n - 8_192 + 36), 1))
    }
    assert.isFalse(memory.add("quiet", "1", 1))
    assert.isTrue(memory.add("busy", id(0), 1))
  })

  it("remembers at most 65,536 messages in all, and forgets some of the oldest of all for the next", () => {
    const memory = new SeenMemory()
    for (let id = 0; id < 65_536; id++) memory.add(`sender-${id % 16}`, String(id), 0)
    assert.strictEqual(memory.size, 65_536)
    assert.isTrue(memory.add("another", "1", 0))
    assert.isAtMost(memory.size, 65_536)
    assert.isAtLeast(memory.size, 65_536 - 10)
    assert.isFalse(memory.add("sender-1", "1", 0))
    assert.isTrue(memory.add("sender-0", "0", 0))
  })

  it("holds no more for ids that have nothing in common than there are of them", () => {
    const memory = new SeenMemory({ maxIds: 100, maxPerSender: 50 })
    for (let n = 0; n < 1_000; n++) assert.isTrue(memory.add(`sender-${n % 3}`, `${n}-0`, 0))
    assert.strictEqual(memory.size, 100)
  })

  it("stays bounded while one busy sender pushes out its own and an old message stays", () => {
    const memory = new SeenMemory({ maxPerSender: 40 })
    memory.add("quiet", "1", 0)
    for (let id = 0; id < 200_000; id++) memory.add("busy", String(id), 1)
    assert.strictEqual(memory.size, 41)
    memory.expire(120_000)
    assert.strictEqual(memory.size, 40)
    memory.expire(120_001)
    assert.strictEqual(memory.size, 0)
    assert.isTrue(memory.add("busy", "199999", 120_001))
  })

  it("remembers at least one message", () => {
    const memory = new SeenMemory({ maxIds: 0, maxPerSender: 0 })
    assert.isTrue(memory.add("a", "1", 0))
    assert.isFalse(memory.add("a", "1", 0))
    assert.isTrue(memory.add("b", "1", 0))
    assert.strictEqual(memory.size, 1)
  })
})
