import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import * as Frame from "../../src/Frame.js"
import { windowBytes } from "../../src/internal/Flight.js"
import { lend } from "../../src/internal/LentMemory.js"
import { cutBytes, Outbox, sliceBytes } from "../../src/internal/Outbox.js"
import type { Outgoing, OutboxLimits } from "../../src/internal/Outbox.js"
import { ManualLink, takeAll, turn } from "../utils/ManualLink.js"

const frame = (bytes: number, fill = 1): Uint8Array => new Uint8Array(bytes).fill(fill)

const message = (bytes: number, id: string | undefined = undefined, fill = 1) => ({ frame: frame(bytes, fill), id })

const wide: OutboxLimits = { messages: 1_000, bytes: 10_000_000 }

const make = (limits: OutboxLimits = wide, onControlRoom: () => void = () => {}) => {
  const link = new ManualLink()
  return { link, outbox: new Outbox(link, limits, onControlRoom, () => {}) }
}

/** Which fills were written, each run of equal bytes once. */
const fills = (link: ManualLink): ReadonlyArray<number> => {
  const runs: Array<number> = []
  for (const byte of link.written) if (runs.at(-1) !== byte) runs.push(byte)
  return runs
}

describe("Outbox bounds", () => {
  it("takes messages up to the bound in number, and again after a write has begun", async () => {
    const { link, outbox } = make({ messages: 2, bytes: 1_000 })
    assert.isTrue(outbox.offer(message(10)))
    assert.isTrue(outbox.offer(message(10)))
    assert.isFalse(outbox.offer(message(10)))
    assert.isFalse(outbox.hasRoom(1))
    assert.deepStrictEqual([outbox.queued, outbox.queuedBytes], [2, 20])
    await turn()
    assert.isTrue(outbox.isWriting)
    assert.deepStrictEqual([outbox.queued, outbox.queuedBytes], [0, 0])
    assert.isTrue(outbox.offer(message(10)))
    await takeAll(link)
    assert.strictEqual(link.written.length, 30)
    assert.deepStrictEqual([outbox.framesOut, outbox.bytesOut, outbox.writes], [3, 30, 2])
  })

  it("takes messages up to the bound in bytes, but any message where none waits", () => {
    const { outbox } = make({ messages: 10, bytes: 100 })
    assert.isTrue(outbox.offer(message(60)))
    assert.isTrue(outbox.hasRoom(40))
    assert.isFalse(outbox.hasRoom(41))
    const other = make({ messages: 10, bytes: 100 }).outbox
    assert.isTrue(other.offer(message(5_000)))
    assert.isFalse(other.offer(message(1)))
  })

  it("those who wait are served in order of asking, and nobody passes them", async () => {
    const { link, outbox } = make({ messages: 1, bytes: 1_000_000 })
    const order: Array<string> = []
    outbox.offer(message(1, "0", 10))
    outbox.offerLater(message(1, "1", 11), (taken) => order.push(`1 ${taken}`))
    const cancel = outbox.offerLater(message(1, "2", 12), (taken) => order.push(`2 ${taken}`))
    outbox.offerLater(message(1, "3", 13), (taken) => order.push(`3 ${taken}`))
    assert.isFalse(outbox.offer(message(1, "4", 14)))
    cancel()
    await takeAll(link)
    assert.deepStrictEqual(order, ["1 true", "3 true"])
    assert.deepStrictEqual(fills(link), [10, 11, 13])
  })

  it("who gives up at the head of the line lets the next one in where that one fits", () => {
    const { outbox } = make({ messages: 10, bytes: 100 })
    const order: Array<string> = []
    outbox.offer(message(60))
    const cancel = outbox.offerLater(message(90), () => order.push("long"))
    outbox.offerLater(message(30), (taken) => order.push(`short ${taken}`))
    assert.deepStrictEqual(order, [])
    cancel()
    cancel()
    assert.deepStrictEqual(order, ["short true"])
  })

  it("asks for control room again once the unsent answers are few", async () => {
    let room = 0
    const { link, outbox } = make(wide, () => room++)
    for (let i = 0; i < 1_023; i++) outbox.offerControl(frame(1))
    assert.isFalse(outbox.isControlFull)
    outbox.offerControl(frame(1))
    assert.isTrue(outbox.isControlFull)
    await takeAll(link)
    assert.isFalse(outbox.isControlFull)
    assert.strictEqual(room, 1)
    outbox.offerControl(frame(1_048_576))
    assert.isTrue(outbox.isControlFull)
    await takeAll(link)
    assert.strictEqual(room, 2)
  })
})

