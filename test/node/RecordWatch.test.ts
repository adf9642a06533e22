import { afterEach, assert, beforeEach, describe, it, vi } from "@effect/vitest"
import { EventEmitter } from "node:events"
import type * as Net from "node:net"
import { RecordWatch } from "../../src/node/RecordWatch.js"

/** As much of a socket, and of the stream over it, as is watched. */
class Counting extends EventEmitter {
  bytesRead = 500
}

const make = () => {
  const watch = new RecordWatch()
  const begin = () => {
    const [socket, stream] = [new Counting(), new Counting()]
    const link = { socket, stream, cuts: 0 }
    watch.begin(socket as unknown as Net.Socket, stream as unknown as Net.Socket, () => link.cuts++)
    return link
  }
  return begin
}

describe("RecordWatch", () => {
  beforeEach(() => void vi.useFakeTimers())
  afterEach(() => void vi.useRealTimers())

  it("ends a link over which too much comes beside messages, at once or over time, and no other", () => {
    const begin = make()
    const [atOnce, overTime, honest, slow] = [begin(), begin(), begin(), begin()]
    atOnce.socket.bytesRead += 300_000
    for (let second = 0; second < 60; second++) {
      overTime.socket.bytesRead += 16_384
      // Messages of 11 bytes, each in a record of its own.
      honest.socket.bytesRead += 33_000_000
      honest.stream.bytesRead += 11_000_000
      // Bytes of messages that come one at a time.
      slow.socket.bytesRead += 23 * 180
      slow.stream.bytesRead += 180
      vi.advanceTimersByTime(1_000)
    }
    assert.deepStrictEqual(
      [atOnce, overTime, honest, slow].map(({ cuts }) => cuts),
      [1, 1, 0, 0]
    )
  })

  it("lets a link save up nothing for later", () => {
    const one = make()()
    one.socket.bytesRead += 1e9
    one.stream.bytesRead += 1e9
    vi.advanceTimersByTime(60_000)
    one.socket.bytesRead += 300_000
    vi.advanceTimersByTime(2_000)
    assert.strictEqual(one.cuts, 1)
  })

  it("looks no more where no link is left", () => {
    const begin = make()
    const all = [begin(), begin()]
    assert.strictEqual(vi.getTimerCount(), 1)
    for (const { stream } of all) stream.emit("close")
    assert.strictEqual(vi.getTimerCount(), 0)
    begin().socket.bytesRead += 300_000
    vi.advanceTimersByTime(2_000)
    assert.strictEqual(vi.getTimerCount(), 0)
  })
})
