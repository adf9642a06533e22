import { assert, describe, it } from "@effect/vitest"
import { Duplex } from "node:stream"
import { fromDuplex } from "../../src/node/DuplexLink.js"
import * as PeerAddress from "../../src/PeerAddress.js"

const addresses = { remote: PeerAddress.make("10.0.0.2", 50_000), local: PeerAddress.make("10.0.0.1", 9470) }

/** Takes whatever is written at once, as an operating system does whose other end keeps up. */
const insatiable = (): Duplex =>
  new Duplex({
    allowHalfOpen: true,
    read: () => {},
    write: (_chunk, _encoding, taken) => taken()
  })

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve))

/** Writes over each link without end, one write after the other: how many bytes have been taken. */
const writeOn = (streams: ReadonlyArray<Duplex>, bytes: number) => {
  const chunk = new Uint8Array(bytes)
  const written = { bytes: 0, stopped: false }
  for (const stream of streams) {
    const link = fromDuplex(stream, addresses)
    const next = (): void => {
      if (written.stopped) return
      // What makes a test fail that would else hang.
      if (written.bytes > 64_000_000) throw new Error("the event loop has no turn")
      link.write([chunk], () => {
        written.bytes += bytes
        next()
      })
    }
    next()
  }
  return written
}

describe("DuplexLink", () => {
  it("gives the event loop its turn, however much is written and taken", async () => {
    for (const [links, bytes] of [
      [1, 65_536],
      [1, 100],
      [50, 1_024]
    ] as const) {
      const streams = Array.from({ length: links }, insatiable)
      const written = writeOn(streams, bytes)
      let before = 0
      for (let turns = 0; turns < 5; turns++) {
        await turn()
        assert.isAtMost(written.bytes - before, 1_000_000, `${links} links, ${bytes} bytes at a time`)
        before = written.bytes
      }
      assert.isAbove(written.bytes, 500_000)
      written.stopped = true
      for (const stream of streams) stream.destroy()
    }
  })

  it("says whether all is taken, before it tells so", () => {
    const link = fromDuplex(insatiable(), addresses)
    let told = 0
    link.write([new Uint8Array(10)], () => told++)
    assert.deepStrictEqual([link.isTaken, told], [true, 0])
    const full = fromDuplex(new Duplex({ allowHalfOpen: true, read: () => {}, write: () => {} }), addresses)
    full.write([new Uint8Array(10)], () => told++)
    assert.isFalse(full.isTaken)
  })

  it("tells of each write once, in order, those that waited for the event loop too", async () => {
    const stream = insatiable()
    const link = fromDuplex(stream, addresses)
    const told: Array<string> = []
    const chunk = new Uint8Array(200_000)
    for (let i = 0; i < 5; i++) link.write([chunk], (cause) => told.push(`${i} ${cause === undefined}`))
    for (let turns = 0; turns < 5; turns++) await turn()
    assert.deepStrictEqual(told, ["0 true", "1 true", "2 true", "3 true", "4 true"])
    stream.destroy()
  })

  it("tells those who wait for the event loop when the stream is gone before", async () => {
    const stream = insatiable()
    const link = fromDuplex(stream, addresses)
    const told: Array<boolean> = []
    let closed = 0
    link.attach({ onData: () => {}, onEnd: () => {}, onClose: () => closed++ })
    for (let i = 0; i < 3; i++) link.write([new Uint8Array(300_000)], (cause) => told.push(cause === undefined))
    link.destroy(new Error("enough"))
    for (let turns = 0; turns < 5; turns++) await turn()
    assert.strictEqual(told.length, 3)
    assert.strictEqual(closed, 1)
  })
})