describe("Outbox order", () => {
  it("writes control before data, and all of a turn in one write", async () => {
    const { link, outbox } = make()
    outbox.offer(message(5, "a", 1))
    outbox.offerControl(frame(5, 2))
    outbox.offer(message(5, "b", 3))
    outbox.offerControl(frame(5, 4))
    await turn()
    assert.strictEqual(link.writes.length, 1)
    assert.deepStrictEqual(fills(link), [2, 4, 1, 3])
  })

  it("hands over at most a slice at a time, so no more than that is ahead of a heartbeat", async () => {
    const { link, outbox } = make()
    for (let i = 0; i < 100; i++) outbox.offer(message(10_000))
    await turn()
    outbox.offerControl(frame(7, 2))
    const ahead = link.written.length
    assert.isAtMost(ahead, sliceBytes)
    await takeAll(link)
    assert.strictEqual(link.written.indexOf(2), ahead)
    assert.strictEqual(link.written.length, 1_000_007)
    for (const write of link.writes) assert.isAtMost(write.length, sliceBytes + 7)
  })

  it("a longer frame goes in slices, and only what is left of it is ahead of a heartbeat", async () => {
    const { link, outbox } = make()
    outbox.offer(message(200_000, "long", 1))
    outbox.offer(message(10, "next", 3))
    await turn()
    assert.strictEqual(link.writes[0]?.length, sliceBytes)
    assert.strictEqual(outbox.queued, 1)
    outbox.offerControl(frame(10, 2))
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [1, 2, 3])
    assert.strictEqual(link.written.indexOf(2), 200_000)
    for (const write of link.writes) assert.isAtMost(write.length, cutBytes)
  })

  it("a long control frame is cut as well and keeps its place before data", async () => {
    const { link, outbox } = make()
    outbox.offer(message(100, "a", 1))
    outbox.offerControl(frame(150_000, 2))
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [2, 1])
    assert.strictEqual(outbox.framesOut, 2)
  })

  it("writes nothing more after a write that failed", async () => {
    const { link, outbox } = make()
    outbox.offer(message(1))
    await turn()
    outbox.offer(message(1))
    link.take(new Error("reset"))
    await turn()
    assert.strictEqual(link.writes.length, 1)
    assert.isFalse(outbox.isWriting)
    assert.strictEqual(outbox.queued, 1)
  })
})

