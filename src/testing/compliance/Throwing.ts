/** Faults of whoever is called stay with the link they happen on. */
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import type { Definition } from "./Bench.js"
import { text } from "./Sample.js"
import type { WatchedLink } from "./WatchedLink.js"

const group = "receivers that throw"

const destroyed = "the link is destroyed, and onClose is told what was thrown"

export const throwing: ReadonlyArray<Definition> = [
  ...(["onData", "onEnd"] as const).map((method): Definition => ({
    level: "link",
    group,
    name: `${method}: the link is destroyed with what was thrown, and no other is`,
    body: (bench) =>
      Effect.gen(function* () {
        const bad = yield* bench.pair
        const good = yield* bench.pair
        const fault = new Error("a fault of the receiver")
        const heard = bad.far.record({
          [method]: () => {
            throw fault
          }
        })
        const others = good.far.record()
        const dialer = bad.near.record()
        bad.near.write([text(0, 100_000)], () => {})
        bad.near.end()
        yield* bench.until(
          destroyed,
          () => heard.isClosed,
          () => heard
        )
        yield* bench.check(destroyed, heard.cause === fault, heard)
        yield* bench.same(
          "nothing else is told after the throw",
          heard.course,
          method === "onData" ? "data, close" : "data, end, close"
        )
        yield* bench.until(
          "the other end sees its link end or break",
          () => dialer.events.length > 0,
          () => dialer
        )
        yield* bench.deliver(good.near, text(0, 1_000))
        yield* bench.until(
          "other links go on",
          () => others.bytes >= 1_000,
          () => others
        )
      })
  })),
  {
    level: "link",
    group,
    name: "a throw when a link is accepted destroys that link only",
    body: (bench) =>
      Effect.gen(function* () {
        const links: Array<WatchedLink> = []
        const { address } = yield* bench.listen((link) => {
          links.push(link)
          if (links.length === 1) throw new Error("not this one")
        })
        // It may end so early that the dial itself is told.
        const bad = yield* Effect.either(bench.dial(address))
        if (Either.isRight(bad)) {
          const dialer = bad.right.record()
          yield* bench.until(
            "the dialer sees its link end or break",
            () => dialer.events.length > 0,
            () => dialer
          )
        }
        const good = yield* bench.dial(address)
        yield* bench.until(
          "the next link is accepted",
          () => links.length === 2,
          () => `${links.length} links were`
        )
        const heard = links[1]?.record()
        yield* bench.deliver(good, text(0, 10))
        yield* bench.until(
          "and carries bytes",
          () => heard !== undefined && heard.bytes >= 10,
          () => heard
        )
      })
  },
  {
    level: "link",
    group,
    name: "a throw when a write is done destroys that link only",
    body: (bench) =>
      Effect.gen(function* () {
        const bad = yield* bench.pair
        const good = yield* bench.pair
        const heard = bad.near.record()
        const others = good.far.record()
        const fault = new Error("a fault of the writer")
        bad.near.write([text(0, 10)], () => {
          throw fault
        })
        yield* bench.until(
          destroyed,
          () => heard.isClosed,
          () => heard
        )
        yield* bench.check(destroyed, heard.cause === fault, heard)
        yield* bench.deliver(good.near, text(0, 10))
        yield* bench.until(
          "other links go on",
          () => others.bytes >= 10,
          () => others
        )
      })
  }
]
