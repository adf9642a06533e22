/**
 * One attempt to connect: a link, the handshake over it, and the connection that came of it. All by callbacks, with no fiber
 * but the one in which the transport dials: half of what a connect took went into fibers that only waited for each other.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import type * as Fiber from "effect/Fiber"
import * as FiberId from "effect/FiberId"
import type { Connection } from "../../Connection.js"
import * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import type * as PeerAddress from "../../PeerAddress.js"
import type { Link } from "../../Transport.js"
import type { Admission } from "./Admission.js"
import { localError } from "./Refusals.js"
import type { State } from "./State.js"

export type Outcome = Exit.Exit<Connection, NetworkError.ConnectError>

/**
 * Begins an attempt, of which `done` is told once, perhaps from within the call. The function returned gives it up: nothing
 * is left of it then, and nobody told.
 */
export type Attempt = (
  address: PeerAddress.PeerAddress,
  expect: NodeId | undefined,
  done: (outcome: Outcome) => void
) => () => void

const nothing = (): void => {}

/** `fork`: runs what opens a link. */
export const make = (
  state: State,
  admission: Admission,
  fork: <E>(open: Effect.Effect<Link, E>) => Fiber.RuntimeFiber<Link, E>
): Attempt => {
  const { config, deadlines, greetings, halfOpen, node, slots, transport, whenOpen } = state
  const connectTimeout = Duration.toMillis(config.connectTimeout)

  return (address, expect, done) => {
    let isOver = false
    /** Takes back the step under way. */
    let undo = nothing

    const finish = (outcome: Outcome): void => {
      isOver = true
      done(outcome)
    }

    const fail = (error: NetworkError.ConnectError): void => finish(Exit.fail(error))

    const open = (): void => {
      const fiber = fork(Effect.suspend(() => transport.dial(address)))
      const giveUp = (): void => {
        cancel()
        fiber.unsafeInterruptAsFork(FiberId.none)
      }
      const cancel = deadlines.after(connectTimeout, () => {
        giveUp()
        fail(new NetworkError.DialTimeout({ address, millis: connectTimeout }))
      })
      undo = giveUp
      fiber.addObserver((exit) => {
        cancel()
        // It may have come in the very moment in which nobody waited for it any more.
        if (isOver) return Exit.isSuccess(exit) ? exit.value.destroy() : undefined
        if (Exit.isSuccess(exit)) return shakeHands(exit.value)
        return Cause.isInterrupted(exit.cause)
          ? fail(new NetworkError.NetworkNotRunning())
          : finish(Exit.failCause(exit.cause))
      })
    }

    const shakeHands = (link: Link): void => {
      const actual = link.proven?.id
      if (expect !== undefined && actual !== undefined && actual !== expect) {
        // It is told nothing, not even who this node is.
        link.destroy()
        return fail(new NetworkError.IdentityMismatch({ address, expected: expect, actual }))
      }
      const hello = node.compose("HELLO", state.hello(link))
      const greeting = { helloId: hello.id, expect, done: onGreeted }
      const connection = admission.begin(link, address, (made) => greetings.set(made, greeting))
      undo = () => {
        if (halfOpen.has(connection)) {
          connection.destroy(localError(connection, { code: "SHUTTING_DOWN", detail: "the dial was given up" }))
        }
      }
      connection.sendControl(node.encodeOwn(hello))
    }

    const onGreeted = (outcome: Either.Either<Connection, NetworkError.ConnectError>): void => {
      if (isOver) return
      if (Either.isRight(outcome)) return finish(Exit.succeed(outcome.right))
      if (outcome.left._tag === "DuplicateConnection") awaitSurvivor(outcome.left)
      else fail(outcome.left)
    }

    /** An attempt that was refused as a duplicate has what it wanted: the connection that stays, perhaps in a moment. */
    const awaitSurvivor = (error: NetworkError.DuplicateConnection): void => {
      const id = error.peer
      const current = id === undefined ? undefined : slots.get(id)?.current
      if (current !== undefined) return finish(Exit.succeed(current))
      if (id === undefined) return fail(error)
      const waiting = whenOpen.get(id) ?? new Set()
      whenOpen.set(id, waiting)
      const tell = (connection: Connection): void => {
        cancel()
        finish(Exit.succeed(connection))
      }
      const forget = (): void => {
        cancel()
        waiting.delete(tell)
        if (waiting.size === 0) whenOpen.delete(id)
      }
      const cancel = deadlines.after(state.handshakeTimeout, () => {
        forget()
        fail(error)
      })
      waiting.add(tell)
      undo = forget
    }

    if (state.hasRoomToDial()) open()
    else fail(localError({ remote: address }, { code: "TOO_MANY_CONNECTIONS", detail: "maxPeers is reached" }))

    return () => {
      if (isOver) return
      isOver = true
      undo()
    }
  }
}