describe("Outbox writes", () => {
  it("begins a write as soon as there is a slice, and gathers less than that for a turn", async () => {
    const { link, outbox } = make()
    outbox.offer(message(sliceBytes - 1))
    assert.isFalse(outbox.isWriting)
    outbox.offer(message(1))
    assert.strictEqual(link.writes[0]?.length, sliceBytes)
    outbox.offer(message(10))
    await takeAll(link)
    assert.deepStrictEqual(
      link.writes.map(({ length }) => length),
      [sliceBytes, 10]
    )
  })

  it("writes a message in the call that offers it while they come one a turn, and gathers where they do not", async () => {
    const { link, outbox } = make()
    const lengths = () => link.writes.map(({ length }) => length)
    outbox.offer(message(10))
    assert.deepStrictEqual(lengths(), [], "nothing is known yet")
    await takeAll(link)
    outbox.offer(message(11))
    assert.deepStrictEqual(lengths(), [10, 11])
    await takeAll(link)
    outbox.offer(message(12))
    outbox.offer(message(13))
    outbox.offer(message(14))
    assert.deepStrictEqual(lengths(), [10, 11, 12])
    await takeAll(link)
    assert.deepStrictEqual(lengths(), [10, 11, 12, 27])
    outbox.offer(message(15))
    assert.deepStrictEqual(lengths(), [10, 11, 12, 27], "there may be many again")
    await takeAll(link)
    outbox.offerControl(frame(1))
    outbox.offer(message(16))
    assert.strictEqual(lengths().length, 5, "what is to go first is not passed")
    await takeAll(link)
    assert.deepStrictEqual(lengths(), [10, 11, 12, 27, 15, 17])
    assert.strictEqual(outbox.framesOut, 8)
  })

  it("of messages that are waited for begins a write before all of a turn are there", async () => {
    const { link, outbox } = make()
    const lengths = () => link.writes.map(({ length }) => length)
    for (let i = 0; i < 23; i++) outbox.offer(message(10), true)
    assert.deepStrictEqual(lengths(), [])
    outbox.offer(message(10), true)
    assert.deepStrictEqual(lengths(), [240])
    for (let i = 0; i < 40; i++) outbox.offer(message(10), true)
    assert.deepStrictEqual(lengths(), [240], "one write at a time")
    await takeAll(link)
    assert.deepStrictEqual(lengths(), [240, 400])
    for (let i = 0; i < 40; i++) outbox.offer(message(10))
    assert.deepStrictEqual(lengths(), [240, 400])
    await takeAll(link)
    assert.deepStrictEqual(lengths(), [240, 400, 400])
  })

  it("what nobody waits for goes with the next write, else once the link says that there is nothing else to do", async () => {
    const { link, outbox } = make()
    const idle: Array<() => void> = []
    link.whenIdle = (run) => idle.push(run)
    outbox.offerAside(frame(1, 10))
    outbox.offerAside(frame(1, 11))
    await turn()
    assert.isFalse(link.isWriting)
    outbox.offer(message(1, undefined, 12))
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [10, 11, 12])
    for (const run of idle.splice(0)) run()
    assert.isFalse(link.isWriting)
    outbox.offerAside(frame(1, 13))
    assert.strictEqual(idle.length, 1)
    for (const run of idle.splice(0)) run()
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [10, 11, 12, 13])
    assert.deepStrictEqual([outbox.framesOut, outbox.writes], [4, 2])
  })

  it("over a link that does not say so, what nobody waits for goes at the end of the turn", async () => {
    const { link, outbox } = make()
    outbox.offerAside(frame(1, 10))
    assert.isFalse(link.isWriting)
    await turn()
    assert.deepStrictEqual(fills(link), [10])
  })

  it("a frame that is a little longer than a slice is not cut", async () => {
    const { link, outbox } = make()
    outbox.offer(message(cutBytes, "whole", 1))
    outbox.offer(message(cutBytes + 1, "cut", 2))
    outbox.offer(message(sliceBytes + cutBytes + 1, "cut twice", 3))
    await takeAll(link)
    assert.deepStrictEqual(
      link.writes.map(({ length }) => length),
      [cutBytes, sliceBytes, cutBytes - sliceBytes + 1, sliceBytes, sliceBytes, cutBytes - sliceBytes + 1]
    )
    assert.deepStrictEqual(fills(link), [1, 2, 3])
  })

  it("is ahead while a slice waits behind one that is written", () => {
    const { link, outbox } = make()
    link.isTaken = true
    outbox.offer(message(sliceBytes))
    assert.isFalse(outbox.isAhead, "nothing waits")
    outbox.offer(message(sliceBytes - 1))
    assert.isFalse(outbox.isAhead, "less than a slice waits")
    outbox.offer(message(1))
    assert.isTrue(outbox.isAhead)
    link.isTaken = false
    assert.isTrue(outbox.isAhead, "the operating system has not taken it")
    link.isTaken = undefined
    assert.isTrue(outbox.isAhead, "the link does not say")
    link.isTaken = true
    link.take()
    assert.isFalse(outbox.isAhead, "the next is on its way")
  })

  it("with what goes to many, or is short, is ahead only where the link is about to tell", () => {
    const many = make()
    for (let i = 0; i < 3; i++) many.outbox.offer({ ...message(sliceBytes), isShared: true })
    const short = make()
    for (let i = 0; i < 100; i++) short.outbox.offer(message(1_000))
    short.outbox.offer(message(sliceBytes))
    for (let i = 0; i < 100; i++) short.outbox.offer(message(1_000))
    for (const { link, outbox } of [many, short]) {
      assert.isFalse(outbox.isAhead)
      link.isTaken = true
      assert.isTrue(outbox.isAhead)
    }
  })

  it("who is ahead of a link that does not tell soon waits for a turn of the event loop", () => {
    const { link, outbox } = make()
    const idle: Array<() => void> = []
    link.whenIdle = (run) => void idle.push(run)
    link.isTaken = false
    for (let i = 0; i < 2; i++) outbox.offer(message(sliceBytes))
    let goneOn = 0
    outbox.onTold(() => goneOn++)
    assert.strictEqual(goneOn, 0)
    for (const run of idle) run()
    assert.strictEqual(goneOn, 1)
  })

  it("who waits for the link to tell goes on once the next write is begun, in order", () => {
    const { link, outbox } = make()
    const told: Array<string> = []
    outbox.onTold(() => told.push("at once"))
    assert.deepStrictEqual(told, ["at once"])
    link.isTaken = true
    outbox.offer(message(sliceBytes))
    outbox.offer(message(sliceBytes))
    outbox.onTold(() => told.push(`first ${link.writes.length}`))
    outbox.onTold(() => told.push(`second ${link.writes.length}`))
    assert.deepStrictEqual(told, ["at once"])
    link.take()
    assert.deepStrictEqual(told, ["at once", "first 2", "second 2"])
  })

  it("of a long frame all is written before those go on who wait, as long as it is taken at once", () => {
    const { link, outbox } = make()
    let told = 0
    link.isTaken = true
    outbox.offer(message(3 * sliceBytes))
    outbox.offer(message(3 * sliceBytes))
    outbox.onTold(() => told++)
    link.take()
    assert.deepStrictEqual([link.writes.length, told], [2, 0])
    link.take()
    assert.deepStrictEqual([link.writes.length, told], [3, 1])
    link.take()
    assert.strictEqual(link.writes.length, 4)
    outbox.offer(message(3 * sliceBytes))
    outbox.onTold(() => told++)
    assert.strictEqual(told, 1)
    link.isTaken = false
    link.take()
    assert.strictEqual(told, 2)
  })

  it("those who wait go on when the write fails", () => {
    const { link, outbox } = make()
    let told = 0
    link.isTaken = true
    outbox.offer(message(sliceBytes))
    outbox.offer(message(sliceBytes))
    outbox.onTold(() => told++)
    outbox.abandon()
    link.take(new Error("reset"))
    assert.strictEqual(told, 1)
  })
})

