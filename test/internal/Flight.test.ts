import { assert, describe, it } from "@effect/vitest"
import * as fc from "fast-check"
import { Flight, windowBytes } from "../../src/internal/Flight.js"

const sliceBytes = 65_536

interface Way {
  /** Bytes that the other end reads in a millisecond. */
  readonly rate: number
  /** Milliseconds there, and as many back. */
  readonly delay: number
}

/** What operating systems take of what is not read, beyond what is on the way. */
const roomBytes = 8_388_608

/**
 * A sender that always has something to send over such a way: in steps of a tenth of a
 * millisecond, how many bytes were read of all, and how many lay unread at most, after `settle` of `steps`.
 */
const saturate = ({ delay, rate }: Way, steps: number, settle: number) => {
  const flight = new Flight()
  const step = 0.1
  let written = 0
  let read = 0
  let readAtSettle = 0
  let mostUnread = 0
  let longest = 0
  const sent: Array<{ readonly end: number; readonly at: number }> = []
  const pings: Array<{ readonly position: number; readonly sentAt: number; answerAt: number | undefined }> = []
  for (let i = 0; i < steps; i++) {
    const now = i * step
    for (const ping of pings)
      ping.answerAt ??= read >= ping.position && now >= ping.sentAt + delay ? now + delay : undefined
    while (pings[0]?.answerAt !== undefined && pings[0].answerAt <= now) {
      const millis = now - pings[0].sentAt
      if (i > settle) longest = Math.max(longest, millis)
      flight.answered(written, millis)
      pings.shift()
    }
    // As fast as an operating system takes it that takes all there is.
    while (written - read < roomBytes + 2 * delay * rate && !flight.isFull(written)) {
      written += sliceBytes
      sent.push({ end: written, at: now + delay })
      if (flight.isDue(written)) {
        flight.asked(written)
        pings.push({ position: written, sentAt: now, answerAt: undefined })
      }
    }
    let arrived = read
    while (sent[0] !== undefined && sent[0].at <= now) arrived = sent.shift()?.end ?? arrived
    if (i === settle) readAtSettle = read
    const there = Math.max(read, arrived, sent[0] === undefined ? written : sent[0].end - sliceBytes)
    read = Math.min(there, read + rate * step)
    if (i > settle) mostUnread = Math.max(mostUnread, written - read)
  }
  return { share: (read - readAtSettle) / ((steps - settle) * step * rate), mostUnread, longest }
}

describe("Flight", () => {
  it("has a ping sent once so much is written that half a window may lie unread", () => {
    const flight = new Flight()
    assert.isFalse(flight.isDue(windowBytes / 2 - 1))
    assert.isTrue(flight.isDue(windowBytes / 2))
    flight.asked(windowBytes / 2)
    assert.isFalse(flight.isDue(100 * windowBytes))
    flight.answered(windowBytes / 2, 1)
    assert.isFalse(flight.isDue(windowBytes - 1))
    assert.isTrue(flight.isDue(windowBytes))
  })

  it("has no bound before the first answer, nor once it is lifted", () => {
    const flight = new Flight()
    flight.asked(0)
    assert.isFalse(flight.isFull(1e12))
    flight.answered(0, 1)
    flight.asked(0)
    assert.isFalse(flight.isFull(windowBytes - 1))
    assert.isTrue(flight.isFull(windowBytes))
    flight.lift()
    assert.isFalse(flight.isFull(1e12))
  })

  it("lets as much more go as the way held, where an answer took no longer than the fastest", () => {
    const flight = new Flight()
    flight.asked(0)
    flight.answered(10 * windowBytes, 100)
    flight.asked(10 * windowBytes)
    assert.isTrue(flight.isFull(21 * windowBytes))
    assert.isFalse(flight.isFull(21 * windowBytes - 1))
    flight.answered(20 * windowBytes, 200)
    flight.asked(20 * windowBytes)
    assert.isTrue(flight.isFull(26 * windowBytes))
    assert.isFalse(flight.isFull(26 * windowBytes - 1))
  })

  it("takes round trips of no time, as under a test's clock", () => {
    const flight = new Flight()
    flight.asked(0)
    flight.answered(windowBytes, 0)
    flight.asked(windowBytes)
    assert.isFalse(flight.isFull(2 * windowBytes))
    assert.isTrue(flight.isFull(3 * windowBytes))
  })

  it("keeps the reader busy, and little waiting for it, on ways short and long, fast and slow", () => {
    const way = fc.record({ rate: fc.integer({ min: 10_000, max: 400_000 }), delay: fc.integer({ min: 0, max: 60 }) })
    fc.assert(
      fc.property(way, (given) => {
        const held = given.rate * 2 * given.delay
        const { longest, mostUnread, share } = saturate(given, 60_000, 40_000)
        assert.isAtLeast(share, 0.98)
        // Before and behind the last ping a window and what the way holds, or seems to, as it was never seen at rest.
        const most = 3 * held + 3 * windowBytes + 4 * sliceBytes
        assert.isAtMost(mostUnread, most)
        assert.isAtMost(longest, 2 * given.delay + most / given.rate)
      }),
      { numRuns: 60 }
    )
  })
})
