/** Who does not read is not flooded, and holds up its own writers only. */
import * as Effect from "effect/Effect"
import type { Link } from "../../Transport.js"
import type { Definition } from "./Bench.js"
import { difference, text } from "./Sample.js"

const group = "back-pressure"

const mebibyte = 1_048_576

/** More than this no end, and nothing in between, may hold for one that does not read. */
const mostHeld = 64 * mebibyte

/** Writes on and on to an end that does not read, until no more can be written, or far too much was taken. */
export const flood = (link: Link) => {
  const chunk = text(0, 65_536)
  const state = { taken: 0, failure: undefined as unknown, calls: 0 }
  const more = (): void =>
    link.write([chunk], (cause) => {
      state.calls++
      state.failure = cause
      if (cause !== undefined) return
      state.taken += chunk.length
      if (state.taken <= mostHeld) more()
    })
  more()
  return state
}

const bounded = "a writer is held up before 64 MiB are taken for an end that does not read"

export const backPressure: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "a receiver that pauses gets no more than one chunk, and the rest on resuming",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        let pausing = true
        const heard = far.record({
          onData: () => {
            if (pausing) far.pause()
          }
        })
        const total = 500_000
        near.write([text(0, total)], () => {})
        for (let turn = 0, seen = 0; turn < 8 && heard.bytes < total; turn++, far.resume()) {
          yield* bench.until(
            "bytes come once reading is resumed",
            () => heard.chunks.length > seen,
            () => heard
          )
          yield* bench.rest
          const came = heard.chunks.length - seen
          yield* bench.check("a paused receiver gets one more chunk at most", came <= 2, `${came - 1} came after pause`)
          seen = heard.chunks.length
        }
        pausing = false
        far.resume()
        yield* bench.until(
          `all of the ${total} bytes arrive`,
          () => heard.bytes >= total,
          () => heard
        )
        const fault = difference(heard.chunks, total)
        yield* bench.check("the bytes are those written, in order", fault === undefined, fault)
      })
  },
  {
    level: "link",
    group,
    name: "a link paused before it is attached reads nothing until it is resumed",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        far.pause()
        const heard = far.record()
        yield* bench.deliver(near, text(0, 1_000))
        yield* bench.rest
        yield* bench.check("nothing is handed over while paused", heard.events.length === 0, heard)
        far.resume()
        yield* bench.until(
          "the bytes come on resuming",
          () => heard.bytes >= 1_000,
          () => heard
        )
      })
  },
  ...(["not attached", "paused"] as const).map((state): Definition => ({
    level: "link",
    group,
    name: `an end that is ${state} holds up its writer, with little of what is written in memory`,
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        if (state === "paused") {
          far.pause()
          far.record()
        }
        const writer = flood(near)
        yield* bench.settled(() => writer.taken)
        yield* bench.check(bounded, writer.taken <= mostHeld, `${writer.taken} bytes were taken`)
      })
  })),
  {
    level: "link",
    group,
    name: "an end that does not read holds up its own writer only, who is told when the link is destroyed",
    body: (bench) =>
      Effect.gen(function* () {
        const slow = yield* bench.pair
        const quick = yield* bench.pair
        const closed = slow.near.record()
        const writer = flood(slow.near)
        const taken = yield* bench.settled(() => writer.taken)
        yield* bench.check(bounded, taken <= mostHeld, `${taken} bytes were taken`)
        const heard = quick.far.record()
        yield* bench.deliver(quick.near, text(0, 10_000))
        yield* bench.until(
          "another link goes on meanwhile",
          () => heard.bytes >= 10_000,
          () => heard
        )
        const { calls } = writer
        slow.near.destroy("enough")
        yield* bench.until(
          "the write that is held up is told of the end",
          () => writer.calls > calls && closed.isClosed,
          () => closed
        )
        yield* bench.same("a write on a link destroyed is told the cause", writer.failure, "enough")
        yield* bench.same("onClose is told the cause given", closed.cause, "enough")
      })
  }
]