describe("The memory of frames", () => {
  const bytes = 30_000
  const lentMessage = (more = {}) => ({ frame: lend(bytes).fill(1), id: undefined, ...more })
  /** Whether the next frame is put where this one was, once it is written. */
  const isUsedAgain = async (
    given: Outgoing,
    { cause, others = 0 }: { cause?: Error; others?: number } = {}
  ): Promise<boolean> => {
    const { link, outbox } = make()
    outbox.offer(given)
    for (let i = 0; i < others; i++) outbox.offer(message(10))
    await turn()
    assert.isTrue(link.isWriting)
    assert.notStrictEqual(lend(bytes).buffer, (given.frame as Uint8Array).buffer, "not before it is written")
    link.take(cause)
    const next = lend(bytes)
    return next.buffer === (given.frame as Uint8Array).buffer
  }

  it("is used again where nobody else has it", async () => {
    assert.isTrue(await isUsedAgain(lentMessage({ isOnly: true })))
  })

  it("is left alone otherwise", async () => {
    assert.isFalse(await isUsedAgain(lentMessage()), "others may have it")
    assert.isFalse(
      await isUsedAgain(lentMessage({ isOnly: true }), { cause: new Error("reset") }),
      "it was not written"
    )
    assert.isFalse(await isUsedAgain(lentMessage({ isOnly: true }), { others: 1 }), "it was written with others")
    assert.isFalse(await isUsedAgain({ ...message(bytes), isOnly: true }), "it is not lent")
  })
})

describe("Outbox chunks", () => {
  it("frames that lie one after the other in memory are one chunk, and no others", async () => {
    const written: Array<ReadonlyArray<Uint8Array>> = []
    const link = new ManualLink()
    link.write = (chunks) => void written.push(chunks)
    const outbox = new Outbox(
      link,
      wide,
      () => {},
      () => {}
    )
    const memory = Uint8Array.from({ length: 40 }, (_, i) => i)
    const parts = [
      memory.subarray(0, 5),
      memory.subarray(5, 9),
      memory.subarray(9, 20),
      // With a gap before, of other memory, and behind what was last.
      memory.subarray(21, 25),
      Uint8Array.of(100, 101),
      memory.subarray(25, 30),
      memory.subarray(0, 3)
    ]
    for (const part of parts) outbox.offer({ frame: part, id: undefined })
    await turn()
    assert.deepStrictEqual(
      written[0]?.map((chunk) => Array.from(chunk)),
      [Array.from(memory.subarray(0, 20)), [21, 22, 23, 24], [100, 101], [25, 26, 27, 28, 29], [0, 1, 2]]
    )
  })
})

describe("Outbox of texts", () => {
  it("writes texts and bytes in the order of offering, texts that follow each other as one chunk", async () => {
    const written: Array<ReadonlyArray<Uint8Array>> = []
    const link = new ManualLink()
    link.write = (chunks) => void written.push(chunks)
    const outbox = new Outbox(
      link,
      wide,
      () => {},
      () => {}
    )
    const texts = ["a", "é", "c", "d"].map((json) => new Frame.Text(json))
    const [a, b, c, d] = texts as [Frame.Text, Frame.Text, Frame.Text, Frame.Text]
    for (const part of [a, b, frame(5), c]) outbox.offer({ frame: part, id: undefined })
    outbox.offerControl(d)
    assert.strictEqual(outbox.queuedBytes, 5 + 6 + 5 + 5)
    await turn()
    assert.deepStrictEqual(written, [
      [Buffer.concat(["d", "a", "é"].map((json) => Frame.encode(json))), frame(5), Frame.encode("c")].map((chunk) =>
        Uint8Array.from(chunk)
      )
    ])
    assert.deepStrictEqual([outbox.framesOut, outbox.bytesOut], [5, 26])
  })

  it("cuts a long text as it cuts bytes", async () => {
    const { link, outbox } = make()
    const json = JSON.stringify("é".repeat(100_000))
    outbox.offer({ frame: new Frame.Text(json), id: "a" })
    outbox.offer({ frame: new Frame.Text("{}"), id: "b" })
    await turn()
    assert.strictEqual(link.written.length, sliceBytes)
    assert.strictEqual(outbox.unfinished?.id, "a")
    await takeAll(link)
    assert.deepStrictEqual(
      Buffer.from(link.written),
      Buffer.concat([Frame.encode(json), Frame.encode("{}")]),
      "all of both"
    )
  })
})

