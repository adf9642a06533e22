/**
 * Closing connections with grace, and all of them where the node stops.
 *
 * @internal
 */
import * as Effect from "effect/Effect"
import type { Connection } from "../../Connection.js"
import type * as Handshake from "../../Handshake.js"
import type { NodeId } from "../../NodeId.js"
import type { Admission } from "./Admission.js"
import type { Dialer } from "./Dialer.js"
import { disconnectedFor } from "./Endings.js"
import type { Faults } from "./Faults.js"
import { localError } from "./Refusals.js"
import type { Slots } from "./Slots.js"
import type { State } from "./State.js"

export interface Closing {
  readonly disconnect: (id: NodeId) => Effect.Effect<void>
  readonly giveUp: (id: NodeId) => Effect.Effect<void>
  /** Closes the connections of peers that the lists do not let in any more, at once. */
  readonly shutOut: () => void
  readonly shutdown: Effect.Effect<void>
  /** Ends every link that is left, without a word. */
  readonly destroyAll: Effect.Effect<void>
}

export const make = (state: State, faults: Faults, slots: Slots, admission: Admission, dialer: Dialer): Closing => {
  const { all, closeTimeout, deadlines, limbo, shutdownGrace, whenClosed } = state

  /** Waits until the links are gone, for so long at most; where nothing can be interrupted, too. */
  const allClosed = (connections: ReadonlyArray<Connection>, millis = Infinity): Effect.Effect<void> =>
    Effect.async((resume) => {
      const forget = (): void => {
        whenClosed.delete(check)
        cancel()
      }
      const done = (): void => {
        forget()
        resume(Effect.void)
      }
      const check = (): void => {
        if (!connections.some((connection) => all.has(connection))) done()
      }
      const cancel = deadlines.after(millis, done)
      whenClosed.add(check)
      check()
      return Effect.sync(forget)
    })

  const destroy = (connections: ReadonlyArray<Connection>): Effect.Effect<void> =>
    Effect.sync(() => {
      for (const connection of connections) {
        if (all.has(connection)) {
          connection.destroy(localError(connection, { code: "SHUTTING_DOWN", detail: "not closed in time" }))
        }
      }
      admission.clear()
    })

  const disconnect = (id: NodeId): Effect.Effect<void> =>
    Effect.suspend(() => {
      const refusal: Handshake.Refusal = { code: "DISCONNECTED", detail: "closed by the application" }
      return allClosed(slots.retire(id, refusal, shutdownGrace))
    })

  const giveUp = (id: NodeId): Effect.Effect<void> =>
    Effect.sync(() => {
      const detail = "more connections than wanted"
      slots.retire(id, { code: "DISCONNECTED", detail, retryAfterMs: disconnectedFor }, shutdownGrace)
    })

  const shutOut = (): void => {
    const refusal: Handshake.Refusal = { code: "UNAUTHORIZED", detail: "this node may not be connected here any more" }
    for (const id of [...state.slots.keys(), ...limbo.keys()]) {
      if (!state.access.isWelcome(id)) slots.retire(id, refusal, 0)
    }
  }

  const shutdown = Effect.gen(function* () {
    state.isRunning = false
    state.listening = undefined
    yield* dialer.clear
    const refusal: Handshake.Refusal = { code: "SHUTTING_DOWN", detail: "the node stops" }
    const drainMillis = Math.max(shutdownGrace - closeTimeout, shutdownGrace / 2)
    for (const id of [...state.slots.keys(), ...limbo.keys()]) slots.retire(id, refusal, drainMillis)
    for (const connection of state.halfOpen) faults.close(connection, refusal)
    const left = [...all]
    yield* allClosed(left, shutdownGrace)
    yield* destroy(left)
    yield* allClosed(left)
  })

  return { disconnect, giveUp, shutOut, shutdown, destroyAll: Effect.suspend(() => destroy([...all])) }
}
