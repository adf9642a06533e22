import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { SeenMemory, type SeenMemoryOptions } from "../../src/internal/SeenMemory.js"

interface Remembered {
  readonly sender: string
  readonly id: string
  readonly at: number
}

/** One list, oldest first, searched from end to end. */
class Model {
  list: Array<Remembered> = []
  private readonly options: Required<SeenMemoryOptions>

  constructor(options: Required<SeenMemoryOptions>) {
    this.options = options
  }

  add(sender: string, id: string, now: number): boolean {
    this.list = this.list.filter((seen) => now - seen.at < this.options.maxAgeMillis)
    if (this.list.some((seen) => seen.sender === sender && seen.id === id)) return false
    const ofSender = this.list.filter((seen) => seen.sender === sender)
    const goes =
      ofSender.length >= this.options.maxPerSender
        ? ofSender[0]
        : this.list.length >= this.options.maxIds
          ? this.list[0]
          : undefined
    this.list = this.list.filter((seen) => seen !== goes)
    this.list.push({ sender, id, at: now })
    return true
  }
}

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
                id: fc.constantFrom("1", "2", "3", "4", "5", "6", "7", "8"),
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
            assert.strictEqual(memory.size, model.list.length)
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

  it("keeps the same id of two senders apart, and pairs that would join to the same text", () => {
    const memory = new SeenMemory()
    assert.isTrue(memory.add("a", "1", 0))
    assert.isTrue(memory.add("b", "1", 0))
    assert.isTrue(memory.add("a:b", "c", 0))
    assert.isTrue(memory.add("a", "b:c", 0))
    assert.isTrue(memory.add("a", ":b:c", 0))
    assert.strictEqual(memory.size, 5)
  })

  it("remembers 8,192 messages of one sender, and forgets its own oldest for the next", () => {
    const memory = new SeenMemory()
    memory.add("quiet", "1", 0)
    for (let id = 0; id < 8_192; id++) assert.isTrue(memory.add("busy", String(id), 1))
    assert.strictEqual(memory.size, 8_193)
    assert.isTrue(memory.add("busy", "8192", 1))
    assert.strictEqual(memory.size, 8_193)
    assert.isFalse(memory.add("quiet", "1", 1))
    assert.isFalse(memory.add("busy", "1", 1))
    assert.isTrue(memory.add("busy", "0", 1))
  })

  it("remembers 65,536 messages in all, and forgets the oldest of all for the next", () => {
    const memory = new SeenMemory()
    for (let id = 0; id < 65_536; id++) memory.add(`sender-${id % 16}`, String(id), 0)
    assert.strictEqual(memory.size, 65_536)
    assert.isTrue(memory.add("another", "1", 0))
    assert.strictEqual(memory.size, 65_536)
    assert.isFalse(memory.add("sender-1", "1", 0))
    assert.isTrue(memory.add("sender-0", "0", 0))
  })

  it("stays bounded while one busy sender pushes out its own and an old message stays", () => {
    const memory = new SeenMemory({ maxPerSender: 4 })
    memory.add("quiet", "1", 0)
    for (let id = 0; id < 200_000; id++) memory.add("busy", String(id), 1)
    assert.strictEqual(memory.size, 5)
    memory.expire(120_000)
    assert.strictEqual(memory.size, 4)
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