describe("Outbox at its end", () => {
  it("finish refuses those who wait, writes what is queued, then the last frame, and takes nothing more", async () => {
    const { link, outbox } = make({ messages: 1, bytes: 100 })
    const settled: Array<boolean> = []
    let done = 0
    outbox.offer(message(5, "a", 1))
    outbox.offerLater(message(5, "b", 2), (taken) => settled.push(taken))
    outbox.finish(frame(5, 9), () => done++)
    assert.deepStrictEqual(settled, [false])
    await turn()
    assert.strictEqual(done, 0)
    link.take()
    await turn()
    assert.deepStrictEqual(fills(link), [1, 9], "the last frame is on its way")
    assert.isFalse(outbox.offer(message(5)))
    outbox.offerControl(frame(5, 7))
    outbox.offerLater(message(5, "c", 3), (taken) => settled.push(taken))()
    assert.deepStrictEqual(settled, [false, false])
    await takeAll(link)
    assert.strictEqual(done, 1)
    assert.deepStrictEqual(fills(link), [1, 9])
    assert.strictEqual(link.writes.length, 2)
  })

  it("what is offered before the last frame is on its way still goes out ahead of it", async () => {
    const { link, outbox } = make({ messages: 1, bytes: 100 })
    const settled: Array<boolean> = []
    outbox.offer(message(5, "a", 1))
    outbox.finish(frame(5, 9), () => {})
    await turn()
    assert.isTrue(outbox.offer(message(5, "b", 2)))
    outbox.offerControl(frame(5, 3))
    outbox.offerLater(message(5, "c", 4), (taken) => settled.push(taken))
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [1, 3, 2, 4, 9])
    assert.deepStrictEqual(settled, [true])
  })

  it("parked it keeps its data back and goes on taking more, for another outbox to send", async () => {
    const one = make({ messages: 2, bytes: 100 })
    const other = make()
    const settled: Array<boolean> = []
    one.outbox.offer(message(5, "a", 1))
    one.outbox.park()
    one.outbox.offerControl(frame(5, 7))
    one.outbox.finish(frame(5, 9), () => one.link.end())
    await takeAll(one.link)
    assert.deepStrictEqual(fills(one.link), [7, 9])
    assert.isTrue(one.link.ended)
    assert.isTrue(one.outbox.offer(message(5, "b", 2)))
    one.outbox.offerLater(message(5, "c", 3), (taken) => settled.push(taken))
    await turn()
    one.outbox.moveTo(other.outbox)
    await takeAll(other.link)
    assert.deepStrictEqual(fills(other.link), [1, 2, 3])
    assert.deepStrictEqual(settled, [true])
    assert.deepStrictEqual(fills(one.link), [7, 9])
  })

  it("parked and then abandoned it gives back what it kept, and refuses those who wait", async () => {
    const { link, outbox } = make({ messages: 1, bytes: 100 })
    const settled: Array<boolean> = []
    outbox.park()
    outbox.offer(message(5, "a", 1))
    outbox.offerLater(message(5, "b", 2), (taken) => settled.push(taken))
    assert.deepStrictEqual(
      outbox.abandon().map(({ id }) => id),
      ["a"]
    )
    assert.deepStrictEqual(settled, [false])
    assert.isFalse(outbox.offer(message(5, "c", 3)))
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [])
  })

  it("finish with nothing to write is done in the same turn, never from within the call", async () => {
    const { outbox } = make()
    let done = false
    outbox.finish(undefined, () => {
      done = true
    })
    assert.isFalse(done)
    await turn()
    assert.isTrue(done)
  })

  it("called again, finish replaces what is done at the end and keeps the last frame unless given another", async () => {
    const { link, outbox } = make()
    const done: Array<string> = []
    outbox.finish(frame(3, 8), () => done.push("first"))
    outbox.finish(undefined, () => done.push("second"))
    await takeAll(link)
    assert.deepStrictEqual(done, ["second"])
    assert.deepStrictEqual(fills(link), [8])
    const other = make()
    other.outbox.finish(frame(3, 8), () => {})
    other.outbox.finish(frame(3, 9), () => {})
    await takeAll(other.link)
    assert.deepStrictEqual(fills(other.link), [9])
  })

  it("abandon gives back what was not begun, in order, and completes the frame that was", async () => {
    const { link, outbox } = make()
    outbox.offer(message(100_000, "begun", 1))
    await turn()
    outbox.offer(message(1, "a", 2))
    outbox.offer(message(1, "b", 3))
    outbox.offerControl(frame(1, 4))
    const unsent = outbox.abandon()
    assert.deepStrictEqual(
      unsent.map(({ id }) => id),
      ["a", "b"]
    )
    assert.deepStrictEqual([outbox.queued, outbox.queuedBytes], [0, 0])
    outbox.finish(frame(1, 9), () => link.end())
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [1, 4, 9])
    assert.strictEqual(link.written.length, 100_002)
    assert.isTrue(link.ended)
  })

  it("moveTo hands data and those who wait to another outbox, behind what that one holds", async () => {
    const one = make({ messages: 1, bytes: 100 })
    const other = make({ messages: 1, bytes: 100 })
    const settled: Array<string> = []
    other.outbox.offer(message(1, "o", 1))
    one.outbox.offer(message(1, "a", 2))
    one.outbox.offerLater(message(1, "b", 3), (taken) => settled.push(`b ${taken}`))
    const cancel = one.outbox.offerLater(message(1, "c", 4), (taken) => settled.push(`c ${taken}`))
    one.outbox.offerLater(message(1, "d", 5), (taken) => settled.push(`d ${taken}`))
    cancel()
    one.outbox.moveTo(other.outbox)
    assert.deepStrictEqual([one.outbox.queued, other.outbox.queued], [0, 2])
    await takeAll(one.link)
    await takeAll(other.link)
    assert.strictEqual(one.link.written.length, 0)
    assert.deepStrictEqual(fills(other.link), [1, 2, 3, 5])
    assert.deepStrictEqual(settled, ["b true", "d true"])
  })

  it("who gives up after the move lets in those behind", async () => {
    const one = make({ messages: 10, bytes: 100 })
    const other = make({ messages: 10, bytes: 100 })
    const settled: Array<string> = []
    other.outbox.offer(message(60))
    one.outbox.offer(message(30))
    const cancel = one.outbox.offerLater(message(90), () => settled.push("long"))
    one.outbox.offerLater(message(10), (taken) => settled.push(`short ${taken}`))
    one.outbox.moveTo(other.outbox)
    cancel()
    assert.deepStrictEqual(settled, ["short true"])
  })

  it("an outbox that was moved from still serves: its connection may turn out to be the one that stays", async () => {
    const one = make()
    const other = make()
    one.outbox.offer(message(1, "a", 2))
    one.outbox.moveTo(other.outbox)
    one.outbox.offerControl(frame(1, 3))
    assert.isTrue(one.outbox.offer(message(1, "b", 4)))
    await takeAll(one.link)
    assert.deepStrictEqual(fills(one.link), [3, 4])
  })

  it("takeOver queues what another outbox had not sent, ahead of those who wait, whatever the bounds", async () => {
    const { link, outbox } = make({ messages: 1, bytes: 10 })
    outbox.offer(message(1, "a", 1))
    outbox.offerLater(message(1, "w", 4), () => {})
    outbox.takeOver([message(20, "x", 2), message(20, "y", 3)])
    assert.strictEqual(outbox.queued, 3)
    await takeAll(link)
    assert.deepStrictEqual(fills(link), [1, 2, 3, 4])
  })
})

