/** Links that are ended in peace, one direction after the other. */
import * as Effect from "effect/Effect"
import type { Definition } from "./Bench.js"
import { difference, text } from "./Sample.js"

const group = "ending"

export const ending: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "either end may go on after the other has ended, and both close in peace when both have",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const [nearHeard, farHeard] = [near.record(), far.record()]
        yield* bench.deliver(near, text(0, 1_000))
        near.end()
        near.end()
        yield* bench.until(
          "the other end is told that no more is sent",
          () => farHeard.isEnded,
          () => farHeard
        )
        const first = difference(farHeard.chunks, 1_000)
        yield* bench.check("all that was written before the end came before it", first === undefined, first)
        yield* bench.deliver(far, text(0, 300_000))
        yield* bench.until(
          "an end that has ended goes on reading",
          () => nearHeard.bytes >= 300_000,
          () => nearHeard
        )
        yield* bench.check("what one end ends, the other has not ended", nearHeard.course === "data", nearHeard)
        yield* bench.check("a link that one end has ended stays open", !farHeard.isClosed, farHeard)
        far.end()
        yield* bench.until(
          "both ends close once both have ended",
          () => nearHeard.isClosed && farHeard.isClosed,
          () => `${nearHeard} at the one end, ${farHeard} at the other`
        )
        const second = difference(nearHeard.chunks, 300_000)
        yield* bench.check("the bytes are those written, in order", second === undefined, second)
        for (const heard of [nearHeard, farHeard]) {
          yield* bench.same("data, then the end, then the close", heard.course, "data, end, close")
          yield* bench.check(
            "a link that both ends have ended closes without a cause",
            heard.cause === undefined,
            heard
          )
        }
      })
  },
  {
    level: "link",
    group,
    name: "what is written before the end arrives though input is left unread",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        yield* bench.deliver(far, text(0, 4_000))
        near.write([text(0, 400_000)], () => {})
        near.end()
        const heard = far.record()
        yield* bench.until(
          "the end comes",
          () => heard.isEnded,
          () => heard
        )
        const fault = difference(heard.chunks, 400_000)
        yield* bench.check("all that was written came before it", fault === undefined, fault)
        yield* bench.check("the link stays open for the other direction", !heard.isClosed, heard)
        const late = near.record()
        yield* bench.until(
          "what came before a receiver was attached is handed over",
          () => late.bytes >= 4_000,
          () => late
        )
      })
  },
  {
    level: "link",
    group,
    name: "a write on an ended link is told so, and the link goes on reading",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const heard = near.record()
        near.end()
        const cause = yield* bench.write(near, text(0, 10))
        yield* bench.check("a write after the end is done with a cause", cause !== undefined, "no cause")
        yield* bench.deliver(far, text(0, 10))
        yield* bench.until(
          "the link goes on reading",
          () => heard.bytes >= 10,
          () => heard
        )
        yield* bench.same("nothing but data is told", heard.course, "data")
      })
  }
]
