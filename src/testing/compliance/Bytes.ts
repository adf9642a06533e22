/** What is written arrives: all of it, in order, once. */
import * as Effect from "effect/Effect"
import type { Definition } from "./Bench.js"
import { difference, text } from "./Sample.js"

const group = "bytes"

export const bytes: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "arrive whole and in order both ways, however they are cut, and each write is told of in turn",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const heard = [near.record(), far.record()] as const
        const lengths = [1, 0, 4, 128, 5_000, 3, 70_000, 1, 200_000, 16]
        const turns = 10
        const told: readonly [Array<number>, Array<number>] = [[], []]
        const causes: Array<unknown> = []
        let sent = 0
        for (let turn = 0; turn < turns; turn++) {
          let from = sent
          const chunks = lengths.slice(0, turn + 1).map((length) => {
            const chunk = text(from, length)
            from += length
            return chunk
          })
          sent = from
          for (const [index, link] of ([near, far] as const).entries()) {
            link.write(chunks, (cause) => {
              if (cause !== undefined) causes.push(cause)
              told[index]?.push(turn)
            })
          }
        }
        yield* bench.until(
          `the ${sent} bytes written at each end arrive at the other`,
          () => heard.every((one) => one.bytes >= sent),
          () => heard.join("; ")
        )
        yield* bench.until(
          "done is called for every write",
          () => told.every((done) => done.length === turns),
          () => told.map((done) => `${done.length} of ${turns}`).join(" and ")
        )
        for (const { chunks } of heard) {
          const fault = difference(chunks, sent)
          yield* bench.check("the bytes are those written, in order", fault === undefined, fault)
        }
        yield* bench.check("a write on an open link is done without a cause", causes.length === 0, causes[0])
        const inTurn = Array.from({ length: turns }, (_, turn) => turn).join(" ")
        for (const done of told) yield* bench.same("writes are done in turn", done.join(" "), inTurn)
      })
  },
  {
    level: "link",
    group,
    name: "are the receiver's to keep, and the writer's to change once the write is done",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const heard = far.record()
        const chunk = new Uint8Array(1_000)
        for (let turn = 0; turn < 50; turn++) {
          chunk.set(text(turn * 1_000, 1_000))
          yield* bench.deliver(near, chunk)
          chunk.fill(0)
        }
        yield* bench.until(
          "the 50,000 bytes written arrive",
          () => heard.bytes >= 50_000,
          () => heard
        )
        const fault = difference(heard.chunks, 50_000)
        yield* bench.check("the arrays handed over keep what they held when they came", fault === undefined, fault)
      })
  },
  {
    level: "link",
    group,
    name: "may be none at all: that is done as well",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const heard = far.record()
        yield* bench.deliver(near)
        yield* bench.deliver(near, new Uint8Array(0))
        yield* bench.deliver(near, text(0, 3), new Uint8Array(0))
        yield* bench.until(
          "3 bytes arrive",
          () => heard.bytes >= 3,
          () => heard
        )
        const fault = difference(heard.chunks, 3)
        yield* bench.check("the bytes are those written", fault === undefined, fault)
      })
  },
  {
    level: "link",
    group,
    name: "wait for who is not attached yet, and so do the end and the close behind them",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const sender = near.record()
        yield* bench.deliver(near, text(0, 4_000))
        near.end()
        yield* bench.rest
        const heard = far.record()
        yield* bench.until(
          "the end arrives once a receiver is attached",
          () => heard.isEnded,
          () => heard
        )
        const fault = difference(heard.chunks, 4_000)
        yield* bench.check("the bytes written before are not lost", fault === undefined, fault)
        far.end()
        yield* bench.until(
          "both ends close once both have ended",
          () => heard.isClosed && sender.isClosed,
          () => [heard, sender].join("; ")
        )
        yield* bench.check("a link that both ends have ended closes in peace", heard.cause === undefined, heard)
        yield* bench.check("a link that both ends have ended closes in peace", sender.cause === undefined, sender)
      })
  },
  {
    level: "link",
    group,
    name: "are handed over while the receiver writes, pauses and resumes, never from within a call of the link",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const back = { bytes: 0 }
        far.attach({
          onData: (chunk) => {
            far.pause()
            far.write([chunk], () => {})
            far.resume()
          },
          onEnd: () => far.end(),
          onClose: () => {}
        })
        near.write([text(0, 100_000)], () => {})
        const heard = near.record({
          onData: (chunk) => {
            near.pause()
            back.bytes += chunk.length
            near.resume()
          }
        })
        near.write([text(100_000, 1)], () => {})
        near.end()
        near.write([text(0, 1)], () => {})
        yield* bench.until(
          "what is echoed comes back, with the end behind it, and both ends close",
          () => heard.isClosed && far.heard?.isClosed === true,
          () => `${heard} at the one end, ${far.heard} at the other`
        )
        const fault = difference(heard.chunks, 100_001)
        yield* bench.check("the bytes echoed are those written", fault === undefined, fault)
        near.write([text(0, 1)], () => {})
      })
  }
]