/** A frame that tells its length, its kind and its number, so that a stream of them can be taken apart. */
const numbered = (bytes: number, kind: number, number: number): Uint8Array => {
  const buffer = Buffer.alloc(bytes + 8)
  buffer.writeUInt32BE(bytes + 8, 0)
  buffer.writeUInt16BE(kind, 4)
  buffer.writeUInt16BE(number, 6)
  return buffer
}

const parse = (stream: Uint8Array): ReadonlyArray<string> => {
  const buffer = Buffer.from(stream)
  const found: Array<string> = []
  let at = 0
  while (at < buffer.length) {
    found.push(`${buffer.readUInt16BE(at + 4) === 0 ? "data" : "control"} ${buffer.readUInt16BE(at + 6)}`)
    at += buffer.readUInt32BE(at)
  }
  assert.strictEqual(at, buffer.length, "every frame begun is complete")
  return found
}

describe("Outbox, any course of events", () => {
  type Step =
    | { readonly _tag: "offer" | "later" | "control"; readonly bytes: number }
    | { readonly _tag: "cancel" | "take" | "turn" | "move" }

  const step = fc.oneof(
    {
      weight: 6,
      arbitrary: fc.record({
        _tag: fc.constantFrom("offer" as const, "later" as const, "control" as const),
        bytes: fc.oneof(fc.integer({ min: 4, max: 300 }), fc.integer({ min: 60_000, max: 140_000 }))
      })
    },
    {
      weight: 4,
      arbitrary: fc.record({ _tag: fc.constantFrom("cancel" as const, "take" as const, "turn" as const) })
    },
    { weight: 1, arbitrary: fc.record({ _tag: fc.constant("move" as const) }) }
  ) as fc.Arbitrary<Step>

  it("nothing is lost, doubled or reordered, and the bounds hold", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(step, { maxLength: 60 }),
        fc.record({ messages: fc.integer({ min: 1, max: 5 }), bytes: fc.integer({ min: 10, max: 150_000 }) }),
        fc.boolean(),
        async (steps, limits, politely) => {
          const first = make(limits)
          let now = first
          const second = make({ messages: 3, bytes: 1_000 })
          // What the model says: data in order of being taken, and the number of those who still wait.
          const taken: Array<number> = []
          const control: Array<number> = []
          const refused = new Set<number>()
          const cancels: Array<() => void> = []
          let number = 0
          for (const next of steps) {
            const { outbox } = now
            switch (next._tag) {
              case "offer": {
                const n = number++
                const room = outbox.hasRoom(next.bytes + 8)
                const was = outbox.offer({ frame: numbered(next.bytes, 0, n), id: String(n) })
                assert.strictEqual(was, room)
                if (was) taken.push(n)
                break
              }
              case "later": {
                const n = number++
                cancels.push(
                  outbox.offerLater({ frame: numbered(next.bytes, 0, n), id: String(n) }, (was) => {
                    assert.isFalse(taken.includes(n) || refused.has(n), "settled once")
                    if (was) taken.push(n)
                    else refused.add(n)
                  })
                )
                break
              }
              case "control": {
                const n = number++
                control.push(n)
                outbox.offerControl(numbered(next.bytes, 1, n))
                break
              }
              case "cancel":
                cancels.shift()?.()
                break
              case "take":
                now.link.take()
                break
              case "turn":
                await turn()
                break
              case "move":
                if (now === first) {
                  first.outbox.moveTo(second.outbox)
                  now = second
                }
            }
            if (now === first && outbox.queued > 1) {
              assert.isAtMost(outbox.queued, limits.messages)
              assert.isAtMost(outbox.queuedBytes, limits.bytes)
            }
          }
          let unsent: ReadonlyArray<string | undefined> = []
          if (politely) now.outbox.finish(undefined, () => {})
          else unsent = now.outbox.abandon().map(({ id }) => id)
          await takeAll(first.link)
          await takeAll(second.link)
          const sent = [...parse(first.link.written), ...parse(second.link.written)]
          assert.deepStrictEqual(
            [...sent.filter((what) => what.startsWith("data")), ...unsent.map((id) => `data ${id}`)],
            taken.map((n) => `data ${n}`)
          )
          assert.deepStrictEqual(
            sent.filter((what) => what.startsWith("control")),
            control.map((n) => `control ${n}`)
          )
          assert.strictEqual(first.outbox.framesOut + second.outbox.framesOut, sent.length)
          assert.strictEqual(
            first.outbox.bytesOut + second.outbox.bytesOut,
            first.link.written.length + second.link.written.length
          )
        }
      ),
      { numRuns: 150 }
    )
  })
})

