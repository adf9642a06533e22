/** What a link does when the way is disturbed; the promises of a transport are tested in test/testing. */
import { assert, describe, it } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as Fiber from "effect/Fiber"
import * as Scope from "effect/Scope"
import * as PeerAddress from "../../../src/PeerAddress.js"
import type { Link } from "../../../src/Transport.js"
import { record } from "../../utils/links.js"
import { simulate } from "../../utils/simulated.js"

const bytes = new Uint8Array(10)
const address = PeerAddress.make("far", 1)
const nothing = { links: 0, listeners: 0, sleeps: 0, fibers: 0 }

describe("SimulatedLink", () => {
  it.effect("tells an end that it does not know that connection, where the reset before was lost", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const [near, far] = [simulated.transport("near"), simulated.transport("far")]
        let heard: ReturnType<typeof record> | undefined
        let accepted: Link | undefined
        yield* far.listen(address, (link) => {
          accepted = link
          heard = record(link)
        })
        const link = yield* near.dial(address)
        yield* Effect.sleep("10 millis")
        const free = yield* simulated.begin({ _tag: "Partition", groups: [["near"]] })
        link.destroy()
        yield* Effect.sleep("10 millis")
        yield* free
        yield* Effect.sleep("1 minute")
        assert.deepStrictEqual(heard?.events, [])
        accepted?.end()
        yield* Effect.sleep("10 millis")
        assert.deepStrictEqual(heard?.events, ["close"])
      })
    )
  )

  it.effect("is handed to nobody who has stopped listening while the process stood still", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        const [near, far] = [simulated.transport("near"), simulated.transport("far")]
        const scope = yield* Scope.make()
        let accepted = 0
        yield* Scope.extend(
          far.listen(address, () => accepted++),
          scope
        )
        const goOn = yield* simulated.begin({ _tag: "Pause", host: "far" })
        const heard = record(yield* near.dial(address))
        yield* Effect.sleep("10 millis")
        yield* Scope.close(scope, Exit.void)
        yield* goOn
        yield* Effect.sleep("10 millis")
        assert.strictEqual(accepted, 0)
        assert.deepStrictEqual(heard.events, ["close"])
        assert.deepStrictEqual(yield* simulated.leftovers, nothing)
      })
    )
  )

  it.effect("is not left behind by a dial that is interrupted when it has come and nobody knows yet", () =>
    simulate((simulated) =>
      Effect.gen(function* () {
        yield* simulated.transport("far").listen(address, (link) => void record(link, { onEnd: () => link.end() }))
        const dialing = yield* Effect.fork(simulated.transport("near").dial(address))
        const goOn = yield* simulated.begin({ _tag: "Pause", host: "near" })
        yield* Effect.sleep("10 millis")
        assert.strictEqual((yield* simulated.leftovers).links, 2)
        yield* Fiber.interrupt(dialing)
        yield* goOn
        yield* Effect.sleep("10 millis")
        assert.strictEqual((yield* simulated.leftovers).links, 0)
      })
    )
  )

  it.effect("takes bytes while its process stands still, as many as its system does", () =>
    simulate(
      (simulated) =>
        Effect.gen(function* () {
          const [near, far] = [simulated.transport("near"), simulated.transport("far")]
          let heard: ReturnType<typeof record> | undefined
          yield* far.listen(address, (link) => {
            heard = record(link)
          })
          const link = yield* near.dial(address)
          yield* Effect.sleep("10 millis")
          const goOn = yield* simulated.begin({ _tag: "Pause", host: "far" })
          let taken = 0
          for (let count = 0; count < 100; count++) link.write([bytes], () => (taken += bytes.length))
          yield* Effect.sleep("1 second")
          // One buffer at each end.
          assert.strictEqual(taken, 200)
          assert.strictEqual(heard?.bytes, 0)
          yield* goOn
          yield* Effect.sleep("1 second")
          assert.deepStrictEqual([taken, heard?.bytes], [1_000, 1_000])
        }),
      { capacity: 100 }
    )
  )
})
