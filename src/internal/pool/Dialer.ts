/**
 * Dialing: one attempt for an address at a time, a bounded number side by side, and what a failure means for the next.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Deferred from "effect/Deferred"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Exit from "effect/Exit"
import * as FiberId from "effect/FiberId"
import * as FiberSet from "effect/FiberSet"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "../../Connection.js"
import * as NetworkError from "../../NetworkError.js"
import type { NodeId } from "../../NodeId.js"
import type * as PeerAddress from "../../PeerAddress.js"
import * as PeerBook from "../../PeerBook.js"
import * as Policy from "../../Policy.js"
import type { Link } from "../../Transport.js"
import type { Admission } from "./Admission.js"
import type { DialOptions } from "./Model.js"
import { localError } from "./Refusals.js"
import type { State } from "./State.js"

/** Dials that may wait for their turn, over all addresses. */
const dialQueue = 1024

export interface Dialer {
  readonly dial: (
    address: PeerAddress.PeerAddress,
    options?: DialOptions
  ) => Effect.Effect<Connection, NetworkError.ConnectError>
  /** Gives up all dials. */
  readonly clear: Effect.Effect<void>
}

/** Scope: gives up all dials. */
export const make = (state: State, admission: Admission): Effect.Effect<Dialer, never, Scope.Scope> =>
  Effect.gen(function* () {
    const { book, config, conflicts, deadlines, dialing, node, report, slots, stats, transport, whenOpen } = state
    const backoff = Policy.backoff(config)
    const healingInterval = Duration.toMillis(config.healingInterval)
    const permits = Effect.unsafeMakeSemaphore(config.dialConcurrency)
    const dialFibers = yield* FiberSet.make()
    const forkDial = yield* FiberSet.runtime(dialFibers)<never>()

    const openLink = (address: PeerAddress.PeerAddress): Effect.Effect<Link, NetworkError.ConnectError> =>
      Effect.suspend(() => {
        const millis = Duration.toMillis(config.connectTimeout)
        let arrived: Link | undefined = undefined
        return transport.dial(address).pipe(
          Effect.map((link) => (arrived = link)),
          Effect.timeoutFail({
            duration: config.connectTimeout,
            onTimeout: () => new NetworkError.DialTimeout({ address, millis })
          }),
          // It may have come in the very moment in which nobody waited for it any more.
          Effect.onError(() => Effect.sync(() => arrived?.destroy()))
        )
      })

    const connectOnce = (
      address: PeerAddress.PeerAddress,
      expect: NodeId | undefined
    ): Effect.Effect<Connection, NetworkError.ConnectError> =>
      Effect.uninterruptibleMask((restore) =>
        Effect.gen(function* () {
          if (!state.hasRoomToDial()) {
            const detail = "maxPeers is reached"
            return yield* localError({ remote: address }, { code: "TOO_MANY_CONNECTIONS", detail })
          }
          const link = yield* restore(openLink(address))
          const actual = link.proven?.id
          if (expect !== undefined && actual !== undefined && actual !== expect) {
            // It is told nothing, not even who this node is.
            link.destroy()
            return yield* new NetworkError.IdentityMismatch({ address, expected: expect, actual })
          }
          const result = Deferred.unsafeMake<Connection, NetworkError.ConnectError>(FiberId.none)
          const hello = node.compose("HELLO", state.hello(link))
          const connection = admission.begin(link, address, (made) =>
            state.greetings.set(made, {
              helloId: hello.id,
              expect,
              done: (outcome) => Deferred.unsafeDone(result, outcome)
            })
          )
          connection.sendControl(node.encodeOwn(hello))
          return yield* restore(Deferred.await(result)).pipe(
            Effect.onInterrupt(() =>
              Effect.sync(() => {
                if (state.halfOpen.has(connection)) {
                  connection.destroy(localError(connection, { code: "SHUTTING_DOWN", detail: "the dial was given up" }))
                }
              })
            )
          )
        })
      ).pipe(Effect.catchTag("DuplicateConnection", (error) => survivorOf(error)))

    /** A dial that was refused as a duplicate has what it wanted: the connection that stays, perhaps in a moment. */
    const survivorOf = (
      error: NetworkError.DuplicateConnection
    ): Effect.Effect<Connection, NetworkError.DuplicateConnection> =>
      Effect.async((resume) => {
        const id = error.peer
        const current = id === undefined ? undefined : slots.get(id)?.current
        if (id === undefined || current !== undefined) {
          return resume(current === undefined ? Effect.fail(error) : Effect.succeed(current))
        }
        const waiting = whenOpen.get(id) ?? new Set()
        whenOpen.set(id, waiting)
        const tell = (connection: Connection): void => {
          cancel()
          resume(Effect.succeed(connection))
        }
        const forget = (): void => {
          waiting.delete(tell)
          if (waiting.size === 0) whenOpen.delete(id)
        }
        const cancel = deadlines.after(state.handshakeTimeout, () => {
          forget()
          resume(Effect.fail(error))
        })
        waiting.add(tell)
        return Effect.sync(() => {
          cancel()
          forget()
        })
      })

    /** A dial refused as a duplicate, where no other connection came, may meet a conflict of ids. */
    const pauseAfter = (error: NetworkError.ConnectError, now: number): number => {
      if (error._tag !== "DuplicateConnection" || error.peer === undefined) return 0
      if (conflicts.pushedOut(error.peer, 0, now)) state.conflict(error.peer, error.address)
      return conflicts.pauseOf(error.peer, now)
    }

    const onFailed = (address: PeerAddress.PeerAddress, error: NetworkError.ConnectError, isOnce: boolean): void => {
      stats.count("dialsFailed")
      stats.error(error._tag)
      const now = deadlines.now()
      const recordOf = () => Option.getOrUndefined(HashMap.get(book.get().addresses, address.toString()))
      if (error._tag === "SelfConnection") {
        book.update((before) => PeerBook.isSelf(before, address))
        return report({ _tag: "DialFailed", address, error, attempts: 1, retryIn: undefined })
      }
      const known = recordOf()
      const record = known === undefined || PeerBook.isGivenUp(known, now) ? undefined : known
      const attempts = record?.attempts ?? 0
      const isBootstrap = record?.isBootstrap === true
      const { retry } = Policy.of(error)
      // Who is told not to come does not come of its own accord, whoever had it dialed.
      const isRefusal =
        !isBootstrap && (retry === "healing" || (isOnce && record === undefined && retry === "retryAfter"))
      if (isRefusal) {
        const avoidFor = Policy.retryDelay(backoff, error, attempts, node.random()) ?? Infinity
        book.update((before) => PeerBook.refused(before, address, avoidFor, now))
      }
      if (isRefusal || (isOnce && record === undefined)) {
        return report({ _tag: "DialFailed", address, error, attempts: attempts + 1, retryIn: undefined })
      }
      const healing =
        isBootstrap && (Policy.of(error).retry === "healing" || error._tag === "IdentityMismatch")
          ? healingInterval
          : undefined
      const asked = healing ?? Policy.retryDelay(backoff, error, attempts, node.random()) ?? Infinity
      const delay = isBootstrap && asked === Infinity ? healingInterval : asked
      book.update((before) =>
        PeerBook.dialFailed(
          before,
          address,
          {
            error: { _tag: error._tag, message: error.message },
            // A bootstrap address is never given up for good.
            retryAfter: Math.max(delay, pauseAfter(error, now)),
            giveUpAfter: Duration.toMillis(Policy.giveUpAfter)
          },
          now
        )
      )
      const nextAt = recordOf()?.nextAt ?? Infinity
      report({
        _tag: "DialFailed",
        address,
        error,
        attempts: attempts + 1,
        retryIn: nextAt === Infinity ? undefined : nextAt - now
      })
    }

    const start = (
      address: PeerAddress.PeerAddress,
      options: DialOptions
    ): Effect.Effect<Connection, NetworkError.ConnectError> => {
      const key = address.toString()
      const result = Deferred.unsafeMake<Connection, NetworkError.ConnectError>(FiberId.none)
      dialing.set(key, result)
      const fiber = forkDial(
        permits
          .withPermits(1)(connectOnce(address, options.expect))
          .pipe(
            Effect.tap((connection) =>
              Effect.sync(() => {
                const { hint: hinted } = options
                if (hinted !== undefined && connection.identity?.id !== hinted) {
                  book.update((before) => PeerBook.dropHint(before, hinted, address))
                }
              })
            ),
            Effect.tapError((error) => Effect.sync(() => onFailed(address, error, options.isOnce === true)))
          )
      )
      // An observer also hears of a fiber that was interrupted before its first step.
      fiber.addObserver((exit) => {
        dialing.delete(key)
        Deferred.unsafeDone(
          result,
          Exit.isFailure(exit) && Cause.isInterrupted(exit.cause)
            ? Effect.fail(new NetworkError.NetworkNotRunning())
            : exit
        )
      })
      return Deferred.await(result)
    }

    /** What another dial for the address gives, as far as it is an answer to this one. */
    const join = (
      address: PeerAddress.PeerAddress,
      options: DialOptions,
      current: Deferred.Deferred<Connection, NetworkError.ConnectError>
    ): Effect.Effect<Connection, NetworkError.ConnectError> =>
      Deferred.await(current).pipe(
        Effect.flatMap((connection) => {
          const actual = connection.identity?.id
          return options.expect === undefined || actual === undefined || actual === options.expect
            ? Effect.succeed(connection)
            : Effect.fail(new NetworkError.IdentityMismatch({ address, expected: options.expect, actual }))
        }),
        Effect.catchIf(
          (error) => error._tag === "IdentityMismatch" && error.expected !== options.expect,
          () => dial(address, options)
        )
      )

    const dial: Dialer["dial"] = (address, options = {}) =>
      Effect.suspend(() => {
        if (!state.isRunning) return Effect.fail(new NetworkError.NetworkNotRunning())
        const current = dialing.get(address.toString())
        if (current !== undefined) {
          return join(address, options, current)
        }
        return dialing.size >= dialQueue
          ? Effect.fail(new NetworkError.DialQueueFull({ address, limit: dialQueue }))
          : start(address, options)
      })

    const clear = Effect.suspend(() => {
      // All at once: one after the other, each would hand its turn to dial to the next.
      for (const fiber of dialFibers) fiber.unsafeInterruptAsFork(FiberId.none)
      return FiberSet.clear(dialFibers)
    })

    return { dial, clear }
  })