/** An outbox whose pings are one byte `2`, behind which `windowBytes` have been written and no answer has come. */
const filled = async () => {
  const link = new ManualLink()
  let pings = 0
  const outbox: Outbox = new Outbox(
    link,
    wide,
    () => {},
    () => {
      pings++
      outbox.offerPing(frame(1, 2))
    }
  )
  const send = async (count: number): Promise<void> => {
    for (let i = 0; i < count; i++) outbox.offer(message(sliceBytes))
    await takeAll(link)
  }
  // The first answer comes at once: nothing was in its way.
  await send((2 * windowBytes) / sliceBytes)
  outbox.onAnswered(1)
  await send((4 * windowBytes) / sliceBytes)
  return { link, outbox, pings: () => pings, send }
}

describe("Outbox and what is under way", () => {
  it("is not bounded where no ping has been answered yet", async () => {
    const link = new ManualLink()
    const outbox: Outbox = new Outbox(
      link,
      wide,
      () => {},
      () => outbox.offerPing(frame(1, 2))
    )
    for (let i = 0; i < 140; i++) outbox.offer(message(sliceBytes))
    await takeAll(link)
    assert.strictEqual(link.written.length, 140 * sliceBytes + 1)
  })

  it("asks how far the other end is, once, and stops until it says so", async () => {
    const { link, outbox, pings } = await filled()
    assert.strictEqual(pings(), 2)
    const behind = link.written.length - link.written.lastIndexOf(2)
    // All that was written before the first answer had come at once.
    assert.isAtLeast(behind, windowBytes)
    assert.isAtMost(behind, 3 * windowBytes + sliceBytes)
    assert.isAbove(outbox.queued, 0)
    assert.isFalse(outbox.isWriting)
  })

  it("goes on when it is answered, behind the next ping", async () => {
    const { link, outbox, pings } = await filled()
    const [queued, before] = [outbox.queued, link.written.length]
    outbox.onAnswered(50)
    await takeAll(link)
    assert.isBelow(outbox.queued, queued)
    assert.strictEqual(pings(), 3)
    assert.isAbove(link.written.lastIndexOf(2), before - 1)
  })

  it("writes frames of the protocol all the same", async () => {
    const { link, outbox } = await filled()
    const before = link.written.length
    outbox.offerControl(frame(7, 3))
    await takeAll(link)
    assert.deepStrictEqual([...link.written.subarray(before)], [3, 3, 3, 3, 3, 3, 3])
  })

  it("is not bounded where pings are not answered any more, until one is", async () => {
    const { link, outbox, send } = await filled()
    outbox.onUnanswered()
    await takeAll(link)
    assert.strictEqual(outbox.queued, 0)
    outbox.onAnswered(1_000)
    const before = link.written.length
    await send(100)
    assert.isAbove(outbox.queued, 0)
    assert.isAtMost(link.written.length - before, 2 * windowBytes)
  })

  it("holds a sender back until the answer comes, or for a moment", async () => {
    const { link, outbox } = await filled()
    assert.isTrue(outbox.isAhead)
    link.whenIdle = (run) => void setImmediate(run)
    let goneOn = 0
    outbox.onTold(() => goneOn++)
    await new Promise((resolve) => {
      outbox.onTold(() => resolve(undefined))
    })
    assert.strictEqual(goneOn, 1, "without an answer")
    assert.isTrue(outbox.isAhead)
    outbox.onTold(() => goneOn++)
    assert.strictEqual(goneOn, 1)
    outbox.onAnswered(50)
    assert.strictEqual(goneOn, 2)
  })

  it("where a link does not tell of turns, holds a sender back for what runs now", async () => {
    const { link, outbox } = await filled()
    let goneOn = 0
    outbox.onTold(() => goneOn++)
    assert.strictEqual(goneOn, 0)
    await turn()
    assert.strictEqual(goneOn, 1)
    assert.isTrue(outbox.isAhead)
    outbox.onUnanswered()
    await takeAll(link)
    assert.isFalse(outbox.isAhead)
  })

  it("neither holds back what goes to many, nor counts it", async () => {
    const { link, outbox, pings } = await filled()
    outbox.onUnanswered()
    await takeAll(link)
    outbox.onAnswered(50)
    await takeAll(link)
    const before = { pings: pings(), written: link.written.length }
    for (let i = 0; i < 100; i++) {
      outbox.offer({ ...message(sliceBytes), isShared: true })
      await takeAll(link)
    }
    assert.isAtMost(pings() - before.pings, 1)
    assert.isAtLeast(link.written.length - before.written, 100 * sliceBytes)
    // Behind those that are for this peer alone it keeps its place.
    for (let i = 0; i < 40; i++) outbox.offer(message(sliceBytes))
    outbox.offer({ ...message(10, "last", 8), isShared: true })
    await takeAll(link)
    assert.isAbove(outbox.queued, 1)
    assert.strictEqual(link.written.indexOf(8), -1)
    outbox.onUnanswered()
    await takeAll(link)
    assert.strictEqual(link.written.at(-1), 8)
  })

  it("is not bounded where no more will follow", async () => {
    const { link, outbox } = await filled()
    let done = false
    outbox.finish(frame(1, 9), () => {
      done = true
    })
    await takeAll(link)
    assert.isTrue(done)
    assert.strictEqual(outbox.queued, 0)
    assert.strictEqual(link.written.at(-1), 9)
  })
})
