/**
 * Stopping a node in no time: what would be waited for, a handler that never ends, is not.
 *
 * @internal
 */
import * as Clock from "effect/Clock"
import * as Effect from "effect/Effect"
import type { P2PNetwork } from "../../P2PNetwork.js"

/** A clock in which every sleep is over at once. */
const sleepless = (clock: Clock.Clock): Clock.Clock => ({
  [Clock.ClockTypeId]: Clock.ClockTypeId,
  currentTimeMillis: clock.currentTimeMillis,
  currentTimeNanos: clock.currentTimeNanos,
  unsafeCurrentTimeMillis: () => clock.unsafeCurrentTimeMillis(),
  unsafeCurrentTimeNanos: () => clock.unsafeCurrentTimeNanos(),
  sleep: () => Effect.yieldNow()
})

/** Says goodbye over the links that are open, and does not wait for handlers: under a test clock nobody may move it. */
export const stopNow = (node: P2PNetwork["Type"]): Effect.Effect<void> =>
  Effect.clockWith((clock) => Effect.withClock(node.stop, sleepless(clock)))
