/**
 * Dialing: one attempt for an address at a time, a bounded number side by side, and what a failure means for the next.
 *
 * @internal
 */
import * as Cause from "effect/Cause"
import * as Duration from "effect/Duration"
import * as Effect from "effect/Effect"
import * as Either from "effect/Either"
import * as Exit from "effect/Exit"
import * as FiberSet from "effect/FiberSet"
import * as HashMap from "effect/HashMap"
import * as Option from "effect/Option"
import type * as Scope from "effect/Scope"
import type { Connection } from "../../Connection.js"
import * as NetworkError from "../../NetworkError.js"
import type * as PeerAddress from "../../PeerAddress.js"
import * as PeerBook from "../../PeerBook.js"
import * as Policy from "../../Policy.js"
import { OrderedQueue } from "../OrderedQueue.js"
import type { Admission } from "./Admission.js"
import * as Attempt from "./Attempt.js"
import type { DialOptions } from "./Model.js"
import type { Dial, State } from "./State.js"

/** Dials that may wait for their turn, over all addresses. */
const dialQueue = 1024

const nothing = (): void => {}

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
    const { book, config, conflicts, deadlines, dialing, node, report, stats } = state
    const backoff = Policy.backoff(config)
    const healingInterval = Duration.toMillis(config.healingInterval)
    const fibers = yield* FiberSet.make()
    const attempt = Attempt.make(state, admission, yield* FiberSet.runtime(fibers)<never>())
    /** Attempts under way, and those that wait for their turn. */
    let active = 0
    let isHandingOut = false
    const queued = new OrderedQueue<() => void>()

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
      // Where a node has come by itself meanwhile, there is nothing to try again.
      const isMet = record === undefined && PeerBook.isHeldByLive(book.get(), address)
      if (isRefusal || isMet || (isOnce && record === undefined)) {
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

    /** Gives their turn to those that wait; also where an attempt is over at once, one after the other. */
    const next = (): void => {
      if (isHandingOut) return
      isHandingOut = true
      while (active < config.dialConcurrency) {
        const begin = queued.shift()
        if (begin === undefined) break
        begin()
      }
      isHandingOut = false
    }

    const start = (
      address: PeerAddress.PeerAddress,
      { expect, hint, isOnce = false }: DialOptions
    ): Effect.Effect<Connection, NetworkError.ConnectError> => {
      const key = address.toString()
      let isActive = false
      let stop = nothing
      let came: Attempt.Outcome | undefined
      /** Who is interrupted meanwhile is told in vain. */
      const waiting: Array<(outcome: Attempt.Outcome) => void> = []
      const result: Dial["result"] = Effect.async((resume) => {
        if (came === undefined) waiting.push(resume)
        else resume(came)
      })
      const settle = (outcome: Attempt.Outcome): void => {
        dialing.delete(key)
        came = outcome
        for (const tell of waiting) tell(outcome)
        if (!isActive) return
        active--
        next()
      }
      const done = (outcome: Attempt.Outcome): void => {
        if (Exit.isSuccess(outcome)) {
          if (hint !== undefined && outcome.value.identity?.id !== hint) {
            book.update((before) => PeerBook.dropHint(before, hint, address))
          }
        } else {
          const failure = Cause.failureOrCause(outcome.cause)
          if (Either.isLeft(failure)) onFailed(address, failure.left, isOnce)
        }
        settle(outcome)
      }
      dialing.set(key, {
        result,
        giveUp: () => {
          stop()
          settle(Exit.fail(new NetworkError.NetworkNotRunning()))
        }
      })
      queued.push(() => {
        active++
        isActive = true
        stop = attempt(address, expect, done)
      })
      next()
      return result
    }

    /** What another dial for the address gives, as far as it is an answer to this one. */
    const join = (
      address: PeerAddress.PeerAddress,
      options: DialOptions,
      current: Dial["result"]
    ): Effect.Effect<Connection, NetworkError.ConnectError> =>
      current.pipe(
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
          return join(address, options, current.result)
        }
        return dialing.size >= dialQueue
          ? Effect.fail(new NetworkError.DialQueueFull({ address, limit: dialQueue }))
          : start(address, options)
      })

    const clear = Effect.suspend(() => {
      // First those that wait, or each that is given up would hand its turn to the next.
      queued.clear()
      for (const { giveUp } of dialing.values()) giveUp()
      return FiberSet.clear(fibers)
    })
    yield* Effect.addFinalizer(() => clear)

    return { dial, clear }
  })
