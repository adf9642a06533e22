/** Dials that are given up, and many at once. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Option from "effect/Option"
import type { PeerAddress } from "../../PeerAddress.js"
import type { Link } from "../../Transport.js"
import type { Definition } from "./Bench.js"
import { difference, text } from "./Sample.js"
import type { Heard } from "./WatchedLink.js"

const group = "dialing"

/** Some of a dial's way: nothing of it, a few turns, or as long as the event loop takes for a round. */
const someWay = (turn: number): Effect.Effect<void> =>
  turn % 4 === 3 ? Effect.sleep("1 millis") : Effect.replicateEffect(Effect.yieldNow(), turn % 11, { discard: true })

export const dialing: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "abandoned at any moment, leaves no link behind",
    body: (bench) =>
      Effect.gen(function* () {
        const accepted: Array<Heard> = []
        const { address } = yield* bench.listen((link) => accepted.push(link.record({ onEnd: () => link.end() })))
        const kept: Array<Link> = []
        yield* Effect.addFinalizer(() =>
          Effect.sync(() => {
            for (const link of kept) link.destroy()
          })
        )
        for (let turn = 0; turn < 44; turn++) {
          const fiber = yield* Effect.fork(bench.transport.dial(address))
          yield* someWay(turn)
          const exit = yield* bench.doing("a dial can be interrupted at any moment", Fiber.interrupt(fiber))
          if (Exit.isSuccess(exit)) kept.push(exit.value)
        }
        const heard = (yield* bench.dial(address)).record()
        const open = () => accepted.filter(({ isClosed }) => !isClosed).length
        const links = kept.length + 1
        yield* bench.until(
          "only links that a dial gave stay open at the listener",
          () => open() === links,
          () => `${open()} are open where ${links} dials succeeded`
        )
        yield* bench.rest
        yield* bench.same("the links that dials gave stay open", open(), links)
        yield* bench.check("the last link is as it was", heard.course === "", heard)
      })
  },
  {
    level: "link",
    group,
    name: "many links at once are all kept apart",
    body: (bench) =>
      Effect.gen(function* () {
        const { address } = yield* bench.listen((link) => {
          link.attach({
            onData: (chunk) => link.write([chunk], () => {}),
            onEnd: () => link.end(),
            onClose: () => {}
          })
        })
        yield* Effect.forEach(
          Array.from({ length: 50 }, (_, index) => index),
          (index) =>
            Effect.gen(function* () {
              const link = yield* bench.dial(address)
              const heard = link.record()
              link.write([text(index, 1_000)], () => {})
              link.end()
              yield* bench.until(
                "each of 50 links gets its echo and closes",
                () => heard.isClosed,
                () => heard
              )
              yield* bench.check("in peace", heard.cause === undefined, heard)
              const fault = difference(heard.chunks, 1_000, index)
              yield* bench.check("each link carries its own bytes", fault === undefined, fault)
            }),
          { concurrency: 50, discard: true }
        )
      })
  }
]

/** Only where there is an address at which nothing answers. */
export const dialingSilence = (address: PeerAddress): Definition => ({
  level: "link",
  group,
  name: "an address that answers nothing keeps the dial waiting, until it is interrupted",
  body: (bench) =>
    Effect.gen(function* () {
      const fiber = yield* Effect.fork(bench.transport.dial(address))
      yield* bench.rest
      const early = Option.getOrUndefined(yield* Fiber.poll(fiber))
      yield* bench.check("the dial waits for an answer", early === undefined, early)
      const exit = yield* bench.doing("a dial that waits can be interrupted", Fiber.interrupt(fiber))
      yield* bench.check("it ends as interrupted", Exit.isInterrupted(exit), exit)
    })
})
