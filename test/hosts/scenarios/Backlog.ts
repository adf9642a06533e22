/** Somebody listens and accepts nobody. */
import { assert } from "@effect/vitest"
import * as Effect from "effect/Effect"
import * as Fiber from "effect/Fiber"
import { HostNode } from "../support/HostNode.js"
import * as Network from "../support/network.js"
import * as Programs from "../support/programs.js"
import * as Switch from "../support/Switch.js"
import { now, watchDelays } from "../support/waiting.js"

const ports = ["7001", "7002", "7003", "7004"]

/** How long `connect` tries again by itself. */
const connectFor = 10_000

export const fullBacklog = Effect.gen(function* () {
  const hub = yield* Switch.make
  const folder = Network.newFolder()
  const [dialing, good, deaf] = yield* Effect.all([hub.host(1), hub.host(2), hub.host(3)])
  const listener = yield* Programs.run(deaf, "backlog", "listen", deaf.address, ...ports)
  yield* listener.says("listening")
  listener.child.kill("SIGSTOP")
  const filler = yield* Programs.run(deaf, "backlog", "fill", deaf.address, ...ports)
  yield* filler.says("full")

  const node = new HostNode(dialing, folder)
  const other = new HostNode(good, folder)
  yield* Effect.all([node.start({ env: Network.env }), other.start({ env: Network.env })], { concurrency: 2 })
  const slack = watchDelays()
  const begun = now()
  const deafDials = yield* Effect.fork(
    Effect.forEach(
      ports,
      (port) =>
        Effect.flip(node.ask({ command: "connect", address: `${deaf.address}:${port}` })).pipe(
          Effect.map(({ error }) => ({ tag: error._tag, after: now() - begun }))
        ),
      { concurrency: "unbounded" }
    )
  )
  // They are on their way.
  yield* Effect.sleep(200)
  const asked = now()
  yield* node.ask({ command: "connect", address: other.address })
  const held = now() - asked

  const failures = yield* Fiber.join(deafDials)
  const { errors } = yield* node.status
  const limit = slack()
  assert.isAtMost(held, limit, "another dial, ms")
  for (const { after, tag } of failures) {
    assert.strictEqual(tag, "DialTimeout")
    assert.isAtLeast(after, Network.connectTimeout)
    assert.isAtMost(after, 2 * Network.connectTimeout + connectFor + limit, "connect ends, ms")
  }
  // Each attempt by itself ends in time, or there would not be so many of them.
  const attempts = (errors["DialTimeout"] ?? 0) / ports.length
  assert.isAtLeast(attempts, 3, "attempts at each address")
  return `DialTimeout after ${attempts} attempts in ${Network.spread(failures.map(({ after }) => after))}; another dial took ${Math.round(held)} ms`
})
