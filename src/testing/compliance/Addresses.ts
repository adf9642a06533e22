/** Where links go, and who is there. */
import * as Effect from "effect/Effect"
import type { Definition } from "./Bench.js"

const group = "addresses"

export const addresses: ReadonlyArray<Definition> = [
  {
    level: "link",
    group,
    name: "listening at port 0 gives the real port, and both ends see each other's address",
    body: (bench) =>
      Effect.gen(function* () {
        const { far, listener, near } = yield* bench.pair
        const { address } = listener
        yield* bench.same("the host is the one asked for", address.host, bench.address.host)
        yield* bench.check("the port is the real one", address.port > 0, address.port)
        yield* bench.same("the dialed link is seen to lead to the listener", String(near.remote), String(address))
        yield* bench.same("the accepted link is at the listener", String(far.local), String(address))
        yield* bench.same("the accepted link is seen to come from the dialer", String(far.remote), String(near.local))
        yield* bench.check("two ends have two addresses", String(near.local) !== String(near.remote), near.local)
      })
  },
  {
    level: "link",
    group,
    name: "two listeners at port 0 get different ports",
    body: (bench) =>
      Effect.gen(function* () {
        const [one, other] = [yield* bench.listen(), yield* bench.listen()]
        yield* bench.check("the ports differ", one.address.port !== other.address.port, `${one.address} twice`)
      })
  },
  {
    level: "link",
    group,
    name: "an address in use is not given twice",
    body: (bench) =>
      Effect.gen(function* () {
        const { address } = yield* bench.listen()
        const second = yield* Effect.either(bench.transport.listen(address, () => {}))
        const promised = "listening at an address in use fails with ListenFailed, AddressInUse"
        if (second._tag === "Right") return yield* bench.check(promised, false, `it was given twice: ${address}`)
        yield* bench.check(promised, second.left.reason === "AddressInUse", second.left)
        yield* bench.same("the error names the address", String(second.left.address), String(address))
      })
  },
  {
    level: "link",
    group,
    name: "an address that nobody listens at refuses",
    body: (bench) =>
      Effect.gen(function* () {
        const { address } = yield* Effect.scoped(bench.listen())
        const dialed = yield* Effect.either(bench.dial(address))
        const promised = "the dial fails with DialRefused"
        if (dialed._tag === "Right") return yield* bench.check(promised, false, "it gave a link")
        yield* bench.check(promised, dialed.left._tag === "DialRefused", dialed.left)
        yield* bench.same("the error names the address", String(dialed.left.address), String(address))
      })
  },
  {
    level: "link",
    group,
    name: "the host that is listened at resolves to itself",
    body: (bench) =>
      Effect.gen(function* () {
        const found = yield* bench.transport.resolve(bench.address)
        yield* bench.same("the address stands for itself", found.join(", "), String(bench.address))
      })
  }
]
