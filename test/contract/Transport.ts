/** Holds a transport to its promises (`src/testing/TransportCompliance.ts`). Called by the tests of each transport. */
import { describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import type * as Layer from "effect/Layer"
import { setFlagsFromString } from "node:v8"
import { runInNewContext } from "node:vm"
import * as PeerAddress from "../../src/PeerAddress.js"
import * as TransportCompliance from "../../src/testing/TransportCompliance.js"
import { type Link, Transport } from "../../src/Transport.js"
import { dial, record, until } from "../utils/links.js"

// A context made after the flag is set has the garbage collector on call.
setFlagsFromString("--expose-gc")
const collectGarbage = runInNewContext("gc") as () => void

export const transportContract = (
  name: string,
  layer: Layer.Layer<Transport>,
  options: TransportCompliance.Options = {}
): void => {
  describe(`${name} keeps the promises of a transport`, () => {
    for (const { group, name: sentence, run } of TransportCompliance.cases(options)) {
      it.live(`${group}: ${sentence}`, () => Effect.provide(run, layer), 20_000)
    }

    it.scopedLive("a listener forgets the links that are over", () =>
      Effect.gen(function* () {
        const transport = yield* Transport
        const links: Array<WeakRef<Link>> = []
        let closed = 0
        const { address } = yield* transport.listen(PeerAddress.make("127.0.0.1", 0), (link) => {
          links.push(new WeakRef(link))
          link.attach({ onData: () => {}, onEnd: () => link.end(), onClose: () => closed++ })
        })
        for (let count = 0; count < 20; count++) {
          yield* Effect.scoped(Effect.map(dial(address), (link) => record(link)))
        }
        yield* until(() => closed === links.length && closed > 10)
        yield* until(() => {
          collectGarbage()
          return links.filter((link) => link.deref() !== undefined).length < 5
        })
      }).pipe(Effect.provide(layer))
    )
  })
}
