/** Listeners that come to an end, and the links they leave. */
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Scope from "effect/Scope"
import { flood } from "./BackPressure.js"
import type { Bench, Definition } from "./Bench.js"
import type { PeerAddress } from "../../PeerAddress.js"
import { text } from "./Sample.js"
import type { WatchedLink } from "./WatchedLink.js"

const group = "listening"

const isRefused = (bench: Bench, address: PeerAddress) =>
  Effect.gen(function* () {
    const dialed = yield* Effect.either(bench.dial(address))
    const promised = "who dials after that is refused"
    if (dialed._tag === "Right") return yield* bench.check(promised, false, "the dial gave a link")
    yield* bench.check(promised, dialed.left._tag === "DialRefused", dialed.left)
  })

export const listening: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "closing its scope returns with idle and non-reading peers connected, and destroys their links",
    body: (bench) =>
      Effect.gen(function* () {
        const links: Array<WatchedLink> = []
        const scope = yield* Scope.make()
        const { address } = yield* Scope.extend(
          bench.listen((link) => links.push(link)),
          scope
        )
        const dialed: Array<WatchedLink> = []
        for (let count = 1; count <= 3; count++) {
          dialed.push(yield* bench.dial(address))
          yield* bench.until(
            "a dialed link has its other end at the listener",
            () => links.length === count,
            () => `${links.length} of ${count} were accepted`
          )
        }
        const heard = links.map((link) => link.record())
        // The third reads nothing of what is written to it.
        const peers = dialed.slice(0, 2).map((link) => link.record())
        const writers = links.slice(2).map(flood)
        yield* bench.settled(() => writers.reduce((sum, { taken }) => sum + taken, 0))

        yield* bench.doing("closing the scope of a listener returns", Scope.close(scope, Exit.void))
        yield* bench.until(
          "the links accepted are destroyed",
          () => heard.every(({ isClosed }) => isClosed),
          () => heard.join("; ")
        )
        for (const one of heard) {
          yield* bench.check("their onClose has a cause: they did not end in peace", one.cause !== undefined, one)
        }
        yield* bench.until(
          "the write that was held up is told so",
          () => writers.every(({ failure }) => failure !== undefined),
          () => "it was not"
        )
        yield* bench.until(
          "the other ends see their links end or break",
          () => peers.every(({ events }) => events.length > 0),
          () => peers.join("; ")
        )
        yield* isRefused(bench, address)
        const again = yield* bench.transport.listen(address, () => {})
        yield* bench.same("the address is free again", String(again.address), String(address))
      })
  },
  {
    level: "link",
    group,
    name: "to stop accepting refuses new links and leaves the others alone",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, listener, near } = yield* bench.pair
        const heard = [near.record(), far.record()]
        yield* bench.doing("stopAccepting does not wait for the links there are", listener.stopAccepting)
        yield* bench.doing("stopAccepting may be asked for twice", listener.stopAccepting)
        yield* isRefused(bench, listener.address)
        yield* bench.deliver(near, text(0, 5_000))
        yield* bench.deliver(far, text(0, 5_000))
        yield* bench.until(
          "links accepted before go on",
          () => heard.every(({ bytes }) => bytes >= 5_000),
          () => heard.join("; ")
        )
        yield* bench.check("and stay open", !heard.some(({ isClosed }) => isClosed), heard.join("; "))
      })
  },
  {
    level: "link",
    group,
    name: "closing its scope leaves the links of other listeners alone",
    body: (bench) =>
      Effect.gen(function* () {
        const scope = yield* Scope.make()
        const first = yield* Scope.extend(
          bench.listen((link) => link.record()),
          scope
        )
        const { far, near } = yield* bench.pair
        const kept = [near.record(), far.record()]
        const lost = (yield* bench.dial(first.address)).record()
        yield* Scope.close(scope, Exit.void)
        yield* bench.until(
          "the other end of a link destroyed sees it end or break",
          () => lost.events.length > 0,
          () => lost
        )
        yield* bench.rest
        for (const one of kept) yield* bench.check("links of another listener stay as they are", one.course === "", one)
      })
  }
]
