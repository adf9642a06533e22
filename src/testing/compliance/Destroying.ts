/** Links that are ended at once, by one end. */
import * as Effect from "effect/Effect"
import type { Definition } from "./Bench.js"
import { difference, text } from "./Sample.js"

const group = "destroying"

const learns = "the other end sees its link end or break"

export const destroying: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "closes once with the cause given, and the other end learns of it",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const [nearHeard, farHeard] = [near.record(), far.record()]
        yield* bench.deliver(far, text(0, 10))
        yield* bench.until(
          "10 bytes arrive",
          () => nearHeard.bytes >= 10,
          () => nearHeard
        )
        near.destroy("the cause")
        near.destroy("another")
        yield* bench.until(
          "onClose is called on a link destroyed",
          () => nearHeard.isClosed,
          () => nearHeard
        )
        near.destroy("a third")
        yield* bench.until(
          learns,
          () => farHeard.isEnded || farHeard.isClosed,
          () => farHeard
        )
        far.end()
        yield* bench.until(
          "the other end closes, once it has ended as well",
          () => farHeard.isClosed,
          () => farHeard
        )
        yield* bench.same("the link destroyed tells of its close and of nothing else", nearHeard.course, "data, close")
        yield* bench.same("onClose is told the first cause given", nearHeard.cause, "the cause")
      })
  },
  {
    level: "link",
    group,
    name: "without a cause closes without one",
    body: (bench) =>
      Effect.gen(function* () {
        const { near } = yield* bench.pair
        const heard = near.record()
        near.destroy()
        yield* bench.until(
          "onClose is called on a link destroyed",
          () => heard.isClosed,
          () => heard
        )
        yield* bench.same("nothing else is told", heard.course, "close")
        yield* bench.check("there is no cause where none was given", heard.cause === undefined, heard)
      })
  },
  {
    level: "link",
    group,
    name: "what is written to a destroyed or closed link is told so, once for each write",
    body: (bench) =>
      Effect.gen(function* () {
        const { near } = yield* bench.pair
        const heard = near.record()
        const causes: Array<unknown> = []
        const note = (cause: unknown): void => void causes.push(cause)
        near.destroy("gone")
        near.write([text(0, 10)], note)
        near.write([text(0, 10), text(0, 10)], note)
        near.write([], note)
        yield* bench.until(
          "onClose is called on a link destroyed",
          () => heard.isClosed,
          () => heard
        )
        near.write([text(0, 10)], note)
        yield* bench.until(
          "done is called for every write, also where the link is gone",
          () => causes.length >= 4,
          () => `${causes.length} of 4 were told of`
        )
        yield* bench.same("each is told the cause given", causes.map(String).join(", "), "gone, gone, gone, gone")
      })
  },
  {
    level: "link",
    group,
    name: "a link destroyed before it is attached tells its receiver so, once, later",
    body: (bench) =>
      Effect.gen(function* () {
        const { near } = yield* bench.pair
        near.destroy("early")
        yield* bench.rest
        const heard = near.record()
        yield* bench.until(
          "onClose is called though the link was gone when its receiver came",
          () => heard.isClosed,
          () => heard
        )
        yield* bench.same("nothing else is told", heard.course, "close")
        yield* bench.same("onClose is told the cause given", heard.cause, "early")
      })
  },
  {
    level: "link",
    group,
    name: "a link that the other end destroys before it is attached tells its receiver so",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        near.destroy()
        yield* bench.rest
        const heard = far.record()
        yield* bench.until(
          learns,
          () => heard.isEnded || heard.isClosed,
          () => heard
        )
        far.end()
        yield* bench.until(
          "it closes",
          () => heard.isClosed,
          () => heard
        )
      })
  },
  {
    level: "link",
    group,
    name: "after the end of all that was to be said does not take it back",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        near.record()
        yield* bench.deliver(near, text(0, 4_000))
        near.end()
        yield* bench.rest
        near.destroy()
        yield* bench.rest
        const heard = far.record()
        yield* bench.until(
          "the end arrives all the same",
          () => heard.isEnded,
          () => heard
        )
        const fault = difference(heard.chunks, 4_000)
        yield* bench.check("and so does all that was written before it", fault === undefined, fault)
        far.end()
        yield* bench.until(
          "the other end closes, once it has ended as well",
          () => heard.isClosed,
          () => heard
        )
      })
  },
  {
    level: "link",
    group,
    name: "a paused link closes as well",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, near } = yield* bench.pair
        const heard = far.record({ onData: () => far.pause() })
        near.write([text(0, 500_000)], () => {})
        yield* bench.until(
          "bytes arrive",
          () => heard.bytes > 0,
          () => heard
        )
        const { bytes } = heard
        far.destroy("paused")
        yield* bench.until(
          "onClose is called on a link destroyed, paused or not",
          () => heard.isClosed,
          () => heard
        )
        yield* bench.same("no bytes come once it is destroyed", heard.bytes, bytes)
        yield* bench.same("onClose is told the cause given", heard.cause, "paused")
      })
  }
]
